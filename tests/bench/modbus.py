"""Modbus: `tidegate check` of 5,000 tags, a request's own cost, and 200 units behind one gateway of which 20 are dead.

The gateway and the units are pymodbus's own server in this process, so a cycle's wall time is theirs and ours together.
"""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from adapters.modbus.address import Table
from adapters.modbus.endpoint import Endpoint
from adapters.modbus.planner import Request
from adapters.modbus.settings import ModbusTag
from adapters.modbus.transport import Link
from gateway.demo import child
from tests.adapters.modbus.rig import Exchange, Site, device, gateway, plc, settings

__all__ = ["run"]

TAGS = 5_000
UNITS = range(1, 201)
DEAD = frozenset(range(10, 210, 10))
INTERVAL_S = 2.0
CYCLES = 10
REQUESTS = 2_000


def run() -> dict[str, float]:
    """Measures and prints a table; seconds, milliseconds and per cent as the names say."""
    results = {f"check of {TAGS} tags s": _check_s(), **_requests(), **asyncio.run(_polled())}
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


def _requests() -> dict[str, float]:
    """CPU time of this side alone: the device is another process, and does next to nothing."""
    command = child.python_command("tests.bench.load.modbus_plc")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            port = json.loads(other.stdout.readline())["port"]
            return {f"request of {count} registers us": asyncio.run(_request_us(port, count)) for count in (1, 125)}
        finally:
            other.kill()


async def _request_us(port: int, count: int) -> float:
    link, request = Link(Endpoint("tcp", "127.0.0.1", port)), Request(1, Table.HOLDING, 0, count, ())
    best_s = math.inf
    for _ in range(5):
        began_s = time.process_time()
        for _ in range(REQUESTS):
            await link.read(request, timeout_s=5)
        best_s = min(best_s, (time.process_time() - began_s) / REQUESTS)
    link.end()
    await asyncio.sleep(0)
    return best_s * 1e6


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
