"""Modbus: `tidegate check` of 5,000 tags, and 200 units behind one TCP gateway of which 20 are dead.

The gateway and the units are pymodbus's own server in this process, so a cycle's wall time is theirs and ours together.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from adapters.modbus.settings import ModbusTag
from tests.adapters.modbus.rig import Exchange, Site, device, gateway, plc, settings

__all__ = ["run"]

TAGS = 5_000
UNITS = range(1, 201)
DEAD = frozenset(range(10, 210, 10))
INTERVAL_S = 2.0
CYCLES = 10


def run() -> dict[str, float]:
    """Measures and prints a table; seconds, milliseconds and per cent as the names say."""
    results = {f"check of {TAGS} tags s": _check_s(), **asyncio.run(_polled())}
    for name, value in results.items():
        print(f"{name:<44}{value:>10.3f}")
    return results


def _check_s() -> float:
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        file = Path(folder) / "tidegate.toml"
        tags = "\n".join(
            f'[[devices.tags]]\nname = "t{i}"\naddress = {3 * (i // 5)}\ntype = "float32"\nunit_id = {1 + i % 5}'
            for i in range(TAGS)
        )
        file.write_text(f'[[devices]]\nname = "big"\ntype = "modbus"\nhost = "10.0.0.1"\n{tags}\n')
        began_s = time.monotonic()
        subprocess.run([Path(sys.executable).with_name("tidegate"), "check", file], check=True, capture_output=True)
        return time.monotonic() - began_s


async def _polled() -> dict[str, float]:
    async def script(exchange: Exchange) -> None:
        if exchange.unit_id not in DEAD:
            await exchange.forward()

    tags = [ModbusTag(name=f"u{i}", address=0, unit_id=i) for i in UNITS]
    living = [i for i in UNITS if i not in DEAD]
    async with plc(*(device(i, holding={0: [i]}) for i in living)) as server, gateway(server.port, script) as port:
        site = Site(settings(port, tags, interval_s=INTERVAL_S, timeout_s=0.5))
        async with site.running():
            while not all(site.inbox.of(i) for i in UNITS):
                await asyncio.sleep(0.1)
            before = {i: len(site.inbox.of(i)) for i in living}
            overruns, began_s = site.errors("overrun"), time.monotonic()
            await asyncio.sleep(CYCLES * INTERVAL_S)
            slots = (time.monotonic() - began_s) / INTERVAL_S
            gained = [len(site.inbox.of(i)) - before[i] for i in living]
            classes: list[dict[str, Any]] = site.fact("classes")
            return {
                "200 units, 20 dead: slots": slots,
                "polls of the living, least": min(gained),
                "polls of the living, most": max(gained),
                "slots that fell out": site.errors("overrun") - overruns,
                "mean cycle ms": classes[0]["mean_ms"],
            }
