"""What the libraries alone cost at the same load: a subscriber, a poller and a publisher that do nothing else.

Run as a process: prints one JSON line with the CPU that it used for each reading, in us, and how many came.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import Any

from tests.bench.load.modbus_plc import PAIRS

__all__: list[str] = []


class _Counter:
    readings = 0

    def datachange_notification(self, _node: object, _value: object, _data: object) -> None:
        """As asyncua's client calls it."""
        self.readings += 1


async def _opcua(port: int, tags: int, interval_s: float, seconds: float) -> tuple[int, float]:
    from asyncua import Client

    counter = _Counter()
    async with Client(f"opc.tcp://127.0.0.1:{port}/load") as client:
        subscription = await client.create_subscription(interval_s * 1000, counter)
        nodes = [client.get_node(f"ns=2;s=T{number}") for number in range(tags)]
        for first in range(0, tags, 500):
            await subscription.subscribe_data_change(nodes[first : first + 500])
        await asyncio.sleep(2)
        counter.readings = 0
        began_s = time.process_time()
        await asyncio.sleep(seconds)
        return counter.readings, time.process_time() - began_s


async def _modbus(port: int, tags: int, interval_s: float, seconds: float) -> tuple[int, float]:
    from pymodbus.client import AsyncModbusTcpClient

    readings = 0
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    await client.connect()
    loop = asyncio.get_running_loop()
    began_s, due_s = time.process_time(), loop.time()
    ends_s = due_s + seconds
    while loop.time() < ends_s:
        for first in range(0, tags, PAIRS):
            count = min(PAIRS, tags - first)
            answer = await client.read_holding_registers(2 * first, count=2 * count)
            values = client.convert_from_registers(answer.registers, client.DATATYPE.UINT32)
            readings += len(values) if isinstance(values, list) else 1
        due_s += interval_s
        await asyncio.sleep(max(0.0, due_s - loop.time()))
    used_s = time.process_time() - began_s
    client.close()
    return readings, used_s


async def _mqtt(port: int, tags: int, interval_s: float, seconds: float) -> tuple[int, float]:
    from aiomqtt import Client

    readings = 0
    payload = json.dumps(
        [{"tag": f"T{tag}", "ts": time.time() * 1e3, "value": 12.5 + tag, "quality": "good"} for tag in range(tags)]
    )
    loop = asyncio.get_running_loop()
    async with Client("127.0.0.1", port) as client:
        began_s, due_s = time.process_time(), loop.time()
        ends_s = due_s + seconds
        while loop.time() < ends_s:
            await client.publish("floor", payload, qos=1)
            readings += tags
            due_s += interval_s
            await asyncio.sleep(max(0.0, due_s - loop.time()))
        return readings, time.process_time() - began_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=("opcua", "modbus", "mqtt"))
    for name, kind in (("port", int), ("tags", int), ("interval", float), ("seconds", float)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    arguments = parser.parse_args()
    measured: dict[str, Any] = {"opcua": _opcua, "modbus": _modbus, "mqtt": _mqtt}
    readings, used_s = asyncio.run(
        measured[arguments.library](arguments.port, arguments.tags, arguments.interval, arguments.seconds)
    )
    print(json.dumps({"readings": readings, "cpu_us": used_s * 1e6 / max(1, readings)}), flush=True)


if __name__ == "__main__":
    main()
