"""Turns on the one connection: polling and writing share it, and neither is ever in the middle of the other.

A turn is one read of the poll loop, or a write together with its read-back. Turns are given in the order in which they
were asked for, so a write comes between two reads of the poll loop, and a poll between two writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from adapters.modbus.errors import Busy
from adapters.modbus.planner import Request
from adapters.modbus.transport import Link

__all__ = ["Line"]


class Line:
    """The line to a device.

    Args:
        host: name or address.
        port: TCP port.
        timeout_s: longest wait for a connection, and for each answer.
    """

    def __init__(self, *, host: str, port: int, timeout_s: float) -> None:
        self._link = Link(host=host, port=port, timeout_s=timeout_s)
        self._turns = asyncio.Lock()  # first come, first served

    async def read(self, request: Request) -> Sequence[int]:
        """One read, as `Link.read`, in a turn of its own."""
        async with self._turns:
            return await self._link.read(request)

    @asynccontextmanager
    async def turn(self, *, wait_s: float) -> AsyncIterator[Link]:
        """The connection, for this caller alone.

        Args:
            wait_s: longest wait for the turn.

        Raises:
            Busy: the turn did not come in time.
        """
        try:
            async with asyncio.timeout(wait_s):
                await self._turns.acquire()
        except TimeoutError:
            raise Busy(f"others were using the connection for {wait_s:g} s") from None
        try:
            yield self._link
        finally:
            self._turns.release()

    def end(self) -> None:
        """Closes the connection for good; a request under way fails. The socket is gone in the loop's next turn."""
        self._link.end()
