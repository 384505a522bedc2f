"""The whole gateway as a process: PLC to subscriber, with one filter, durable spool, QoS 1 and JSON.

The gateway has one core, everything else the other. TIDEGATE_BENCH_RUNS (3) runs of TIDEGATE_BENCH_SECONDS (20) each;
the table shows medians. TIDEGATE_BENCH_LOADS names loads, as `opcua:TAGS:INTERVAL_S` and
`modbus:TAGS:INTERVAL_S:DEVICES`, separated by blanks.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from statistics import median

from tests.bench.load.rig import Load, floor, measure, publisher_floor

__all__ = ["run"]

LOADS = "opcua:1000:0.1 modbus:1000:0.1:1 opcua:5000:0.1 modbus:5000:0.1:5"


MOST_FLOOR_TAGS = 1000
"""A bare library is measured where it keeps up."""


def run() -> dict[str, float]:
    """Measures and prints a table; the names say the units."""
    runs = int(os.environ.get("TIDEGATE_BENCH_RUNS", "3"))
    seconds = float(os.environ.get("TIDEGATE_BENCH_SECONDS", "20"))
    results: dict[str, float] = {}
    for text in os.environ.get("TIDEGATE_BENCH_LOADS", LOADS).split():
        load = _load(text, seconds)
        print(load.name)
        found = [asyncio.run(measure(load)) for _ in range(runs)]
        figures = {field: median(getattr(measured, field) for measured in found) for field in asdict(found[0])}
        if load.tags <= MOST_FLOOR_TAGS:
            figures["bare_library_us"] = asyncio.run(floor(load))
            figures["bare_publisher_us"] = asyncio.run(publisher_floor(load))
            figures["cpu_to_bare_library"] = figures["cpu_us"] / figures["bare_library_us"]
        for field, value in figures.items():
            results[f"{load.name}: {field}"] = value
            print(f"    {field:<24}{_shown(field, value):>14}")
    return results


def _load(text: str, seconds: float) -> Load:
    protocol, tags, interval_s, *devices = text.split(":")
    return Load(protocol, int(tags), int(devices[0]) if devices else 1, float(interval_s), seconds=seconds)


def _shown(field: str, value: float) -> str:
    if field.endswith("_bytes"):
        return f"{value / 1e6:.1f} MB"
    return f"{value:,.2f}"
