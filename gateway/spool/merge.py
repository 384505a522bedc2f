"""Merges rows that stay into blocks, oldest first, beside the work that matters more.

While the broker takes what comes, rows live for a second and nothing here has anything to do. In an outage they stay:
once twice a block's readings wait in rows, the oldest of them become one block.

- The file is never held for long: rows are read a few at a time, encoding runs in a thread without the file, and the
  one transaction writes a block and deletes its rows. In between, batches are committed.
- After each block it rests as long as the block took, so that even a large backlog of rows takes half a core at most.
- Numbers are kept. Rows that were taken while their block was made are noted as taken when it is stored; what is taken
  a moment later is found in its block as it would have been found as a row.
- No row stays behind between the first and the last number of a block.
- A failure costs nothing: the rows are still there.

Rows of more than `MOST_READINGS` readings, or of megabytes of text, stay rows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from gateway.batch import RECORD_BYTES
from gateway.errors import BadBatch, SpoolError
from gateway.spool.block import Entry
from gateway.spool.block.layout import MOST_READINGS
from gateway.spool.blocks import MOST_NUMBERS, Block, seal
from gateway.spool.queries import ROWS_BETWEEN
from gateway.spool.rows import counted, read_row, rows_to_scan
from gateway.spool.spoolfile import SpoolFile, WithFile
from gateway.spool.totals import Totals

__all__ = ["BLOCK_READINGS", "Head", "Merger", "Run", "block_readings", "choose"]

_Result = TypeVar("_Result")

BLOCK_READINGS: Final = 32_768
"""Readings of a block. Twice as many save a twentieth on disk, and cost twice the memory and the damage."""

SETTLED_NS: Final = 5_000_000_000
"""A younger row may be gone with the next acknowledgement."""

LEAST_BLOCKS: Final = 16
"""Blocks that fit into the budget at least, even where nothing could be compressed: what is given up goes by blocks."""

MOST_BATCHES: Final = 8192
MOST_BYTES: Final = 8 * 1024 * 1024
REST_PART: Final = 1.0
"""How long it rests after a block, in parts of the time that the block took."""

_CHUNK_ROWS: Final = 1024
_CHUNK_BYTES: Final = 256 * 1024
_PAUSE_S: Final = 1.0

_HEADS: Final = "SELECT seq, at_ns, readings, bytes FROM batches WHERE seq > ? ORDER BY seq LIMIT ?"
_THERE: Final = "SELECT seq FROM batches WHERE seq BETWEEN ? AND ?"


class Head(NamedTuple):
    """A row without its readings."""

    seq: int
    at_ns: int
    readings: int
    size_bytes: int


class Run(NamedTuple):
    """Rows that make one block.

    Attributes:
        heads: the rows, ascending; none where there is no block to be made yet.
        passed: up to this number, rows that are too large stay rows.
    """

    heads: Sequence[Head]
    passed: int


def block_readings(max_bytes: int) -> int:
    """How many readings one block gets, where the spool may take so many bytes."""
    return max(1, min(BLOCK_READINGS, max_bytes // (LEAST_BLOCKS * RECORD_BYTES)))


def choose(heads: Sequence[Head], *, readings: int, cut: bool = False) -> Run:
    """The rows of the next block.

    Args:
        heads: the oldest rows.
        readings: how many a block should have. The row that reaches it is the last.
        cut: whether there are more rows than a block may have batches; then fewer readings will do.
    """
    run: list[Head] = []
    passed = gathered = size_bytes = 0
    for head in heads:
        if not all(isinstance(field, int) for field in head) or _too_large(head):
            if run:
                return Run(run, passed)
            passed = head.seq
            continue
        full = size_bytes + head.size_bytes > MOST_BYTES or gathered + head.readings > MOST_READINGS
        if run and (full or len(run) == MOST_BATCHES or head.seq - run[0].seq >= MOST_NUMBERS):
            return Run(run, passed)
        run.append(head)
        gathered += head.readings
        size_bytes += head.size_bytes
        if gathered >= readings:
            return Run(run, passed)
    return Run(run if cut else (), passed)


class Merger:
    """Makes blocks.

    Args:
        with_file: hands out the spool's file, one user at a time.
        readings: of one block.
        taken: whether the broker has taken the row of this number, which is then about to go.
        missed: whether it was given up instead; its deletion is for the commit that notes the gap.
        damaged: called with number and readings of a row that cannot be read; it is then about to go, too.
        made: called with readings and bytes of a block that was made.
        now_ns: UTC ns since 1970.
    """

    def __init__(
        self,
        with_file: WithFile,
        *,
        readings: int,
        taken: Callable[[int], bool],
        missed: Callable[[int], bool],
        damaged: Callable[[int, int], None],
        made: Callable[[int, int], None],
        now_ns: Callable[[], int],
    ) -> None:
        self.readings = min(readings, MOST_READINGS)
        self._with_file = with_file
        self._taken = taken
        self._missed = missed
        self._damaged = damaged
        self._made = made
        self._now_ns = now_ns
        self._due = asyncio.Event()
        self._paused = False
        self._passed = 0

    def look(self, totals: Totals) -> None:
        """Says how much waits now."""
        if totals.row_readings >= 2 * self.readings:
            self._due.set()
        else:
            self._due.clear()

    def pause(self) -> None:
        """Makes no blocks until `resume`: numbers are still to come between those of the rows."""
        self._paused = True

    def resume(self, totals: Totals) -> None:
        """Looks at all rows again."""
        self._paused = False
        self._passed = 0
        self.look(totals)

    async def run(self) -> None:
        """Merges what is due, until cancelled."""
        while True:
            await self._due.wait()
            began_s = time.monotonic()
            try:
                merged = await self.merge_settled()
            except SpoolError:
                merged = 0  # The commits meet the same trouble, and say so.
            await asyncio.sleep((time.monotonic() - began_s) * REST_PART if merged else _PAUSE_S)

    async def merge_settled(self) -> int:
        """Makes one block of the oldest rows, where the broker will not take them at any moment; see `merge`."""
        return await self.merge(settled_ns=SETTLED_NS)

    async def merge(self, *, settled_ns: int = 0) -> int:
        """Makes one block of the oldest rows.

        Args:
            settled_ns: only of rows that are as old as this.

        Returns:
            How many readings it holds; 0 where there was nothing to merge.

        Raises:
            SpoolError: the file cannot be read or written now.
        """
        rows = [] if self._paused else await self._collect(settled_ns)
        if not rows:
            return 0
        try:
            sealed = await asyncio.to_thread(_seal, rows)
        except BadBatch:
            self._passed = rows[-1][0]  # They stay rows, which can be read.
            return 0
        if isinstance(sealed, Block):
            return await self._with_file("merging rows of", lambda file: self._store(file, sealed))
        for seq, readings in sealed:
            self._damaged(seq, readings)
        return 0

    async def _collect(self, settled_ns: int) -> list[Sequence[Any]]:
        """The rows of the next block, as they are stored."""

        async def find(file: SpoolFile) -> Sequence[Head]:
            # Few rows where they are large: each may cost a page from disk. All that a block may have where those
            # were not enough.
            for rows in (min(MOST_BATCHES, rows_to_scan(file.totals, limit_readings=self.readings)), MOST_BATCHES):
                found = [Head(*row) for row in await file.fetch(_HEADS, (self._passed, rows))]
                heads = [head for head in found if not self._taken(head.seq)]
                run = choose(heads, readings=self.readings, cut=len(found) == MOST_BATCHES)
                if run.heads or len(found) < rows:
                    break
            self._passed = max(self._passed, run.passed)
            return run.heads

        heads = await self._with_file("merging rows of", find)
        if not heads or 0 <= self._now_ns() - heads[-1].at_ns < settled_ns:
            return []
        rows: list[Sequence[Any]] = []
        for span in _chunks(heads):
            rows += await self._with_file("merging rows of", partial(_fetch_rows, span=span))
        return [row for row in rows if not self._taken(row[0])]

    async def _store(self, file: SpoolFile, block: Block) -> int:
        if self._paused:
            return 0  # The file was replaced meanwhile.
        left = block.left
        there = {seq for (seq,) in await file.fetch(_THERE, (left.first, left.last))}
        inside = {seq for seq, size in enumerate(left.sizes, start=left.first) if size}
        between = there - inside
        if not there & inside or not all(map(self._taken, between)) or any(map(self._missed, between)):
            return 0  # All were taken meanwhile, or there is a row in between that cannot be read, or was given up.
        whole, left = left, left.without(inside - there)
        await file.merge(block, left=left)
        self.look(file.totals)
        self._made(whole.readings, len(block.data))
        return left.readings


async def _fetch_rows(file: SpoolFile, *, span: tuple[int, int]) -> list[Sequence[Any]]:
    return await file.fetch(ROWS_BETWEEN, span)


def _too_large(head: Head) -> bool:
    return head.readings > MOST_READINGS or head.size_bytes > MOST_BYTES


def _chunks(heads: Sequence[Head]) -> list[tuple[int, int]]:
    """First and last numbers of the pieces in which rows are read."""
    chunks: list[tuple[int, int]] = []
    first, rows, size_bytes = heads[0].seq, 0, 0
    for head in heads:
        rows += 1
        size_bytes += head.size_bytes
        if rows == _CHUNK_ROWS or size_bytes >= _CHUNK_BYTES or head is heads[-1]:
            chunks.append((first, head.seq))
            first, rows, size_bytes = head.seq + 1, 0, 0
    return chunks


def _seal(rows: Sequence[Sequence[Any]]) -> Block | list[tuple[int, int]]:
    """The block of these rows; where some cannot be read, those."""
    entries: list[Entry] = []
    unreadable: list[tuple[int, int]] = []
    for columns in rows:
        try:
            row = read_row(columns)
        except (BadBatch, UnicodeDecodeError):
            unreadable.append((columns[0], counted(columns[3])))
        else:
            entries.append(Entry(row.seq, row.at_ns, row.device, row.batch))
    return unreadable or seal(entries)
