"""The gap ledger as the uplink and people see it: rows of the spool's file, told to the broker one after the other.

Invariants
- A row is told as it stands on disk, and does not change from then on: that it is being told is on disk before `take`
  returns it. Whoever gets it twice gets the same thing twice, also across a crash.
- A row counts as told once `told` has written that. Until then each new connection is given it again.
- The newest `KEPT_TOLD` rows stay in the file; older ones go once they were told, never before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final

from gateway.spool.ledger.gaprows import GAPS, gap_of_row
from gateway.spool.ledger.gaps import Entry, Ledger, Telling
from gateway.spool.spoolfile import SpoolFile, WithFile

__all__ = ["KEPT_TOLD", "Gaps"]

KEPT_TOLD: Final = 10_000

_SET: Final = "UPDATE gaps SET telling = ? WHERE number = ?"
_TRIM: Final = "DELETE FROM gaps WHERE telling = ? AND number <= (SELECT max(number) FROM gaps) - ?"


class Gaps:
    """The ledger of one gateway. Made by `Spool`.

    Args:
        with_file: hands out the spool's file, one user at a time.
        ledger: the rows that are not told yet.
        now_ns: UTC ns since 1970.
    """

    def __init__(self, with_file: WithFile, *, ledger: Callable[[], Ledger], now_ns: Callable[[], int]) -> None:
        self._with_file = with_file
        self._ledger = ledger
        self._now_ns = now_ns

    def due(self, but: Collection[int] = ()) -> bool:
        """Whether `take` would return something now. Touches no disk."""
        return bool(self._ledger().due(now_ns=self._now_ns(), limit=1, but=but))

    async def take(self, limit: int, but: Collection[int] = ()) -> list[Entry]:
        """Rows that are to be told now, lowest numbers first.

        Args:
            limit: most rows.
            but: numbers of rows that are being told already.

        Raises:
            SpoolError: the disk refuses.
        """

        async def work(file: SpoolFile) -> list[Entry]:
            entries = file.ledger.due(now_ns=self._now_ns(), limit=limit, but=but)
            fresh = [entry.number for entry in entries if entry.telling is Telling.WAITING]
            if fresh:
                await file.transact([(_SET, (int(Telling.OFFERED), number)) for number in fresh])
                file.ledger.offered(fresh)
            return entries

        return await self._with_file("writing the gap ledger to", work)

    async def told(self, numbers: Iterable[int]) -> None:
        """Notes that the broker has these rows.

        Raises:
            SpoolError: the disk refuses; it may be called again.
        """
        done = [*numbers]

        async def work(file: SpoolFile) -> None:
            statements = [(_SET, (int(Telling.TOLD), number)) for number in done]
            await file.transact([*statements, (_TRIM, (int(Telling.TOLD), KEPT_TOLD))])
            file.ledger.told(done)

        if done:
            await self._with_file("writing the gap ledger to", work)

    async def all(self, *, since_ns: int = 0) -> list[Entry]:
        """Every row that the file has, oldest first.

        Args:
            since_ns: only gaps that end then or later, UTC ns.

        Raises:
            SpoolError: the file cannot be read now.
        """

        async def work(file: SpoolFile) -> list[Entry]:
            return [gap_of_row(row) for row in await file.fetch(GAPS, (since_ns,))]

        return await self._with_file("reading the gap ledger in", work)
