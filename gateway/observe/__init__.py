"""What a machine can see of a running gateway: metrics for Prometheus, and the answers for probes.

    freshness   when each device last gave a good reading
    readiness   whether the gateway can do its work, and what of it is degraded
    gauges      the values that are gathered at each scrape
    sight       puts these together from the rooms that own the facts
    server      HTTP: /metrics, /healthz, /readyz

It looks and counts; it changes nothing. Nothing here costs the flow more than a look at the last record of a batch.
"""

from __future__ import annotations

from gateway.observe.freshness import Freshness
from gateway.observe.server import MetricsServer
from gateway.observe.sight import Sight

__all__ = ["Freshness", "MetricsServer", "Sight"]
