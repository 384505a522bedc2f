"""`python -m adapters.plant`: the plant as a process of its own.

Prints one JSON line with its ports once both servers listen. Ends on SIGTERM, on SIGINT, when its time is up, or when
its standard input is closed: a parent that dies takes it along.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys

from adapters.plant.plant import Plant

__all__ = ["main"]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m adapters.plant", description="A simulated plant on loopback.")
    parser.add_argument("--opcua-port", type=int, default=0, help="TCP port of the OPC UA server; 0: any free one")
    parser.add_argument("--modbus-port", type=int, default=0, help="TCP port of the Modbus server; 0: any free one")
    parser.add_argument("--tags", type=int, default=0, help="counters on each server, beside the machines' own tags")
    parser.add_argument("--rate", type=float, default=20.0, metavar="HZ", help="changes a second")
    parser.add_argument("--seconds", type=float, default=None, help="how long to run; default: until it is stopped")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same plant")
    return parser.parse_args()


async def _closed_input() -> None:
    """Returns once standard input is at its end; never, where it cannot be waited for (a terminal's is not closed)."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    try:
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    except ValueError:
        await asyncio.Event().wait()
        return
    try:
        while await reader.read(1024):
            pass
    finally:
        transport.close()


async def _serve(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    plant = Plant(
        opcua_port=arguments.opcua_port,
        modbus_port=arguments.modbus_port,
        tags=arguments.tags,
        rate_hz=arguments.rate,
        seed=arguments.seed,
    )
    async with plant:
        ready = {"opcua": plant.opcua.url, "opcua_port": plant.opcua.port, "modbus_port": plant.modbus.port}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        ends = [asyncio.create_task(stop.wait()), asyncio.create_task(_closed_input())]
        try:
            await asyncio.wait(ends, timeout=arguments.seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
            await asyncio.wait(ends)


def main() -> None:
    """Runs the plant until it is stopped."""
    asyncio.run(_serve(_arguments()))


if __name__ == "__main__":
    main()
