"""What is to be seen of a gateway now: asks the rooms that own the facts, for a scrape or a probe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway import __version__
from gateway.control.refusal import Refused
from gateway.health import Health
from gateway.metrics import Metrics
from gateway.observe.freshness import Freshness
from gateway.observe.gauges import Seen, gauges
from gateway.observe.readiness import Readiness, readiness
from gateway.spool import SpoolStats
from gateway.wasm.chain import Chain
from gateway.wear import Wear

__all__ = ["Sight"]

_UNAVAILABLE = 503


class Sight:
    """Looks at one gateway.

    Args:
        gateway_id: its name.
        max_bytes: most bytes that stored readings may take.
        health: states of all components.
        metrics: all counters.
        freshness: when each device last gave a good reading.
        spool: what waits.
        uplink: what the uplink tells of itself; None where no broker is configured.
        chains: filters of the devices that are read.
        wear: what was written to the flash.
        now_ns: UTC nanoseconds since 1970.
    """

    def __init__(
        self,
        *,
        gateway_id: str,
        max_bytes: int,
        health: Health,
        metrics: Metrics,
        freshness: Freshness,
        spool: Callable[[], SpoolStats],
        uplink: Callable[[], Mapping[str, Any] | None],
        chains: Callable[[], Mapping[str, Chain]],
        wear: Callable[[], Wear],
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._gateway_id = gateway_id
        self._max_bytes = max_bytes
        self._health = health
        self._metrics = metrics
        self._freshness = freshness
        self._spool = spool
        self._uplink = uplink
        self._chains = chains
        self._wear = wear
        self._now_ns = now_ns
        self._process = ProcessCollector(registry=None)

    def exposition(self) -> bytes:
        """All metrics in Prometheus's text format, version 0.0.4."""
        return generate_latest(_View(self._families))

    def readiness(self) -> Readiness:
        """The answer to a probe."""
        return readiness(overall=self._health.overall, components=self._health.states(), spool=self._spool())

    async def answer_alive(self, _asked: dict[str, Any]) -> dict[str, Any]:
        """The control socket's `GET /healthz`: that there is an answer is the answer."""
        return {"alive": True}

    async def answer_ready(self, _asked: dict[str, Any]) -> dict[str, Any]:
        """The control socket's `GET /readyz`.

        Raises:
            Refused: it is not ready; says why.
        """
        seen = self.readiness()
        if not seen.ready:
            raise Refused(f"gateway {self._gateway_id} is not ready: {'; '.join(seen.reasons)}", status=_UNAVAILABLE)
        return seen.as_dict()

    def _families(self) -> Iterator[Metric]:
        for family in self._metrics.registry.collect():
            # When a counter was made is of no use here, and would double the number of series.
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family
        yield from gauges(self._see())
        yield from self._process.collect()

    def _see(self) -> Seen:
        now_ns = self._now_ns()
        chains = self._chains()
        ages_s = {device: self._freshness.age_s(device) for device in chains}
        return Seen(
            gateway_id=self._gateway_id,
            version=__version__,
            at_ns=now_ns,
            readiness=self.readiness(),
            components=self._health.states(),
            ages_s={device: age_s for device, age_s in ages_s.items() if age_s is not None},
            spool=self._spool(),
            max_bytes=self._max_bytes,
            wear=self._wear(),
            uplink=self._uplink(),
            filters={device: chain.health(now_ns) for device, chain in chains.items()},
        )


class _View(Collector):
    """A registry as far as it is asked for its metrics."""

    def __init__(self, families: Callable[[], Iterator[Metric]]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return self._families()
