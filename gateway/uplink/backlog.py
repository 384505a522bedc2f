"""The backlog reader: brings rows that only the spool has to the sender, oldest first, at a bounded rate.

Oldest first by stretches: within each, devices take turns (`turns.py`). The rate follows the broker (`throttle.py`).

Bounded: one chunk of rows in memory, read only when the one before has been handed over. When nothing is due it
sleeps until woken; it never asks the spool in a loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.uplink.contract import Row, Spool
from gateway.uplink.coverage import Coverage
from gateway.uplink.holds import Holds
from gateway.uplink.rate import TokenBucket, burst_of
from gateway.uplink.throttle import Throttle
from gateway.uplink.turns import in_turns

__all__ = ["BacklogReader"]

CHUNK_READINGS: Final = 32_768
_QUEUE_ROWS: Final = 32
_SUSPICION_S: Final = 1.0  # numbers left out between offers are looked up together, at most this often


class BacklogReader:
    """Reads the backlog of one connection.

    Args:
        spool: where the rows are.
        coverage: which rows are due.
        holds: devices to leave alone.
        rate: most readings a second, over time.
        clock: seconds of a steady clock.
        wake_sender: called when a row is ready.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        coverage: Coverage,
        holds: Holds,
        rate: int,
        clock: Callable[[], float],
        wake_sender: Callable[[], None],
    ) -> None:
        self._spool = spool
        self._coverage = coverage
        self._holds = holds
        self._throttle = Throttle(most=rate, now_s=clock())
        self._bucket = TokenBucket(rate=self._throttle.rate, burst=burst_of(self._throttle.rate), now_s=clock())
        self._clock = clock
        self._wake_sender = wake_sender
        self._ready: asyncio.Queue[Row] = asyncio.Queue(_QUEUE_ROWS)
        self._woken = asyncio.Event()

    @property
    def throttle(self) -> Throttle:
        """How fast the broker lets it flow."""
        return self._throttle

    def answered(self, took_s: float, *, draining: bool) -> None:
        """Takes how long the broker took to acknowledge a message, and whether some of the backlog was under way."""
        now_s = self._clock()
        self._throttle.answered(took_s, now_s, draining=draining)
        rate = self._throttle.rate
        self._bucket.set_rate(rate, burst=burst_of(rate), now_s=now_s)

    def wake(self) -> None:
        """Says that rows may have become due, or a hold may have begun."""
        self._woken.set()

    def take(self) -> Row | None:
        """The next row to send, or None."""
        return None if self._ready.empty() else self._ready.get_nowait()

    async def run(self) -> None:
        """Reads until cancelled.

        Raises:
            SpoolError: the spool cannot be read.
        """
        while True:
            self._woken.clear()
            if self._holds.release(self._clock()):
                self._coverage.release()
            if self._coverage.due:
                await self._read()
            elif self._coverage.suspicious:
                await asyncio.sleep(_SUSPICION_S)
                self._coverage.confirm()
            else:
                await self._sleep()

    async def _read(self) -> None:
        after, upto = self._coverage.query()
        rows = await self._spool.pending(after=after, limit_readings=CHUNK_READINGS, upto=upto)
        for row in in_turns(self._coverage.fetched(rows, upto=upto)):
            await self._bucket.pace(len(row.batch), self._clock)
            if row.device in self._holds:
                self._coverage.hold(row.seq)
                continue
            self._coverage.own(row.seq)
            await self._ready.put(row)
            self._wake_sender()

    async def _sleep(self) -> None:
        release_s = self._holds.next_release_s()
        try:
            async with asyncio.timeout(None if release_s is None else max(0.0, release_s - self._clock())):
                await self._woken.wait()
        except TimeoutError:
            return
