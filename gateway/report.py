"""What the control socket's `/status` tells: one page of plain data, gathered from the rooms that own it.

Times are seconds since 1970, durations carry their unit in the key. The TUI, `tidegate status` and curl read the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway import __version__
from gateway.health import Health, device_component
from gateway.metrics import Metrics
from gateway.spool import Spool, SpoolStats
from gateway.spool.budget.forecast import forecast_text
from gateway.wasm.chain import Chain
from gateway.wear import Wear

__all__ = ["report"]


def report(
    *,
    gateway_id: str,
    began_ns: int,
    now_ns: int,
    health: Health,
    metrics: Metrics,
    spool: Spool,
    uplink: Mapping[str, Any],
    chains: Mapping[str, Chain],
    facts: Mapping[str, Mapping[str, Any]],
    wear: Wear,
) -> dict[str, Any]:
    """The status page.

    Args:
        gateway_id: name of this gateway.
        began_ns: when it started, UTC ns.
        now_ns: UTC ns.
        health: states of all components.
        metrics: all counters.
        spool: what waits, and what was accepted so far.
        uplink: what the uplink tells of itself.
        chains: filters by device.
        facts: what each adapter says of its device; a function is asked now.
        wear: what was written to the flash.
    """
    counters = metrics.snapshot()
    received = counters.get("tidegate_readings_received_total", {})
    states = health.as_dict()
    return {
        "gateway": gateway_id,
        "version": __version__,
        "state": str(health.overall),
        "began": began_ns / 1e9,
        "uptime_s": (now_ns - began_ns) / 1e9,
        "components": states,
        "devices": {
            name: {
                "state": states.get(device_component(name), {}).get("state", "stopped"),
                "readings": int(received.get(name, 0)),
                **{key: fact() if callable(fact) else fact for key, fact in known.items()},
            }
            for name, known in facts.items()
        },
        "filters": {
            name: [msgspec.to_builtins(one) for one in chain.health(now_ns)]
            for name, chain in chains.items()
            if len(chain)
        },
        "spool": _spool(spool.stats, connected=uplink.get("state") == "connected"),
        "flash": msgspec.to_builtins(wear),
        "uplink": uplink,
        "counters": counters,
    }


def _spool(stats: SpoolStats, *, connected: bool) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(stats, enc_hook=str)
    if stats.forecast is not None:
        told["forecast"] = {"text": forecast_text(stats.forecast, connected=connected), **told["forecast"]}
    return told
