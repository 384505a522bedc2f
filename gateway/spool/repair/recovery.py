"""Carries what is whole in a damaged file into the fresh one that has taken its place, beside what matters more.

- Numbers are kept, so that a receiver can drop what it has already. Rows come in below those that were read; whoever
  reads the backlog is told to look again.
- New batches are committed meanwhile. After each step it rests as long as the step took.
- While it lasts no rows are merged: a block must not span numbers that are still to come.
- A reading whose point nobody can name is not carried: the fresh file may have given the number to another one.
- What could not be carried is counted and noted as a gap when the file has been read to its end, not before.
- It keeps within the budget: what does not fit is lost as well. The damaged file itself stays where it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final

from gateway.errors import SpoolError
from gateway.spool.repair.rescue import Rescue
from gateway.spool.repair.salvage import Salvage, Saved
from gateway.spool.spoolfile import SpoolFile, WithFile
from gateway.spool.stored import Stored, StoredRow

__all__ = ["Recovery"]

STEP_BYTES: Final = 512 * 1024
STEP_BATCHES: Final = 1024
REST_PART: Final = 1.0
_PAUSE_S: Final = 1.0


class Recovery:
    """Carries.

    Args:
        folder: where the database and the damaged files are.
        with_file: hands out the spool's file, one user at a time.
        max_bytes: what stored rows may take.
        came: called with the lowest and the highest number of what was just carried.
        ended: called when nothing is left to be carried.
    """

    def __init__(
        self,
        folder: Path,
        with_file: WithFile,
        *,
        max_bytes: int,
        came: Callable[[int, int], None],
        ended: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._with_file = with_file
        self._max_bytes = max_bytes
        self._came = came
        self._ended = ended
        self._taken: frozenset[int] = frozenset()
        self._again: frozenset[int] = frozenset()
        self._due = asyncio.Event()
        self.readings = 0
        """Readings that were carried since this object was made."""

    @property
    def is_due(self) -> bool:
        """Whether there is something to be carried."""
        return self._due.is_set()

    def begin(self, taken: Collection[int] = (), *, again: Collection[int] = ()) -> None:
        """Says that there is a damaged file.

        Args:
            taken: numbers in it that the broker has.
            again: numbers of batches that may be in it, which are not among what it is known to hold: they still wait
                to be stored.
        """
        self._taken |= frozenset(taken)
        self._again |= frozenset(again)
        self._due.set()

    async def run(self) -> None:
        """Carries what is due, until cancelled."""
        while True:
            await self._due.wait()
            try:
                await self._carry_all()
            except SpoolError:
                await asyncio.sleep(_PAUSE_S)  # The commits meet the same trouble, and say so.

    async def _carry_all(self) -> None:
        while rescue := await self._with_file("reading from", _first):
            await self._carry(rescue)
        self._due.clear()
        self._taken = self._again = frozenset()
        self._ended()

    async def _carry(self, rescue: Rescue) -> None:
        try:
            salvage = await asyncio.to_thread(Salvage, self._folder / rescue.name)
        except SpoolError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
            await self._end(rescue, held=None, aside=0)  # Somebody took it away.
            return
        with salvage:
            items = salvage.items()
            while True:
                began_s = time.monotonic()
                step = await asyncio.to_thread(_next_step, items, rescue)
                if not step:
                    break
                known = [one for one in step if not (isinstance(one, StoredRow) and one.seq in self._again)]
                kept = [left for one in known if (left := _without(one, self._taken)) is not None]
                further = rescue.further(step[-1].last, readings=sum(one.waiting for one in known))
                if not await self._store(kept, further):
                    break
                self.readings += further.carried - rescue.carried
                rescue = further
                self._came(step[0].first, step[-1].last)
                await asyncio.sleep((time.monotonic() - began_s) * REST_PART)
            # What is left to be looked at where the budget has ended it.
            await asyncio.to_thread(_read_to_the_end, items)
            await self._end(rescue, held=salvage.held_readings, aside=salvage.lost.aside_readings)

    async def _store(self, stored: list[Stored], rescue: Rescue) -> bool:
        """Whether they fit."""
        size_bytes = sum(_size_bytes(one) for one in stored)

        async def work(file: SpoolFile) -> bool:
            if file.totals.size_bytes + file.totals.aside_bytes + size_bytes > self._max_bytes:
                return False
            await file.carry(stored, rescue=rescue)
            return True

        while True:
            try:
                return await self._with_file("writing to", work)
            except SpoolError:
                await asyncio.sleep(_PAUSE_S)  # A full disk: what waits here goes on when there is room.

    async def _end(self, rescue: Rescue, *, held: int | None, aside: int) -> None:
        async def work(file: SpoolFile) -> None:
            await file.end_rescue(
                rescue,
                lost=rescue.lost_readings(held),
                aside=rescue.aside_readings or aside,
            )

        await self._with_file("writing to", work)


async def _first(file: SpoolFile) -> Rescue | None:
    return file.rescues[0] if file.rescues else None


def _next_step(items: Iterator[Saved], rescue: Rescue) -> list[Stored]:
    """Some of what is whole and was not carried yet."""
    step: list[Stored] = []
    size_bytes = 0
    for saved in items:
        stored = saved.stored
        if stored.last <= rescue.passed or saved.highest_point > rescue.named:
            continue
        step.append(stored)
        size_bytes += _size_bytes(stored)
        if size_bytes >= STEP_BYTES or len(step) == STEP_BATCHES:
            break
    return step


def _without(stored: Stored, taken: Collection[int]) -> Stored | None:
    """What of it was not taken; None: nothing."""
    if isinstance(stored, StoredRow):
        return None if stored.seq in taken else stored
    inside = [seq for seq in taken if stored.first <= seq <= stored.last]
    left = stored.left.without(inside) if inside else stored.left
    return stored._replace(left=left) if left.batches else None


def _read_to_the_end(items: Iterator[Saved]) -> None:
    for _ in items:
        pass


def _size_bytes(stored: Stored) -> int:
    return len(stored.data if isinstance(stored, StoredRow) else stored.columns[-1])
