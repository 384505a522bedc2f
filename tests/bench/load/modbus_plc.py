"""A Modbus TCP PLC over a bytearray, run as a process: any number of units, holding registers only.

Each pair of registers is a uint32 that holds the time of the answer, in 0.1 ms: so a reading says
itself how old it is, whoever carries it. An answer costs the same, however long it is.
It prints one JSON line when it listens, and one with what it answered at the end (SIGTERM).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import struct
import time
from typing import Final

PAIRS: Final = 62
"""Pairs of registers in the largest answer (Modbus Application Protocol V1.1b3, 6.3)."""

STEP_MS: Final = 0.1
CLOCK_MASK: Final = 0xFFFF_FFFF
_HEAD: Final = struct.Struct(">HHHBBHH")


def clock_at(now_ns: int) -> int:
    """What a pair of registers says at this time (UTC ns); it begins anew after five days."""
    return now_ns // 100_000 & CLOCK_MASK


class Plc(asyncio.Protocol):
    """One connection."""

    answered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._waiting = b""

    def data_received(self, data: bytes) -> None:
        """Answers the requests that came."""
        self._waiting += data
        while len(self._waiting) >= _HEAD.size:
            number, protocol, _, unit, function, _, count = _HEAD.unpack_from(self._waiting)
            self._waiting = self._waiting[_HEAD.size :]
            assert protocol == 0, "no Modbus"
            assert function == 3, f"function {function} is not served here"
            content = struct.pack(">I", clock_at(time.time_ns())) * (count // 2 + 1)
            head = struct.pack(">HHHBBB", number, 0, 3 + 2 * count, unit, function, 2 * count)
            self._transport.write(head + content[: 2 * count])
            Plc.answered += count // 2


async def serve() -> None:
    """Serves until told to end."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    server = await loop.create_server(Plc, "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await ended.wait()
    print(json.dumps({"sent": Plc.answered}), flush=True)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    asyncio.run(serve())


if __name__ == "__main__":
    main()
