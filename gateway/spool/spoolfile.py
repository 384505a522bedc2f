"""The one open database file: settled after every doubt, and replaced when it turns out to be damaged.

Every method expects that nobody else uses the object meanwhile; `Spool` holds a lock for that.

- A commit that failed or was cancelled leaves a doubt. `settle` ends it: it rolls back, and asks the file whether the
  group is in it.
- A damaged file is moved aside and a fresh one takes its place, at opening and in mid-life. The fresh file's numbers go
  on above the old one's, and it knows the same points. What the old one held is counted as dropped.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import aiosqlite

from gateway.errors import SpoolError
from gateway.gap import Gap
from gateway.metrics import Metrics
from gateway.points import Point, PointTable
from gateway.spool.blocks import Block, Left
from gateway.spool.commit import Group, merge, roll_back, was_committed, write
from gateway.spool.files import FileLock, move_aside, size_bytes
from gateway.spool.gaps import Ledger
from gateway.spool.reserve import Reserve, growth_pages, is_full, spare_pages
from gateway.spool.schema import WAL_LIMIT_BYTES, Damaged, Database, Totals, open_database, read_totals
from gateway.spool.written import ThreadAccount

__all__ = ["SpoolFile", "WithFile"]

_Result = TypeVar("_Result")

KEPT_FREE_PAGES: Final = 4096
"""Free pages (16 MiB) that stay in the file for the next rows; what an outage took beyond them is given back."""

GIVEN_BACK_PAGES: Final = 1024
"""Pages given back in one step: a few tens of milliseconds in which nothing can be committed."""

MOST_PAGES: Final = 0xFFFFFFFE
"""SQLite's own limit of a database's size."""


class WithFile(Protocol):
    """Hands out the spool's file, one user at a time."""

    def __call__(self, doing: str, work: Callable[[SpoolFile], Awaitable[_Result]]) -> Awaitable[_Result]:
        """What the work gives.

        Args:
            doing: what is tried, for the text of a failure.
            work: is given the settled file.

        Raises:
            SpoolError: the file cannot be used now.
        """


class SpoolFile:
    """The database behind a spool.

    Attributes:
        totals: as of the last commit.
        dropped: readings lost since the file was made, by cause, as of the last commit.
        points: the point table; the same object for the spool's whole life.
        ledger: the gaps that nobody was told of, as of the last commit.
        quarantined: where the last damaged file was moved; None where none was.
    """

    totals: Totals
    points: PointTable

    def __init__(self, path: Path, *, lock: FileLock, metrics: Metrics, now_ns: Callable[[], int]) -> None:
        self.path = path
        self.dropped: dict[str, int] = {}
        self.ledger = Ledger()
        self.quarantined: Path | None = None
        self._lock = lock
        self._reserve = Reserve(path)
        self._growth_limited = False
        self._account = ThreadAccount()
        self._metrics = metrics
        self._now_ns = now_ns
        self._connection: aiosqlite.Connection | None = None
        self._doubtful: Group | None = None
        self._closing: asyncio.Future[None] | None = None
        self._damaged = False
        self._closed = False

    @classmethod
    async def open(cls, path: Path, *, metrics: Metrics, now_ns: Callable[[], int]) -> SpoolFile:
        """Opens the file, or makes it.

        Raises:
            SpoolError: another process uses it, or the disk refuses, or it is not ours.
        """
        file = cls(path, lock=FileLock.acquire(path), metrics=metrics, now_ns=now_ns)
        try:
            await file._open()
        except BaseException:
            file._lock.release()
            raise
        return file

    @property
    def size_bytes(self) -> int:
        """Bytes on disk, the log included."""
        return size_bytes(self.path)

    @property
    def free_bytes(self) -> int:
        """Bytes of its disk that our user may still take."""
        return self._reserve.volume().free_bytes

    @property
    def written_bytes(self) -> int | None:
        """Bytes that the kernel wrote for this file; None where it keeps no account."""
        return self._account.written_bytes

    async def settle(self) -> Group | None:
        """Makes the file usable after a failure; the group in doubt where it was committed after all.

        Raises:
            sqlite3.Error, Damaged, SpoolError: it still is not usable; the doubt remains.
        """
        if self._closed:
            raise SpoolError(f"The spool {self.path} is closed.")
        if self._connection is None:
            await self._reopen()
        connection = self._connected()
        group = self._doubtful
        if group is not None:
            await roll_back(connection)
        if self._reserve.given_up or self._growth_limited:
            await self._limit_growth()
        if group is None:
            return None
        totals = await was_committed(connection, group)
        if totals is None:
            self.totals = await read_totals(connection)  # Merged rows change it, and leave no other mark.
        self._doubtful = None
        if totals is None:
            return None
        self._adopt(group, totals)
        return group

    async def commit(self, group: Group) -> None:
        """Carries out a group as one durable transaction.

        Raises:
            sqlite3.Error: it failed, or so it seems; `settle` knows.
        """
        self._doubtful = group
        try:
            totals = await write(self._connected(), group)
        except sqlite3.Error as error:
            if group.acked and not group.taken and is_full(error):
                self._reserve.give_up()
            raise
        self._doubtful = None
        self._adopt(group, totals)

    async def merge(self, block: Block, *, left: Left) -> None:
        """Puts a block into the place of its rows, as one durable transaction.

        Args:
            block: what to store.
            left: what of it still waits.

        Raises:
            sqlite3.Error: it failed, or so it seems; `settle` ends the doubt.
        """
        self._doubtful = Group(after_seq=self.totals.last_seq)
        self.totals = await merge(self._connected(), block, left=left)
        self._doubtful = None

    async def transact(self, statements: Iterable[tuple[str, Sequence[Any]]]) -> None:
        """Carries out statements as one durable transaction. They must not touch batches, points, totals or drops.

        Raises:
            sqlite3.Error: it failed, or so it seems; `settle` rolls back what was left open.
        """
        self._doubtful = Group(after_seq=self.totals.last_seq)
        connection = self._connected()
        for sql, parameters in statements:
            await connection.execute_fetchall(sql, parameters)
        await connection.commit()
        self._doubtful = None

    async def fetch(self, sql: str, parameters: Iterable[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """All rows of a query."""
        return list(await self._connected().execute_fetchall(sql, parameters))

    async def give_back_space(self) -> None:
        """Returns some free pages to the file system, where there are many. Nothing may be in doubt."""
        free_pages = (await self.fetch("PRAGMA freelist_count"))[0][0]
        given_pages = free_pages - KEPT_FREE_PAGES
        if not self._reserve.held:
            given_pages = max(given_pages, spare_pages(self._reserve.volume(), free_pages=free_pages))
        given_pages = min(given_pages, GIVEN_BACK_PAGES)
        if given_pages > 0:
            # As a script, because the pragma gives back one page a step and `execute` takes one step. The file itself
            # shrinks when the log is worked in.
            await self._connected().executescript(f"PRAGMA incremental_vacuum({given_pages});")
            await self.fetch("PRAGMA wal_checkpoint(PASSIVE)")
        await self._make_reserve()

    async def replace(self) -> None:
        """Puts a fresh file in the place of this one, which SQLite calls damaged.

        Raises:
            SpoolError: the disk does not take a fresh file now; `settle` tries again.
        """
        self._doubtful = None
        self._damaged = True
        await self._reopen()

    async def close(self) -> None:
        """Works the log into the database, closes it, and lets the next process in."""
        self._closed = True
        try:
            if self._connection is not None:
                with suppress(sqlite3.Error):  # The log is complete on disk; the next opening works it in.
                    await self.fetch("PRAGMA wal_checkpoint(TRUNCATE)")
            await self._disconnect()
        finally:
            self._lock.release()

    def _connected(self) -> aiosqlite.Connection:
        assert self._connection is not None
        return self._connection

    async def _make_reserve(self) -> None:
        if self._reserve.can_be_made():
            await asyncio.to_thread(self._reserve.make)

    async def _limit_growth(self) -> None:
        """Keeps new rows out of the room that the given-up reserve had."""
        await self._make_reserve()
        self._growth_limited = self._reserve.given_up
        if self._growth_limited:
            pages = (await self.fetch("PRAGMA page_count"))[0][0] + growth_pages(self._reserve.volume())
        else:
            pages = MOST_PAGES
        await self.fetch(f"PRAGMA max_page_count = {pages}")

    def _adopt(self, group: Group, totals: Totals) -> None:
        self.totals = totals
        self.dropped.update(group.dropped)
        if group.points:
            self.points.mark_saved(group.points[-1].number)
        if group.gaps is not None:
            self.ledger.adopt(group.gaps)

    async def _open(self) -> None:
        # Microseconds since 1970 and not 1: whatever became of an earlier file (a wiped volume, a new disk), what this
        # one numbers lies above it, and no receiver takes new readings for old ones. Below 2**53 until the year 2255.
        first_seq = max(1, self._now_ns() // 1000)
        await self._make_reserve()
        try:
            database = await self._open_database(first_seq=first_seq)
        except Damaged as damage:
            self.ledger = Ledger(
                damage.ledger.entries.values(),
                last=damage.ledger.last or first_seq - 1,
                changes=damage.ledger.changes,
            )
            self._move_aside(damage.readings, pending=damage.pending_readings, oldest_at_ns=damage.oldest_at_ns)
            database = await self._open_fresh(first_seq=max(first_seq, damage.last_seq + 1))
        self.points = database.points
        await self._use(database)

    async def _reopen(self) -> None:
        await self._disconnect()
        if self._damaged:
            totals = self.totals
            self._move_aside(
                totals.readings + totals.aside_readings,
                pending=totals.readings,
                oldest_at_ns=totals.oldest_at_ns or 0,
            )
            self._damaged = False
        points = list(self.points)
        database = await self._open_fresh(first_seq=self.totals.last_seq + 1, points=points)
        self.points.mark_saved(len(database.points))  # not those that came after an earlier attempt began the file
        await self._use(database)

    async def _open_fresh(self, *, first_seq: int, points: Sequence[Point] = ()) -> Database:
        try:
            return await self._open_database(
                first_seq=first_seq, points=points, dropped=self.dropped, ledger=self.ledger
            )
        except Damaged as damage:
            raise SpoolError(
                f"Opening the spool {self.path}: a fresh file on its disk is damaged at once ({damage}). "
                "Replace the disk, or point [database] path at another one."
            ) from damage

    async def _open_database(
        self,
        *,
        first_seq: int,
        points: Sequence[Point] = (),
        dropped: Mapping[str, int] | None = None,
        ledger: Ledger | None = None,
    ) -> Database:
        return await open_database(
            self.path,
            first_seq=first_seq,
            points=points,
            dropped=dropped,
            ledger=ledger,
            log_bytes=self._reserve.size_bytes or WAL_LIMIT_BYTES,
        )

    async def _use(self, database: Database) -> None:
        self._connection = database.connection
        self.totals = database.totals
        self.dropped = database.dropped
        self.ledger = database.ledger
        await self._account.begin(database.connection)

    def _move_aside(self, readings: int, *, pending: int | None, oldest_at_ns: int) -> None:
        now_ns = self._now_ns()
        self.quarantined = move_aside(self.path, at_ns=now_ns)
        if pending != 0:
            # What was set aside was told when that happened.
            change = self.ledger.change(
                [Gap("", "spool_damaged", min(oldest_at_ns, now_ns), now_ns, pending)], now_ns=now_ns
            )
            assert change is not None
            self.ledger.adopt(change)
            self._metrics.gaps.labels("spool_damaged").inc()
        if readings:
            self.dropped["spool_damaged"] = self.dropped.get("spool_damaged", 0) + readings
            self._metrics.dropped.labels("spool_damaged").inc(readings)

    async def _disconnect(self) -> None:
        if self._connection is not None:
            self._account.end()
            self._closing = asyncio.ensure_future(self._connection.close())
            self._connection = None
        if self._closing is not None:
            # Shielded, and waited for again after a cancellation: a connection that is closed late would take the
            # write-ahead log of the file that has come into its place.
            with suppress(sqlite3.Error):
                await asyncio.shield(self._closing)
            self._closing = None
