"""Group commit: what goes into one transaction, how it is written, and how to learn whether it was.

Everything that waits goes into one transaction: new points, batches, deletions, counts of what was dropped. A `Group`
is decided before the transaction begins and not changed while it runs, so that after a failure or a cancellation, when
nobody can say whether the commit still reached the disk, `was_committed` can compare the file with it.

Each call of aiosqlite is a hop to its thread and back, 50 us, so a plain group takes three: insert, totals, commit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import aiosqlite

from gateway.points import Point
from gateway.spool.blocks import Block, Left
from gateway.spool.ledger.gaprows import WRITE_GAP, row_of_gap
from gateway.spool.ledger.gaps import Change
from gateway.spool.line import Waiting
from gateway.spool.repair.rescue import MOVE_RESCUE, Rescue
from gateway.spool.stored import Stored, StoredBlock, StoredRow
from gateway.spool.totals import Totals, read_dropped, read_totals

__all__ = [
    "WRITE_SEEN",
    "Group",
    "Replaced",
    "carry",
    "merge",
    "ranges",
    "retry_after_s",
    "roll_back",
    "was_committed",
    "write",
    "write_gaps",
]

FIRST_RETRY_S: Final = 0.1
LONGEST_RETRY_S: Final = 10.0

_INSERT: Final = (
    "INSERT INTO batches (seq, at_ns, readings, bytes, codec, checksum, device, data) VALUES (?,?,?,?,?,?,?,?)"
)
_MOVE_ASIDE: Final = """
    INSERT INTO set_aside (seq, at_ns, readings, bytes, codec, checksum, device, data, cause)
    SELECT seq, at_ns, readings, bytes, codec, checksum, device, data, ? FROM batches WHERE seq = ?
"""
_MOVE_BLOCK_ASIDE: Final = """
    INSERT INTO set_aside (seq, at_ns, readings, bytes, codec, checksum, device, data, cause)
    SELECT last, at_ns, coalesce((SELECT readings FROM block_left AS l WHERE l.last = b.last), 0),
           bytes, codec, checksum, '', data, ?
    FROM blocks AS b WHERE last = ?
"""
_DELETE_BLOCK: Final = "DELETE FROM blocks WHERE last = ?"
_TAKE: Final = "UPDATE block_left SET batches = ?, readings = ?, sizes = ? WHERE last = ?"
_INSERT_BLOCK: Final = """
    INSERT INTO blocks (last, first, at_ns, batches, readings, bytes, codec, checksum, data) VALUES (?,?,?,?,?,?,?,?,?)
"""
_INSERT_LEFT: Final = "INSERT INTO block_left (last, batches, readings, sizes) VALUES (?, ?, ?, ?)"
_INSERT_SAVED: Final = """
    INSERT OR IGNORE INTO batches (seq, device, at_ns, readings, codec, checksum, data, bytes)
    VALUES (?, CAST(? AS TEXT), ?, ?, ?, ?, ?, ?)
"""
_ACCEPT: Final = """
    UPDATE totals SET accepted_batches = accepted_batches + ?, accepted_readings = accepted_readings + ?
"""
_DELETE: Final = "DELETE FROM batches WHERE seq BETWEEN ? AND ?"
WRITE_SEEN: Final = "INSERT OR REPLACE INTO seen (device, at_ns) VALUES (?, ?)"
_DELETE_ASIDE: Final = "DELETE FROM set_aside WHERE seq BETWEEN ? AND ?"


@dataclass(frozen=True, slots=True)
class Replaced:
    """A block that takes another one's place.

    Attributes:
        last: the highest number of the one that goes.
        block: the one that comes. Its numbers lie within the other's.
    """

    last: int
    block: Block


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What one transaction does.

    Attributes:
        after_seq: the highest number in the file before.
        spent: numbers up to this one were given to batches, some of which are not in the file; those stored batches
            that have no number yet get the ones that follow both.
        taken: how many waiting batches this group answers, from the front of the line.
        stored: those that are stored, in order.
        refused: those that are not, for want of room.
        points: new points.
        acked: numbers of delivered batches; those that are rows are deleted.
        left: what is left of the blocks in which others of them stand; a block of which nothing is left is deleted.
        victims: pending rows to delete for want of room.
        victim_blocks: blocks to delete for want of room, by their last number.
        aside_victims: set-aside rows to delete for want of room.
        unreadable: rows to set aside because they cannot be decoded.
        unreadable_blocks: the same of blocks.
        lost: readings that this group drops, by cause.
        dropped: the same causes' counts in the file after this group; absolute, so writing them twice counts once.
        marks: by device, how far the source of what is stored has come; see `adapters.base.Emit`.
        seen: when batches of some devices were accepted last, UTC ns; now and then is enough.
        gaps: the ledger's rows that tell what this group loses, and what sources have lost; None where there are none.
        noted: how many of the gaps that waited for a transaction are among them, from the first on.
        thinned: a block that is put into the place of the one that it was made of; None where there is none.
    """

    after_seq: int
    spent: int = 0
    taken: int = 0
    stored: Sequence[Waiting] = ()
    refused: Sequence[Waiting] = ()
    points: Sequence[Point] = ()
    acked: Sequence[int] = ()
    left: Sequence[Left] = ()
    victims: Sequence[int] = ()
    victim_blocks: Sequence[int] = ()
    aside_victims: Sequence[int] = ()
    unreadable: Sequence[int] = ()
    unreadable_blocks: Sequence[int] = ()
    lost: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    marks: Mapping[str, bytes] = field(default_factory=dict)
    seen: Mapping[str, int] = field(default_factory=dict)
    gaps: Change | None = None
    noted: int = 0
    thinned: Replaced | None = None

    @property
    def last_seq(self) -> int:
        """The highest number in the file once this group is committed."""
        return self.numbered[-1][0] if self.stored else self.after_seq

    @property
    def numbered(self) -> list[tuple[int, Waiting]]:
        """The stored batches with their numbers, ascending."""
        seq = max(self.after_seq, self.spent)
        if not any(waiting.seq for waiting in self.stored):
            return list(enumerate(self.stored, start=seq + 1))
        numbered = []
        for waiting in self.stored:
            # Those that have one stand before those that have none, which follow all that were given.
            number = waiting.seq or (seq := seq + 1)
            numbered.append((number, waiting))
        return numbered


async def write(connection: aiosqlite.Connection, group: Group) -> Totals:
    """Carries out a group as one transaction; the totals after it.

    Raises:
        sqlite3.Error: it failed. Whether anything reached the disk is for `was_committed` to say, after `roll_back`.
    """
    if group.thinned is not None:
        await connection.execute_fetchall(_DELETE_BLOCK, (group.thinned.last,))
        await _insert_block(connection, group.thinned.block, left=group.thinned.block.left)
    if group.points:
        await connection.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?)", group.points)
    if group.unreadable:
        await _set_aside(connection, "corrupt", group.unreadable)
    if group.left:
        await _note_left(connection, group.left)
    if group.unreadable_blocks:
        await connection.executemany(_MOVE_BLOCK_ASIDE, [("corrupt", last) for last in group.unreadable_blocks])
    gone_blocks = (*group.unreadable_blocks, *group.victim_blocks)
    if gone_blocks:
        await connection.executemany(_DELETE_BLOCK, [(last,) for last in gone_blocks])
    if group.acked or group.victims:
        await connection.executemany(_DELETE, ranges([*group.acked, *group.victims]))
    if group.aside_victims:
        await connection.executemany(_DELETE_ASIDE, ranges(group.aside_victims))
    numbered = group.numbered
    if numbered:
        await connection.executemany(
            _INSERT,
            [
                (seq, row.at_ns, row.readings, len(row.data), row.codec, row.checksum, row.device, row.data)
                for seq, row in numbered
            ],
        )
        aside = [seq for seq, row in numbered if row.set_aside]
        if aside:
            await _set_aside(connection, "asked", aside)
    if group.dropped:
        await connection.executemany(
            "INSERT OR REPLACE INTO dropped (cause, readings) VALUES (?, ?)", list(group.dropped.items())
        )
    if group.marks:
        await connection.executemany(
            "INSERT OR REPLACE INTO marks (device, mark) VALUES (?, ?)", [*group.marks.items()]
        )
    if group.seen:
        await connection.executemany(WRITE_SEEN, list(group.seen.items()))
    if group.gaps is not None:
        await write_gaps(connection, group.gaps)
    totals = await read_totals(connection)
    await connection.commit()
    return totals


async def write_gaps(connection: aiosqlite.Connection, change: Change) -> None:
    """Writes a change of the gap ledger into the running transaction, which makes what is lost be missing."""
    await connection.executemany(WRITE_GAP, [row_of_gap(entry) for entry in change.rows])
    if change.gone:
        await connection.executemany("DELETE FROM gaps WHERE number BETWEEN ? AND ?", ranges(change.gone))
    await connection.execute_fetchall("UPDATE totals SET last_gap = ?, gap_changes = ?", (change.last, change.changes))


async def merge(connection: aiosqlite.Connection, block: Block, *, left: Left) -> Totals:
    """Puts a block into the place of its rows, as one transaction; the totals after it.

    Args:
        connection: in which nothing is in doubt.
        block: the block.
        left: what of it still waits: the rows that are there.

    Raises:
        sqlite3.Error: it failed, or so it seems.
    """
    await _insert_block(connection, block, left=left)
    await connection.execute_fetchall(_DELETE, (left.first, left.last))
    totals = await read_totals(connection)
    await connection.commit()
    return totals


async def _insert_block(connection: aiosqlite.Connection, block: Block, *, left: Left) -> None:
    await connection.execute_fetchall(_INSERT_BLOCK, block.columns)
    await connection.execute_fetchall(_INSERT_LEFT, (left.last, left.batches, left.readings, left.packed()))


async def carry(connection: aiosqlite.Connection, stored: Sequence[Stored], *, rescue: Rescue) -> Totals:
    """Puts rows and blocks of a damaged file into this one, as one transaction; the totals after it.

    What is there already stays as it is.

    Args:
        connection: in which nothing is in doubt.
        stored: some of what is whole.
        rescue: how far it comes with them.

    Raises:
        sqlite3.Error: it failed, or so it seems.
    """
    rows = [one for one in stored if isinstance(one, StoredRow)]
    await connection.executemany(_INSERT_SAVED, [(*row, len(row.data)) for row in rows])
    for block in stored:
        if isinstance(block, StoredBlock) and not await _is_block(connection, block.last):
            left, (last, first, at_ns, batches, readings, codec, check, data) = block.left, block.columns
            columns = (last, first, at_ns, batches, readings, len(data), codec, check, data)
            await connection.execute_fetchall(_INSERT_BLOCK, columns)
            await connection.execute_fetchall(_INSERT_LEFT, (last, left.batches, left.readings, left.packed()))
            await connection.execute_fetchall(_ACCEPT, (left.batches, left.readings))
    await connection.execute_fetchall(MOVE_RESCUE, (rescue.passed, rescue.carried, rescue.name))
    totals = await read_totals(connection)
    await connection.commit()
    return totals


async def _is_block(connection: aiosqlite.Connection, last: int) -> bool:
    return bool(list(await connection.execute_fetchall("SELECT 1 FROM blocks WHERE last = ?", (last,))))


async def _note_left(connection: aiosqlite.Connection, changed: Sequence[Left]) -> None:
    remains = [left for left in changed if left.batches]
    await connection.executemany(_TAKE, [(left.batches, left.readings, left.packed(), left.last) for left in remains])
    done = [(left.last,) for left in changed if not left.batches]
    await connection.executemany(_DELETE_BLOCK, done)


async def _set_aside(connection: aiosqlite.Connection, cause: str, seqs: Sequence[int]) -> None:
    await connection.executemany(_MOVE_ASIDE, [(cause, seq) for seq in seqs])
    await connection.executemany(_DELETE, ranges(seqs))


async def was_committed(connection: aiosqlite.Connection, group: Group) -> Totals | None:
    """The totals when the file shows the whole of `group`, None when it shows nothing of it.

    A group that neither stores nor drops nor notes a gap leaves no mark; it is taken as not committed, for deleting
    again does no harm.
    """
    if not group.stored and not group.dropped and group.gaps is None:
        return None
    totals = await read_totals(connection)
    if totals.last_seq != group.last_seq:
        return None
    if group.gaps is not None and totals.gap_changes != group.gaps.changes:
        return None
    dropped = await read_dropped(connection)
    return totals if all(dropped.get(cause) == count for cause, count in group.dropped.items()) else None


async def roll_back(connection: aiosqlite.Connection) -> None:
    """Ends a transaction that failed or was abandoned, and makes room in the log.

    The log can be begun anew once its pages are in the database. On a full disk this is what lets deletions still be
    written, into blocks that the log owns already.
    """
    await connection.rollback()
    try:
        await connection.execute_fetchall("PRAGMA wal_checkpoint(RESTART)")
    except sqlite3.OperationalError:
        return  # The log only grows a little more; the next commit says whether the disk takes anything.


def ranges(seqs: Iterable[int]) -> list[tuple[int, int]]:
    """Sorted runs of consecutive numbers, each as (first, last): one statement deletes a run."""
    runs: list[tuple[int, int]] = []
    for seq in sorted(set(seqs)):
        if runs and seq == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], seq)
        else:
            runs.append((seq, seq))
    return runs


def retry_after_s(failures: int, *, jitter: float) -> float:
    """How long to wait before the next attempt to commit.

    Args:
        failures: attempts that failed in a row, 1 or more.
        jitter: 0 to 1; spreads the pause over the upper half of its length.
    """
    longest_s = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(failures - 1, 16))
    return longest_s * (0.5 + 0.5 * jitter)
