"""What a reading costs at each rate, and where the knee is: the first rate that is not kept up with.

One short run at each rate; TIDEGATE_BENCH_SECONDS (8) says how short. Lines of # are CPU a reading.
"""

from __future__ import annotations

import asyncio
import os
from typing import Final

from tests.bench.load.rig import Load, measure

__all__ = ["run"]

RATES: Final = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 75_000, 100_000, 125_000, 150_000)
INTERVAL_S: Final = 0.1
KEPT_UP: Final = 0.98
"""Part of what is offered that has to come while it is measured; what comes later is late, not lost."""

_MODBUS_TAGS: Final = 1000


def run() -> dict[str, float]:
    """Measures and prints a table; the names say the units."""
    seconds = float(os.environ.get("TIDEGATE_BENCH_SECONDS", "8"))
    results: dict[str, float] = {}
    for protocol in ("opcua", "modbus"):
        for rate in RATES:
            tags = round(rate * INTERVAL_S)
            load = Load(protocol, tags, max(1, tags // _MODBUS_TAGS), INTERVAL_S, seconds=seconds)
            measured = asyncio.run(measure(load))
            name = f"{protocol}, {rate}/s"
            results[f"{name}: CPU us a reading"] = measured.cpu_us
            results[f"{name}: p99 ms"] = measured.p99_ms
            print(
                f"{name:<20}{measured.delivered_s:>10,.0f}/s{measured.core_percent:>7.1f} %{measured.p99_ms:>9.1f} ms"
                f"{measured.cpu_us:>8.2f} us  {'#' * round(measured.cpu_us * 2)}"
            )
            if measured.delivered_s < KEPT_UP * load.readings_s:
                print(f"{'':<20}the knee: {load.readings_s:,.0f}/s were offered")
                break
    return results
