"""Finds what waits for the broker, in rows and in blocks, in the order of the numbers.

One block is kept open in memory: the reader of a backlog comes for it again and again, a few thousand readings at a
time. Whoever finds a block that is not open yet opens it without holding the file, and asks again. What is open is
known by its number and its checksum: when a block is thinned, another one takes its place under the same number.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from gateway.errors import BadBatch
from gateway.spool.block import Entry
from gateway.spool.blocks import MOST_NUMBERS, Left, open_block
from gateway.spool.rows import PENDING, Row, counted, rows_to_scan
from gateway.spool.spoolfile import SpoolFile

__all__ = ["Closed", "Reader"]

_NEXT_BLOCK: Final = "SELECT last, first, checksum FROM blocks WHERE last > ? ORDER BY last LIMIT 1"
_BLOCK: Final = """
    SELECT last, first, at_ns, batches, readings, codec, checksum, data,
           (SELECT readings FROM block_left AS l WHERE l.last = b.last)
    FROM blocks AS b WHERE last = ?
"""
_CHECKSUM: Final = 6
_LEFT: Final = "SELECT sizes, readings FROM block_left WHERE last = ?"


@dataclass(frozen=True, slots=True)
class Closed:
    """A block that must be opened first.

    Attributes:
        last: its highest number.
        columns: its row.
        left_readings: how many of its readings wait.
        after: where to go on with the search once it is open. To begin anew could close and open two blocks for ever.
    """

    last: int
    columns: Sequence[Any]
    left_readings: int
    after: int


class Reader:
    """Reads rows and blocks.

    Args:
        readable: of rows as `PENDING` gives them, those that may be handed out.
        acked: numbers that were taken; the set itself, which changes.
        unreadable: blocks that cannot be read, by their last number, with the readings in them; it is added to.
    """

    def __init__(
        self,
        *,
        readable: Callable[[Sequence[Any]], list[Row]],
        acked: Collection[int],
        unreadable: dict[int, int],
    ) -> None:
        self._readable = readable
        self._acked = acked
        self._unreadable = unreadable
        self._last = 0
        self._checksum: object = None
        self._open: list[Entry] = []
        self._seqs: list[int] = []

    async def find(self, file: SpoolFile, *, after: int, upto: int, limit_readings: int) -> list[Row] | Closed:
        """The next rows: some of those that are rows of their own, or some of one block; none where there are no more.

        Args:
            file: settled, and not used by anybody else meanwhile.
            after: only rows with a higher number.
            upto: only rows with this number or a lower one.
            limit_readings: stop at the row that reaches this many readings.
        """
        while after < upto:
            blocks = await file.fetch(_NEXT_BLOCK, (after,)) if file.totals.blocks else []
            last, first, checksum = blocks[0] if blocks else (upto, upto + 1, None)
            if blocks and not (isinstance(first, int) and last - MOST_NUMBERS < first <= last):
                first = after + 1  # It is damaged, and opening it will show that.
            if first > after + 1:
                rows, after = await self._find_rows(file, after, min(upto, first - 1), limit_readings)
                if rows:
                    return rows
                if after < min(upto, first - 1):
                    continue
            if first > upto:
                break
            if last not in self._unreadable:
                if (last, checksum) != (self._last, self._checksum):
                    *columns, left_readings = (await file.fetch(_BLOCK, (last,)))[0]
                    return Closed(last, columns, counted(left_readings), after)
                rows = await self._find_in_block(file, after, upto, limit_readings)
                if rows:
                    return rows
            after = last
        return []

    async def open(self, closed: Closed) -> None:
        """Opens a block. One that cannot be read is noted as such."""
        try:
            entries = await asyncio.to_thread(open_block, closed.columns)
        except BadBatch:
            self._unreadable[closed.last] = closed.left_readings
        else:
            self._last, self._checksum, self._open = closed.last, closed.columns[_CHECKSUM], entries
            self._seqs = [entry.seq for entry in entries]

    def forget(self) -> None:
        """Closes what is open: the file is another one now."""
        self._last, self._checksum, self._open, self._seqs = 0, None, [], []

    async def _find_rows(self, file: SpoolFile, after: int, upto: int, limit_readings: int) -> tuple[list[Row], int]:
        """Rows that may be handed out, and up to which number the search came."""
        scanned_rows = rows_to_scan(file.totals, limit_readings=limit_readings)
        found = await file.fetch(PENDING, (after, upto, scanned_rows, max(1, limit_readings)))
        return (self._readable(found), found[-1][0]) if found else ([], upto)

    async def _find_in_block(self, file: SpoolFile, after: int, upto: int, limit_readings: int) -> list[Row]:
        found = await file.fetch(_LEFT, (self._last,))
        packed, readings = found[0] if found else (b"", 0)
        first = self._seqs[0]
        try:
            left = Left.read(self._last, first, packed)
        except BadBatch:
            self._unreadable[self._last] = counted(readings)
            return []
        rows: list[Row] = []
        start, stop = bisect_right(self._seqs, after), bisect_right(self._seqs, upto)
        for seq, at_ns, device, batch in islice(self._open, start, stop):
            if limit_readings <= 0 and rows:
                break
            if left.sizes[seq - first] and seq not in self._acked:
                rows.append(Row(seq, device, at_ns, batch, len(batch)))
                limit_readings -= len(batch)
        return rows
