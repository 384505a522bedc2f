"""Opening the database: whose file it is, how SQLite is to treat it, what it knows at the start.

Text is read as bytes (`text_factory`): one row whose device name was damaged on disk must not make a whole query fail.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiosqlite

from gateway.errors import SpoolError, SpoolRefused, TidegateError
from gateway.points import Point, PointTable
from gateway.spool.damage import Damaged, advice, is_damage
from gateway.spool.ledger.gaprows import WRITE_GAP, row_of_gap
from gateway.spool.ledger.gaps import Ledger
from gateway.spool.migrations import APPLICATION_ID, MIGRATIONS, migrate
from gateway.spool.repair.rescue import BEGIN_RESCUE, Rescue, read_rescues
from gateway.spool.reserve import PAGE_BYTES
from gateway.spool.totals import (
    LARGEST_SEQ,
    POINTS,
    Totals,
    point_of,
    read_dropped,
    read_ledger,
    read_passed,
    read_seen,
    read_totals,
)

__all__ = ["WAL_LIMIT_BYTES", "Database", "open_database"]

BUSY_TIMEOUT_S: Final = 2.0
CHECKPOINT_BYTES: Final = 8 * 1024 * 1024
"""Size at which the log is worked into the database: enough for a row's pages to be written, freed and
used again inside the log, and little enough to keep one checkpoint's pause in the tens of milliseconds."""

WAL_LIMIT_BYTES: Final = 16 * 1024 * 1024
CHECKED_FULLY_BYTES: Final = 64 * 1024 * 1024
"""Files up to this size are read whole at opening (quick_check); larger ones would delay the start by a minute on
eMMC. Damage that lies deeper shows when its page is read, and is handled then."""


@dataclass(slots=True)
class Database:
    """An open file and what was read from it at opening."""

    connection: aiosqlite.Connection
    totals: Totals
    dropped: dict[str, int]
    points: PointTable
    page_bytes: int
    ledger: Ledger
    rescues: list[Rescue]
    seen: dict[str, int]


async def open_database(
    path: Path,
    *,
    first_seq: int,
    points: Sequence[Point] = (),
    dropped: Mapping[str, int] | None = None,
    ledger: Ledger | None = None,
    rescues: Sequence[Rescue] = (),
    reserved: int = 0,
    log_bytes: int = WAL_LIMIT_BYTES,
) -> Database:
    """Opens the file; makes it where there is none, and brings it up to the newest schema.

    Args:
        path: the file; its folder exists.
        first_seq: the first number that a file made here gives.
        points: what a file made here knows from the start: the points of the one it replaces.
        dropped: what a file made here counts as lost from the start, by cause.
        ledger: the gaps that a file made here knows from the start.
        rescues: damaged files that are to be carried into a file made here.
        reserved: numbers up to this one may have been given by the file that one made here replaces.
        log_bytes: what the log may keep of the disk, at most `WAL_LIMIT_BYTES`; at half of it the log is
            worked in.

    Raises:
        Damaged: the file is no database any more.
        SpoolRefused: it is another program's, or a newer version's.
        SpoolError: the disk refuses.
    """
    connection: aiosqlite.Connection | None = None
    opened = False
    try:
        connection = await aiosqlite.connect(path, isolation_level="IMMEDIATE", timeout=BUSY_TIMEOUT_S)
        connection.text_factory = bytes
        await _refuse_foreign(connection, path)
        await _configure(connection, path, log_bytes=min(log_bytes, WAL_LIMIT_BYTES))
        await migrate(connection)
        await _check(connection)
        await _begin(
            connection,
            first_seq=first_seq,
            points=points,
            dropped=dropped or {},
            ledger=ledger or Ledger(),
            rescues=rescues,
            reserved=reserved,
        )
        database = Database(
            connection,
            await read_totals(connection),
            await read_dropped(connection),
            await _read_points(connection),
            await _page_bytes(connection),
            await read_ledger(connection),
            await read_rescues(connection),
            await read_seen(connection),
        )
        opened = True
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise SpoolError(f"Opening the spool {path}: {error}. {advice(error)}") from error
        raise Damaged(str(error), **await _salvage(connection)) from error
    else:
        return database
    finally:
        if connection is not None and not opened:
            await connection.close()


async def _scalar(connection: aiosqlite.Connection, sql: str) -> int | bytes:
    value: int | bytes = next(iter(await connection.execute_fetchall(sql)))[0]
    return value


async def _page_bytes(connection: aiosqlite.Connection) -> int:
    page_bytes = await _scalar(connection, "PRAGMA page_size")
    assert isinstance(page_bytes, int)
    return page_bytes


async def _refuse_foreign(connection: aiosqlite.Connection, path: Path) -> None:
    tables = await _scalar(connection, "SELECT count(*) FROM sqlite_master")
    if tables and await _scalar(connection, "PRAGMA application_id") != APPLICATION_ID:
        raise SpoolRefused(
            f"Opening the spool {path}: this is another program's SQLite file. "
            "Give the gateway another [database] path; the file was not touched."
        )
    version = await _scalar(connection, "PRAGMA user_version")
    if isinstance(version, int) and version > len(MIGRATIONS):
        raise SpoolRefused(
            f"Opening the spool {path}: a newer version of tidegate made it (schema {version}, this one knows "
            f"{len(MIGRATIONS)}). Install that version again, or move the file away; it was not touched."
        )


async def _configure(connection: aiosqlite.Connection, path: Path, *, log_bytes: int) -> None:
    # INCREMENTAL and not NONE, so that the space an outage took can be given back; not FULL, which would move pages in
    # every commit. Both must be chosen before the first table is made; an older file keeps its pages.
    await connection.execute_fetchall(f"PRAGMA page_size = {PAGE_BYTES}")
    await connection.execute_fetchall("PRAGMA auto_vacuum = INCREMENTAL")
    mode = await _scalar(connection, "PRAGMA journal_mode = WAL")
    if mode != b"wal":
        raise SpoolError(
            f"Opening the spool {path}: its file system cannot do write-ahead logging. "
            "Put it on a local disk, not on a network share."
        )
    page_bytes = await _page_bytes(connection)
    for pragma in (
        "synchronous = FULL",
        f"wal_autocheckpoint = {max(1, min(CHECKPOINT_BYTES, log_bytes // 2) // page_bytes)}",
        f"journal_size_limit = {log_bytes}",
        "cell_size_check = ON",
        "temp_store = MEMORY",
        "trusted_schema = OFF",
    ):
        await connection.execute_fetchall(f"PRAGMA {pragma}")


async def _check(connection: aiosqlite.Connection) -> None:
    pages = await _scalar(connection, "PRAGMA page_count")
    assert isinstance(pages, int)
    if pages * await _page_bytes(connection) <= CHECKED_FULLY_BYTES:
        verdict = await _scalar(connection, "PRAGMA quick_check(1)")
        if verdict != b"ok":
            raise Damaged(str(verdict), **await _salvage(connection))


async def _begin(
    connection: aiosqlite.Connection,
    *,
    first_seq: int,
    points: Sequence[Point],
    dropped: Mapping[str, int],
    ledger: Ledger,
    rescues: Sequence[Rescue],
    reserved: int,
) -> None:
    if list(await connection.execute_fetchall("SELECT 1 FROM totals")):
        return
    await connection.execute_fetchall(
        "INSERT INTO totals (id, last_seq, last_gap, gap_changes) VALUES (1, ?, ?, ?)",
        (first_seq - 1, ledger.last or first_seq - 1, ledger.changes),
    )
    await connection.executemany(WRITE_GAP, map(row_of_gap, ledger.entries.values()))
    await connection.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?)", points)
    await connection.executemany("INSERT INTO dropped VALUES (?, ?)", dropped.items())
    await connection.executemany(BEGIN_RESCUE, rescues)
    if reserved:
        await connection.execute_fetchall("INSERT INTO passed VALUES (1, ?, 0, 0)", (reserved,))
    await connection.commit()


async def _read_points(connection: aiosqlite.Connection) -> PointTable:
    rows = await connection.execute_fetchall(POINTS)
    try:
        return PointTable(map(point_of, rows))
    except (TidegateError, ValueError, AttributeError) as error:
        raise Damaged(f"its point table cannot be read: {error}", **await _salvage(connection)) from error


async def _salvage(connection: aiosqlite.Connection | None) -> dict[str, Any]:
    """What a damaged file may still tell: where its numbers ended, how much it held, and what was missing before."""
    if connection is None:
        return {}
    try:
        totals = await read_totals(connection)
    except (sqlite3.Error, Damaged):
        return {}
    if not 0 <= totals.last_seq < LARGEST_SEQ:
        return {}
    told: dict[str, Any] = {
        "last_seq": totals.last_seq,
        "readings": max(0, totals.readings + totals.aside_readings),
        "pending_readings": max(0, totals.readings),
        "oldest_at_ns": totals.oldest_at_ns or 0,
    }
    if 0 <= totals.last_gap < LARGEST_SEQ:
        with suppress(sqlite3.Error):
            told["ledger"] = await read_ledger(connection)
            reserved = (await read_passed(connection)).reserved
            told["last_seq"] = max(totals.last_seq, reserved if reserved < LARGEST_SEQ else 0)
    with suppress(sqlite3.Error):
        told["rescues"] = await read_rescues(connection)
        told["seen"] = await read_seen(connection)
    return told
