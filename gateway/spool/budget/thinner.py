"""Makes room by thinning blocks, oldest first, when the spool is full and the configuration says so.

- Nothing is thinned before the room is needed: `Spool` asks for one block after the other while what arrives waits.
- A block is opened, thinned and encoded in a thread without the file. It is replaced in one transaction, together with
  the count of what went and the ledger's rows, and only where nothing of it was taken meanwhile: a block that is just
  being sent is about to make room by itself.
- A block is thinned once (`Codec.THINNED`), and only where that makes it smaller by a tenth at least.
- What the uplink holds of a block may be the batches as they were. Their acknowledgement finds what is left of them,
  and a receiver that got more than is left has lost nothing; the ledger then tells of readings that arrived all the
  same. What it must not get is another part of a batch under a number that it has: see `whole`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from gateway.batch import Batch
from gateway.errors import BadBatch
from gateway.gap import Gap
from gateway.points import PointTable
from gateway.spool.blocks import Block, Left, open_block, seal
from gateway.spool.budget.thinning import Removed, thin
from gateway.spool.codec import Codec
from gateway.spool.commit import Group, Replaced
from gateway.spool.queries import BLOCK_AND_SIZES
from gateway.spool.spoolfile import SpoolFile, WithFile

__all__ = ["Thinner", "ThinningRules"]

CAUSE: Final = "thinned"
_HEADS_AT_ONCE: Final = 256
_WORTH: Final = 0.9

_HEADS: Final = "SELECT last, codec FROM blocks WHERE last > ? ORDER BY last LIMIT ?"
_LEFT: Final = "SELECT sizes FROM block_left WHERE last = ?"


class ThinningRules(NamedTuple):
    """What may be thinned.

    Attributes:
        bounds: by path and unit of a point, how far a reading that goes may be from the line between those that stay.
        whole: whether a batch is sent in one message for sure; asked with the sizes in bytes of the names of the tags,
            by point number. One that is not stays as it is: its parts are numbered, and a receiver that has some of
            them would take others for the same.
    """

    bounds: Mapping[tuple[str, str], float]
    whole: Callable[[Batch, Sequence[int]], bool]


NOTHING: Final = ThinningRules({}, lambda _batch, _tag_bytes: False)


class _Found(NamedTuple):
    last: int
    columns: Sequence[Any]
    packed: bytes


class _Made(NamedTuple):
    block: Block
    removed: Sequence[Removed]


class Thinner:
    """Thins one block at a time.

    Args:
        with_file: hands out the spool's file, one user at a time.
        points: the point table.
        taken: whether the broker has taken the batch of this number.
        done: called with the group that was committed.
        now_ns: UTC ns since 1970.
    """

    def __init__(
        self,
        with_file: WithFile,
        *,
        points: Callable[[], PointTable],
        taken: Callable[[int], bool],
        done: Callable[[Group], None],
        now_ns: Callable[[], int],
    ) -> None:
        self._with_file = with_file
        self._points = points
        self._taken = taken
        self._done = done
        self._now_ns = now_ns
        self._rules = NOTHING
        self._turn = asyncio.Lock()
        self._passed = 0
        self._at_end = False

    @property
    def rules(self) -> ThinningRules:
        """What may be thinned from now on."""
        return self._rules

    @rules.setter
    def rules(self, rules: ThinningRules) -> None:
        self._rules = rules
        self.begin_anew()

    def begin_anew(self) -> None:
        """Says that there may be something to thin in any block."""
        self._passed = 0
        self._at_end = False

    @property
    def hopeful(self) -> bool:
        """Whether there may be a block to be thinned."""
        return bool(self._rules.bounds) and not self._at_end

    def look(self) -> None:
        """Says that there is a new block."""
        self._at_end = False

    async def thin(self) -> None:
        """Tries the next block, where there is one.

        Raises:
            SpoolError: the file cannot be read or written now; the same block is tried again.
        """
        async with self._turn:
            found = await self._with_file("thinning a block of", self._find)
            if found is None:
                return
            rules, points = self._rules, self._points()
            try:
                made = await asyncio.to_thread(_thinned, found, rules, points)
            except BadBatch:
                made = None  # Whoever reads it next finds the same, and sets it aside.
            if made is not None:
                await self._with_file("thinning a block of", partial(self._replace, found=found, made=made))
            if self._rules is rules:
                self._passed = found.last

    async def _find(self, file: SpoolFile) -> _Found | None:
        heads = await file.fetch(_HEADS, (self._passed, _HEADS_AT_ONCE))
        for last, codec in heads:
            if codec == Codec.BLOCK:
                ((*columns, packed),) = await file.fetch(BLOCK_AND_SIZES, (last,))
                return _Found(last, columns, packed)
            self._passed = last
        self._at_end = len(heads) < _HEADS_AT_ONCE
        return None

    async def _replace(self, file: SpoolFile, *, found: _Found, made: _Made) -> None:
        there = await file.fetch(_LEFT, (found.last,))
        left = made.block.left
        if not there or there[0][0] != found.packed:
            return
        if any(self._taken(seq) for seq, size in enumerate(left.sizes, start=left.first) if size):
            return
        readings = sum(one.readings for one in made.removed)
        gaps = [
            Gap(one.device, CAUSE, one.first_ns, one.last_ns, one.readings, tag=file.points[one.point].tag)
            for one in made.removed
        ]
        group = Group(
            after_seq=file.totals.last_seq,
            lost={CAUSE: readings},
            dropped={CAUSE: file.dropped.get(CAUSE, 0) + readings},
            gaps=file.ledger.change(gaps, now_ns=self._now_ns()),
            thinned=Replaced(found.last, made.block),
        )
        await file.commit(group)
        self._done(group)


def _thinned(found: _Found, rules: ThinningRules, points: PointTable) -> _Made | None:
    """The block that is to take the place of one; None where that is not worth it."""
    left = Left.read(found.last, found.columns[1], found.packed)
    entries = [entry for entry in open_block(found.columns) if left.sizes[entry.seq - left.first]]
    known = [(point.number, rules.bounds.get((point.path, point.unit))) for point in points]
    tag_bytes = [0, *(len(point.tag.encode()) for point in points)]
    result = thin(
        entries,
        {number: bound for number, bound in known if bound is not None},
        untouched=lambda entry: not rules.whole(entry.batch, tag_bytes),
    )
    if not result.removed:
        return None
    block = seal(result.entries, codec=Codec.THINNED)
    return _Made(block, result.removed) if len(block.data) <= _WORTH * len(found.columns[-1]) else None
