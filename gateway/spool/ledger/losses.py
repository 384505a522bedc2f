"""What a transaction loses, as gaps: looked up in the rows and blocks that it is about to delete.

Times are the readings' own where they can be read. Of what cannot be read only the time of acceptance is known, its own
and its neighbour's, and of a block that cannot be read not even the devices.

Rows are looked at some 256 KiB at a time and blocks in a thread, so that nothing else is held up for long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from gateway.errors import BadBatch
from gateway.gap import Gap, gap_of, join_near
from gateway.spool.blocks import Left, open_block
from gateway.spool.budget.retention import StoredSize
from gateway.spool.codec import decode
from gateway.spool.line import Waiting
from gateway.spool.queries import BLOCK_AND_SIZES, ROWS_BETWEEN
from gateway.spool.rows import counted, read_row
from gateway.spool.spoolfile import SpoolFile

__all__ = [
    "gap_of_waiting",
    "gaps_of_blocks",
    "gaps_of_rows",
    "gaps_of_unreadable",
    "gaps_of_unreadable_blocks",
    "gaps_of_waiting",
]

_CHUNK_BYTES: Final = 256 * 1024
_MANY_READINGS: Final = 20_000
"""From so many on looking at their times takes more than a millisecond or two."""

_ROW_HEAD: Final = "SELECT device, at_ns FROM batches WHERE seq = ?"
_BLOCK_HEAD: Final = "SELECT '', at_ns FROM blocks WHERE last = ?"
_BEFORE: Final = """
    SELECT at_ns FROM (
        SELECT seq, at_ns FROM (SELECT seq, at_ns FROM batches WHERE seq < :seq ORDER BY seq DESC LIMIT 1)
        UNION ALL SELECT last, at_ns FROM (SELECT last, at_ns FROM blocks WHERE last < :seq ORDER BY last DESC LIMIT 1)
        ORDER BY seq DESC LIMIT 1)
"""
_AFTER: Final = """
    SELECT at_ns FROM (
        SELECT seq, at_ns FROM (SELECT seq, at_ns FROM batches WHERE seq > :seq ORDER BY seq LIMIT 1)
        UNION ALL SELECT last, at_ns FROM (SELECT last, at_ns FROM blocks WHERE last > :seq ORDER BY last LIMIT 1)
        ORDER BY seq LIMIT 1)
"""


async def gaps_of_waiting(batches: Sequence[Waiting], cause: str) -> list[Gap]:
    """The gaps that batches leave which are not stored, or never sent."""
    if sum(waiting.readings for waiting in batches) < _MANY_READINGS:
        return _gaps_of_waiting(batches, cause)
    return await asyncio.to_thread(_gaps_of_waiting, batches, cause)


def gap_of_waiting(waiting: Waiting, cause: str) -> Gap:
    """The gap that a batch leaves which is not stored, or never sent."""
    batch = decode(waiting.codec, waiting.data, readings=waiting.readings)
    return gap_of(waiting.device, cause, batch)


async def gaps_of_rows(file: SpoolFile, rows: Iterable[StoredSize], cause: str) -> list[Gap]:
    """The gaps that the deletion of rows leaves.

    Args:
        file: where they still are.
        rows: what is deleted and missed, ascending.
        cause: why.
    """
    gaps: list[Gap] = []
    for first, last, missed in _chunks(rows):
        found = await file.fetch(ROWS_BETWEEN, (first, last))
        gaps = join_near([*gaps, *(_gap_of_row(columns, cause) for columns in found if columns[0] in missed)])
    return gaps


async def gaps_of_blocks(
    file: SpoolFile, blocks: Iterable[StoredSize], cause: str, *, left: Mapping[int, Left], now_ns: int
) -> list[Gap]:
    """The gaps that the deletion of blocks leaves.

    Args:
        file: where they still are.
        blocks: what is deleted.
        cause: why.
        left: what is left of those of which this transaction notes it.
        now_ns: UTC ns.
    """
    gaps: list[Gap] = []
    for block in blocks:
        for *columns, packed in await file.fetch(BLOCK_AND_SIZES, (block.seq,)):
            try:
                remains = left.get(block.seq) or Left.read(block.seq, columns[1], packed)
                gaps += await asyncio.to_thread(_gaps_in_block, columns, remains, cause)
            except BadBatch:
                gaps += await gaps_of_unreadable_blocks(file, {block.seq: block.readings}, cause, now_ns=now_ns)
    return join_near(gaps)


async def gaps_of_unreadable(file: SpoolFile, rows: Mapping[int, int], cause: str) -> list[Gap]:
    """The gaps that rows leave which cannot be read.

    Args:
        file: where they still are.
        rows: number to readings; 0 where that is not known either.
        cause: why they are missing.
    """
    return [await _gap_by_acceptance(file, _ROW_HEAD, seq, cause, readings) for seq, readings in rows.items()]


async def gaps_of_unreadable_blocks(
    file: SpoolFile, blocks: Mapping[int, int], cause: str, *, now_ns: int
) -> list[Gap]:
    """The same of blocks, by their last number. They end before what was accepted after them, or now."""
    return [
        await _gap_by_acceptance(file, _BLOCK_HEAD, last, cause, readings, upto_ns=now_ns)
        for last, readings in blocks.items()
    ]


def _gaps_of_waiting(batches: Iterable[Waiting], cause: str) -> list[Gap]:
    return join_near(gap_of_waiting(waiting, cause) for waiting in batches)


def _chunks(rows: Iterable[StoredSize]) -> Iterable[tuple[int, int, Collection[int]]]:
    """First and last number of what is read at once, and which of it is missed."""
    missed: set[int] = set()
    size_bytes = 0
    for row in rows:
        missed.add(row.seq)
        size_bytes += row.size_bytes
        if size_bytes >= _CHUNK_BYTES:
            yield min(missed), max(missed), missed
            missed, size_bytes = set(), 0
    if missed:
        yield min(missed), max(missed), missed


def _gap_of_row(columns: Sequence[Any], cause: str) -> Gap:
    try:
        row = read_row(columns)
        return gap_of(row.device, cause, row.batch)
    except (BadBatch, UnicodeDecodeError, ValueError):
        at_ns = _time(columns[2])
        return Gap("", cause, at_ns, at_ns, counted(columns[3]) or None)


def _gaps_in_block(columns: Sequence[Any], left: Left, cause: str) -> list[Gap]:
    return join_near(
        gap_of(entry.device, cause, entry.batch) for entry in open_block(columns) if left.sizes[entry.seq - left.first]
    )


async def _gap_by_acceptance(
    file: SpoolFile, head: str, seq: int, cause: str, readings: int, *, upto_ns: int | None = None
) -> Gap:
    found = await file.fetch(head, (seq,))
    device, at = found[0] if found else (b"", None)
    before = await file.fetch(_BEFORE, {"seq": seq})
    after = await file.fetch(_AFTER, {"seq": seq})
    own_ns = _time(at)
    before_ns = _time(before[0][0]) if before else 0
    after_ns = _time(after[0][0]) if after else upto_ns or 0
    to_ns = (after_ns if upto_ns is not None else own_ns) or own_ns or after_ns or before_ns
    from_ns = before_ns or own_ns or to_ns
    return Gap(_known_device(file, device), cause, min(from_ns, to_ns), to_ns, counted(readings) or None)


def _known_device(file: SpoolFile, device: object) -> str:
    """The name where it is one of ours: what stands in a damaged row may be anything."""
    name = device.decode(errors="replace") if isinstance(device, bytes) else ""
    return name if file.points.has_device(name) else ""


def _time(at: object) -> int:
    return at if isinstance(at, int) else 0
