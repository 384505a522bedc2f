"""Turns on a connection: polls and writes share it, and several devices may; none is ever in the middle of another.

A turn is one read of a poll loop, or a write together with its read-back. Turns are given in the order in which they
were asked for, so a write comes between two reads of the poll loop, and a poll between two writes.

A serial line has one connection however many devices stand on it; it is made by the first of them and ends with the
last. A network connection is shared where the devices say so.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from adapters.modbus.endpoint import Endpoint, differences, endpoint_of, line_of
from adapters.modbus.errors import Busy, Unreachable
from adapters.modbus.planner import Request
from adapters.modbus.settings import ModbusSettings
from adapters.modbus.transport import Link

__all__ = ["Line"]

_TURN_TIMEOUTS: Final = 4
"""A turn takes two time-outs at most (connect and answer), a write before us two (write and read-back)."""
_LEAST_TURN_S: Final = 1.0


class _Bus:
    """A connection, its turns, and how many use it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.link = Link(endpoint)
        self.turns = asyncio.Lock()  # first come, first served
        self.users = 0
        self.holder: Line | None = None


_Shelf = dict[Endpoint, _Bus]
_SHARED: Final[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Shelf]] = weakref.WeakKeyDictionary()
"""The shared connections of each event loop: of the process, that is; tests have many."""


class Line:
    """One device's line to where it is.

    Args:
        settings: the device.
        own: a connection of its own where the transport allows that, whatever the settings say.
    """

    def __init__(self, settings: ModbusSettings, *, own: bool = False) -> None:
        endpoint = endpoint_of(settings)
        self._pause_s = settings.pause_ms / 1000  # others on the connection may have another one
        self._timeout_s = settings.timeout_s
        self._serial = endpoint.serial
        self._ended = False
        self._shelf: _Shelf | None = None
        self._key = endpoint
        if endpoint.serial is not None or (settings.share_connection and not own):
            self._shelf = _SHARED.setdefault(asyncio.get_running_loop(), {})
            if endpoint.serial is not None:
                # One line may be known by two names.
                self._key = Endpoint("rtu", line_of(endpoint.serial))
            self._bus = self._shelf.setdefault(self._key, _Bus(endpoint))
        else:
            self._bus = _Bus(endpoint)
        self._bus.users += 1

    @property
    def dropped(self) -> int:
        """Answers to something else that were dropped on the connection so far."""
        return self._bus.link.dropped

    async def read(self, request: Request, *, patience_s: float | None = None) -> Sequence[int]:
        """One read, as `Link.read`, in a turn of its own.

        Args:
            request: what to read.
            patience_s: longest wait for the answer; the device's time-out where None.
        """
        async with self._bus.turns:
            with _Holding(self):
                return await self._bus.link.read(request, timeout_s=self._timeout_s, patience_s=patience_s)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Link]:
        """The connection, for this caller alone.

        Raises:
            Busy: the turn did not come in time.
            Unreachable: the line has ended.
        """
        wait_s = max(_LEAST_TURN_S, _TURN_TIMEOUTS * self._timeout_s)
        try:
            async with asyncio.timeout(wait_s):
                await self._bus.turns.acquire()
        except TimeoutError:
            raise Busy(f"others were using the connection for {wait_s:g} s") from None
        try:
            with _Holding(self):
                yield self._bus.link
        finally:
            self._bus.turns.release()

    def end(self) -> None:
        """Ends this device's use for good; its request under way fails. The socket is gone in the loop's next turn."""
        if self._ended:
            return
        self._ended = True
        bus = self._bus
        bus.users -= 1
        if not bus.users:
            bus.link.end()
            if self._shelf is not None:
                self._shelf.pop(self._key, None)
        elif bus.holder is self:
            bus.link.close()

    def hold(self) -> None:
        """This device's turn has come.

        Raises:
            Unreachable: the line has ended, or is in use with other settings.
        """
        if self._ended:
            raise Unreachable("the gateway has just stopped reading this device")
        serial, known = self._serial, self._bus.endpoint.serial
        if serial is not None and known is not None and (others := differences(serial, known)):
            # The check lets no two devices of one file differ; a draft may, and a file that has just been changed.
            told = ", ".join(f"{key} {theirs}, not {ours}" for key, ours, theirs in others)
            raise Unreachable(f"it is in use with other settings: {told}")
        self._bus.holder = self
        self._bus.link.pause_s = self._pause_s

    def let_go(self) -> None:
        """This device's turn is over."""
        self._bus.holder = None


class _Holding:
    """Names the line whose turn it is, so that its end ends its own request only."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def __enter__(self) -> None:
        self._line.hold()

    def __exit__(self, *_: object) -> None:
        self._line.let_go()
