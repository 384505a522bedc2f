"""The line of batches that wait for their commit, and its bound.

Order is first come, first stored. The bound is in readings; it is exceeded by at most one batch of each caller that is
let in, and by the batches of callers that were cancelled while they waited for room: those are in memory anyway, and
dropping them would lose readings that the device will not give again.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from gateway.errors import SpoolError
from gateway.gap import Gap

__all__ = ["Line", "Waiting"]


@dataclass(slots=True, eq=False)
class Waiting:
    """A batch that waits for its commit, and the caller who waits with it."""

    at_ns: int
    readings: int
    codec: int
    checksum: int
    device: str
    data: bytes
    set_aside: bool
    stored: asyncio.Future[int]
    due_s: float = -math.inf
    """When it is to be committed at the latest, by the event loop's clock."""
    mark: bytes = b""
    seq: int = 0
    """Its number, where it was given one before its commit."""
    passed: bool = False
    """The broker took it before it was written."""
    gaps: Sequence[Gap] = ()

    def answer(self, seq: int) -> None:
        """Tells the caller, where one still listens, which number the batch has; 0: it was not stored."""
        if not self.stored.done():
            self.stored.set_result(seq)

    def fail(self, error: SpoolError) -> None:
        """Tells the caller, where one still listens, that the batch was not stored."""
        if not self.stored.done():
            self.stored.set_exception(error)


class Line:
    """What waits, oldest first.

    Args:
        max_readings: from this many on, `enter` waits.
        wake: called for each batch that enters.

    Attributes:
        readings: how many wait now.
        entered: batches that ever entered.
        left: batches that ever left.
        due_s: when the first of them is to be committed.
        unnumbered: how many get their number with their commit.
    """

    def __init__(self, *, max_readings: int, wake: Callable[[], None]) -> None:
        self.readings = 0
        self.entered = 0
        self.left = 0
        self.due_s = math.inf
        self.unnumbered = 0
        self._max_readings = max_readings
        self._wake = wake
        self._room = asyncio.Event()
        self._waiting: list[Waiting] = []
        self._closed: SpoolError | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    async def enter(self, *batches: Waiting) -> None:
        """Joins the end of the line, once there is room. A cancelled caller's batches join all the same.

        Raises:
            SpoolError: the line was closed.
        """
        try:
            while self.readings >= self._max_readings and self._closed is None:
                self._room.clear()
                await self._room.wait()
        except asyncio.CancelledError:
            if self._closed is None:
                for waiting in batches:
                    waiting.stored.cancel()
                    self._join(waiting)
            raise
        if self._closed is not None:
            raise self._closed
        for waiting in batches:
            self._join(waiting)

    def front(self, count: int | None = None) -> list[Waiting]:
        """The first `count` batches, or all of them."""
        return self._waiting[:count]

    def leave(self, count: int) -> None:
        """Lets the first `count` batches go: they were answered."""
        self.readings -= sum(waiting.readings for waiting in self._waiting[:count])
        self.unnumbered -= sum(not waiting.seq for waiting in self._waiting[:count])
        del self._waiting[:count]
        self.left += count
        self._look()
        if self.readings < self._max_readings:
            self._room.set()

    @property
    def has_room(self) -> bool:
        """Whether `enter` would not wait."""
        return self.readings < self._max_readings and self._closed is None

    def join(self, waiting: Waiting) -> None:
        """Joins the end of the line, which has room."""
        self._join(waiting)

    def passed(self, waiting: Waiting) -> None:
        """One of those that wait need not be committed any more; it leaves with those before it."""
        waiting.passed, waiting.due_s = True, math.inf
        self._look()

    def passed_at_the_front(self) -> list[Waiting]:
        """Those that need not be committed, up to the first that must."""
        return list(takewhile(lambda waiting: waiting.passed, self._waiting))

    def due(self, now_s: float, *, ahead_s: float) -> int:
        """How many to commit now, from the front; 0 where none is due.

        Args:
            now_s: the event loop's clock.
            ahead_s: where one is due, how much earlier others go with it.
        """
        if self.due_s > now_s:
            return 0
        if self.unnumbered:
            return len(self._waiting)
        return max(at for at, waiting in enumerate(self._waiting, start=1) if waiting.due_s <= now_s + ahead_s)

    def close(self, error: SpoolError) -> None:
        """Lets nobody in any more: who waits for room, or comes later, gets `error`."""
        self._closed = error
        self._room.set()

    def _join(self, waiting: Waiting) -> None:
        self._waiting.append(waiting)
        self.readings += waiting.readings
        self.unnumbered += not waiting.seq
        self.entered += 1
        self.due_s = min(self.due_s, waiting.due_s)
        self._wake()

    def _look(self) -> None:
        self.due_s = min((waiting.due_s for waiting in self._waiting), default=math.inf)
