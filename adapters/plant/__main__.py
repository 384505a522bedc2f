"""`python -m adapters.plant`: the plant as a process of its own.

Prints one JSON line with its ports once both servers listen, and nothing else. Ends on SIGTERM, on SIGINT, when its
time is up, or when the pipe at its standard input is closed: a parent that dies takes it along. Exit status: 0 done;
1 a port cannot be had; 2 an argument is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import math
import os
import signal
import stat
import sys
from collections.abc import Callable

from adapters.plant.modbus_server import MOST_LOAD_REGISTERS
from adapters.plant.plant import Plant

__all__ = ["main"]


_MOST_HZ = 1_000.0
_MOST_S = 1e9


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"found {text}, expected a whole number from {least} to {most}")
        return number

    return read


def _above_zero(most: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not 0 < number <= most:
            raise argparse.ArgumentTypeError(f"found {text}, expected a number above 0 and at most {most:g}")
        return number

    return read


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m adapters.plant", usage="%(prog)s [OPTIONS]", description="A simulated plant on loopback."
    )
    port = _whole(0, 65_535)
    parser.add_argument("--opcua-port", type=port, default=0, help="TCP port of the OPC UA server; 0: any free one")
    parser.add_argument("--modbus-port", type=port, default=0, help="TCP port of the Modbus server; 0: any free one")
    tags = _whole(0, MOST_LOAD_REGISTERS)
    parser.add_argument("--tags", type=tags, default=0, help="counters on each server, beside the machines' own tags")
    parser.add_argument("--rate", type=_above_zero(_MOST_HZ), default=20.0, metavar="HZ", help="changes a second")
    parser.add_argument("--seconds", type=_above_zero(_MOST_S), help="how long to run; default: until it is stopped")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same plant")
    return parser.parse_args()


async def _closed_input() -> None:
    """Returns once the pipe at standard input is at its end; never, where it is none: a terminal, a file, /dev/null."""
    if not _is_pipe(0):
        await asyncio.Event().wait()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        while await reader.read(1024):
            pass
    finally:
        transport.close()


def _is_pipe(descriptor: int) -> bool:
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False  # it was closed before we began
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


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


def main() -> int:
    """Runs the plant until it is stopped.

    Returns:
        The exit status.
    """
    arguments = _arguments()
    # They tell the frames of each client that goes away, and a port that is taken with a traceback.
    for library in ("pymodbus", "asyncua"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    try:
        asyncio.run(_serve(arguments))
    except OSError as error:
        sys.stderr.write(f"plant: {error.strerror or error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
