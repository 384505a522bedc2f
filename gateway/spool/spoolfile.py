"""The one open database file: settled after every doubt, and replaced when it turns out to be damaged.

Every method expects that nobody else uses the object meanwhile; `Spool` holds a lock for that.

- A commit that failed or was cancelled leaves a doubt. `settle` ends it: it rolls back, and asks the file whether the
  group is in it.
- A damaged file is moved aside and a fresh one takes its place, at opening and in mid-life. The fresh file's numbers go
  on above the old one's, and it knows the same points. What the old one held is carried over by `Recovery`; what cannot
  be is counted as dropped.
- A file that was deleted while it was open is written anew (`repair/restore.py`) before anything that was put into it
  meanwhile counts as committed.
- A file that shows an earlier state than was committed (its log was cut off) numbers on above what was given, and what
  is missing is counted.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import aiosqlite

from gateway.errors import SpoolError, SpoolRefused
from gateway.gap import Gap
from gateway.metrics import Metrics
from gateway.points import Point, PointTable
from gateway.spool.blocks import Block, Left
from gateway.spool.commit import WRITE_SEEN, Group, carry, merge, roll_back, was_committed, write, write_gaps
from gateway.spool.damage import Damaged
from gateway.spool.files import FileLock, Names, is_fresh, move_aside, remove, size_bytes
from gateway.spool.highwater import HighWater
from gateway.spool.hold import Passed
from gateway.spool.ledger.gaprows import WRITE_GAP, row_of_gap
from gateway.spool.ledger.gaps import Entry, Ledger
from gateway.spool.opening import WAL_LIMIT_BYTES, Database, open_database
from gateway.spool.repair.rescue import END_RESCUE, Rescue, read_rescues
from gateway.spool.repair.restore import write_anew
from gateway.spool.repair.salvage import Salvage
from gateway.spool.repair.unfinished import find_unfinished
from gateway.spool.reserve import is_full
from gateway.spool.space import Space
from gateway.spool.stored import Stored
from gateway.spool.totals import Totals, read_dropped, read_ledger, read_passed, read_totals
from gateway.spool.written import ThreadAccount

__all__ = ["SpoolFile", "WithFile"]

_Result = TypeVar("_Result")

MARK_INTERVAL_S: Final = 1.0
"""How often the high-water mark is written, at most."""

WRITE_PASSED: Final = "INSERT OR REPLACE INTO passed VALUES (1, ?, ?, ?)"


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
    """The database behind a spool. Nothing is open before `begin`.

    Args:
        path: the database.
        metrics: `dropped` is counted.
        now_ns: UTC nanoseconds since 1970.

    Attributes:
        totals: as of the last commit.
        dropped: readings lost since the file was made, by cause, as of the last commit.
        points: the point table; the same object for the spool's whole life.
        begun: whether it was opened.
        seen: when each device's batches were accepted last, UTC ns, to the minute; as of the last commit.
        seen_before: the same as it was then, so before this process accepted any.
        ledger: the gaps that nobody was told of, as of the last commit.
        rescues: damaged files that are still being carried into this one, as of the last commit.
        reserved: numbers up to this one may have been given to batches that were never written.
        quarantined: where the last damaged file was moved; None where none was.
        notice: what else happened to the file in this process's life and should be known; empty where nothing did.
    """

    def __init__(self, path: Path, *, metrics: Metrics, now_ns: Callable[[], int]) -> None:
        self.path = path
        self.totals = Totals()
        self.dropped: dict[str, int] = {}
        self.points = PointTable()
        self.begun = False
        self.seen: dict[str, int] = {}
        self.seen_before: dict[str, int] = {}
        self.ledger = Ledger()
        self.rescues: list[Rescue] = []
        self.reserved = 0
        self.quarantined: Path | None = None
        self.notice = ""
        self._lock: FileLock | None = None
        self._names: Names | None = None
        self._space = Space(path)
        self._account = ThreadAccount()
        self._metrics = metrics
        self._now_ns = now_ns
        self._connection: aiosqlite.Connection | None = None
        self._doubtful: Group | None = None
        self._closing: asyncio.Future[None] | None = None
        self._damaged = False
        self._closed = False
        self._above = 0
        self._rescued_points: Sequence[Point] = ()
        """Those of the file that was found damaged at opening, until there is a fresh one, however often that fails."""
        self._marked_s = 0.0

    async def begin(self) -> None:
        """Opens the file, or makes it.

        Raises:
            SpoolRefused: it is another program's, or a newer version's.
            SpoolError: another process uses it, or the disk refuses.
        """
        lock = FileLock.acquire(self.path)
        try:
            await self._open(HighWater.read(lock.noted()))
        except BaseException:
            await self._disconnect()
            lock.release()
            raise
        self._lock = lock
        self.seen_before |= self.seen
        self.begun = True
        self._mark()

    @property
    def size_bytes(self) -> int:
        """Bytes on disk, the log included."""
        return size_bytes(self.path)

    @property
    def free_bytes(self) -> int:
        """Bytes of its disk that our user may still take."""
        return self._space.free_bytes

    @property
    def written_bytes(self) -> int | None:
        """Bytes that the kernel wrote for this file; None where it keeps no account."""
        return self._account.written_bytes

    @property
    def in_doubt(self) -> frozenset[int]:
        """Numbers of batches that may have been committed or not; those batches still wait."""
        return frozenset() if self._doubtful is None else frozenset(seq for seq, _ in self._doubtful.numbered)

    async def settle(self) -> Group | None:
        """Makes the file usable after a failure; the group in doubt where it was committed after all.

        Raises:
            sqlite3.Error, Damaged, SpoolError: it still is not usable; the doubt remains.
        """
        if self._closed:
            raise SpoolError(f"The spool {self.path} is closed.")
        if not self.begun:
            await self.begin()
        if self._connection is not None and self._names is not None and not self._names.all_lead_there:
            await self._come_back(self._connection)
        if self._connection is None:
            await self._reopen()
        connection = self._connected()
        group = self._doubtful
        if group is not None:
            await roll_back(connection)
        await self._space.limit_growth(connection)
        if group is None:
            return None
        totals = await was_committed(connection, group)
        if totals is None:
            await self._read_anew(connection)
        self._doubtful = None
        if totals is None:
            return None
        self._adopt(group, totals)
        return group

    async def commit(self, group: Group) -> None:
        """Carries out a group as one durable transaction.

        Raises:
            sqlite3.Error, SpoolError: it failed, or so it seems; `settle` knows.
        """
        self._doubtful = group
        try:
            totals = await write(self._connected(), group)
        except sqlite3.Error as error:
            if group.acked and not group.taken and is_full(error):
                self._space.reserve.give_up()
            raise
        self._check_names()
        self._adopt(group, totals)
        if time.monotonic() >= self._marked_s + MARK_INTERVAL_S:
            await asyncio.to_thread(self._mark)
        self._doubtful = None  # after the last moment at which a cancelled caller would not hear of it

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

    async def read_passed(self) -> Passed:
        """What was never written because the broker took it in time."""
        passed = await read_passed(self._connected())
        self.reserved = max(self.reserved, passed.reserved)
        return passed

    async def note_passed(self, passed: Passed, seen: Mapping[str, int]) -> None:
        """Writes that down, as one durable transaction.

        Args:
            passed: how many there were.
            seen: when the last one of each device was accepted, UTC ns.

        Raises:
            sqlite3.Error: it failed, or so it seems; `settle` ends the doubt.
        """
        statements: list[tuple[str, Sequence[Any]]] = [(WRITE_SEEN, one) for one in seen.items()]
        await self.transact([*statements, (WRITE_PASSED, passed)])
        self.seen.update(seen)
        self.reserved = passed.reserved
        await asyncio.to_thread(self._mark)

    async def carry(self, stored: Sequence[Stored], *, rescue: Rescue) -> None:
        """Takes rows and blocks of a damaged file, as one durable transaction.

        Args:
            stored: some of what is whole.
            rescue: how far it comes with them.

        Raises:
            sqlite3.Error, SpoolError: it failed, or so it seems; `settle` ends the doubt. It may be done again.
        """
        self._doubtful = Group(after_seq=self.totals.last_seq)
        self.totals = await carry(self._connected(), stored, rescue=rescue)
        self._check_names()
        self._doubtful = None
        self.rescues = [rescue if one.name == rescue.name else one for one in self.rescues]

    async def end_rescue(self, rescue: Rescue, *, lost: int | None, aside: int) -> None:
        """Counts what of a damaged file could not be carried, as one durable transaction.

        Args:
            rescue: which is at its end.
            lost: readings that waited in it and are lost; None where nobody knows.
            aside: readings that were set aside in it; that they are missing was told when that happened.

        Raises:
            sqlite3.Error, SpoolError: it failed, or so it seems; `settle` ends the doubt. It may be done again.
        """
        self._doubtful = Group(after_seq=self.totals.last_seq)
        connection = self._connected()
        if list(await connection.execute_fetchall(END_RESCUE, (rescue.name,))):
            await self._lose(lost, aside=aside, oldest_at_ns=rescue.oldest_at_ns)
            await connection.commit()
            self._count_lost(lost, aside=aside)
        self._check_names()
        await self._read_anew(connection)
        self._doubtful = None

    async def transact(self, statements: Iterable[tuple[str, Sequence[Any]]]) -> None:
        """Carries out statements as one durable transaction. They must not touch batches, points, totals or drops.

        Raises:
            sqlite3.Error, SpoolError: it failed, or so it seems; `settle` rolls back what was left open.
        """
        self._doubtful = Group(after_seq=self.totals.last_seq)
        connection = self._connected()
        for sql, parameters in statements:
            await connection.execute_fetchall(sql, parameters)
        await connection.commit()
        self._check_names()
        self._doubtful = None

    async def fetch(self, sql: str, parameters: Iterable[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """All rows of a query."""
        return list(await self._connected().execute_fetchall(sql, parameters))

    async def give_back_space(self) -> None:
        """Returns some free pages to the file system, where there are many. Nothing may be in doubt."""
        await self._space.give_back(self._connected())

    async def replace(self) -> None:
        """Puts a fresh file in the place of this one, which SQLite calls damaged.

        Raises:
            SpoolError: the disk does not take a fresh file now; `settle` tries again.
        """
        self._doubtful = None
        self._damaged = True
        if self.begun:
            await self._reopen()
        else:
            await self.begin()

    async def reconnect(self) -> None:
        """Closes the file; `settle` opens it again."""
        await self._disconnect()

    async def close(self) -> None:
        """Works the log into the database, closes it, and lets the next process in."""
        self._closed = True
        try:
            if self._connection is not None:
                with suppress(sqlite3.Error):  # The log is complete on disk; the next opening works it in.
                    await self.fetch("PRAGMA wal_checkpoint(TRUNCATE)")
            await self._disconnect()
            self._mark()
        finally:
            if self._lock is not None:
                self._lock.release()

    async def _read_anew(self, connection: aiosqlite.Connection) -> None:
        """What the file says now, after a change that leaves no other mark, or one of which nobody knows."""
        self.totals = await read_totals(connection)
        self.dropped = await read_dropped(connection)
        self.ledger = await read_ledger(connection)
        self.rescues = await read_rescues(connection)

    def _connected(self) -> aiosqlite.Connection:
        assert self._connection is not None
        return self._connection

    def _check_names(self) -> None:
        """What was committed into a file without a name is gone with the process, so it is not committed yet."""
        if self._names is not None and not self._names.all_lead_there:
            raise SpoolError(f"Writing to the spool {self.path}: somebody deleted its file. It is written anew.")

    def _adopt(self, group: Group, totals: Totals) -> None:
        self.totals = totals
        self.dropped.update(group.dropped)
        if group.points:
            self.points.mark_saved(group.points[-1].number)
        self.seen.update(group.seen)
        if group.gaps is not None:
            self.ledger.adopt(group.gaps)

    async def _open(self, mark: HighWater) -> None:
        await self._space.begin()
        if self._damaged:
            self._rescued_points = points = await asyncio.to_thread(_points_in, self.path)
            self._move_aside(
                pending=mark.waiting_readings or None, aside=0, oldest_at_ns=mark.oldest_at_ns, named=len(points)
            )
            self._damaged = False
        # Microseconds since 1970 and not 1: whatever became of an earlier file (a wiped volume, a new disk), what this
        # one numbers lies above it, and no receiver takes new readings for old ones. Below 2**53 until the year 2255.
        self.reserved = max(self.reserved, mark.reserved)
        first_seq = max(1, self._now_ns() // 1000, mark.last_seq + 1, self._above)
        if is_fresh(self.path) and not self.rescues:
            unfinished = await asyncio.to_thread(find_unfinished, self.path, mark)
            if unfinished is not None:
                self._rescued_points = points = unfinished.points
                first_seq = max(first_seq, unfinished.last_seq + 1)
                pending = (mark.waiting_readings or None) if unfinished.readings is None else unfinished.readings
                self._is_aside(
                    unfinished.path, pending=pending, aside=0, oldest_at_ns=mark.oldest_at_ns, named=len(points)
                )
                self.ledger = Ledger(last=max(mark.last_gap, first_seq - 1))
        try:
            database = await self._open_whole(first_seq=first_seq, held=mark, points=self._rescued_points)
        except SpoolRefused:
            raise
        except SpoolError:
            if not self._space.reserve.is_last_room or not self._space.reserve.give_up():
                raise
            database = await self._open_whole(first_seq=first_seq, held=mark, points=self._rescued_points)
        await self._use(database)
        if self.quarantined is None:
            await self._catch_up(mark)
        self.points.load(database.points)

    async def _reopen(self) -> None:
        await self._disconnect()
        if self._damaged:
            totals = self.totals
            self._move_aside(
                pending=totals.readings,
                aside=totals.aside_readings,
                oldest_at_ns=totals.oldest_at_ns or 0,
                named=len(self.points),
            )
            self._damaged = False
        known = HighWater.of(self.totals, reserved=self.reserved)
        totals, gaps = self.totals, self.ledger
        database = await self._open_whole(first_seq=known.last_seq + 1, held=known, points=list(self.points))
        self.points.only_saved(len(database.points))  # not those that came after an earlier attempt began the file
        try:
            await self._use(database)
            await self._catch_up(known, gaps.entries.values())
        except BaseException:
            # The next attempt must know what was given, whatever the file says.
            self.totals, self.ledger = totals, gaps
            await self._disconnect()
            raise

    async def _open_whole(self, *, first_seq: int, held: HighWater, points: Sequence[Point] = ()) -> Database:
        """Opens the file, and replaces it where it is damaged.

        Args:
            first_seq: first number of a fresh file.
            held: what was in the file, for one that cannot tell any more.
            points: of a fresh file.
        """
        fresh = is_fresh(self.path)
        try:
            return await self._open_database(first_seq=first_seq, points=points)
        except Damaged as damage:
            if fresh:
                remove(self.path)
                raise SpoolError(
                    f"Opening the spool {self.path}: a fresh file on its disk is damaged at once ({damage}). "
                    "Replace the disk, or point [database] path at another one."
                ) from damage
            self._above = first_seq = max(first_seq, self._above, damage.last_seq + 1)
            if not self.begun and not self.ledger.last:
                last = max(damage.ledger.last, held.last_gap) or first_seq - 1
                self.ledger = Ledger(damage.ledger.entries.values(), last=last, changes=damage.ledger.changes)
                self.rescues = [*damage.rescues]
                self.seen_before = {**damage.seen}
            if not self.begun:
                # Before it is moved, as it takes long where the file is large: who is killed meanwhile finds it again.
                self._rescued_points = points = await asyncio.to_thread(_points_in, self.path)
            pending = damage.pending_readings
            self._move_aside(
                pending=(held.waiting_readings or None) if pending is None else pending,
                aside=damage.readings - (pending or 0),
                oldest_at_ns=damage.oldest_at_ns or held.oldest_at_ns,
                named=len(points),
            )
        return await self._open_whole(first_seq=first_seq, held=HighWater(), points=points)

    async def _come_back(self, connection: aiosqlite.Connection) -> None:
        """Gives the open database its names again, after somebody deleted one of its files."""
        assert self._lock is not None
        assert self._names is not None
        await roll_back(connection)
        self._lock.renew()
        busy, log_frames, worked_in = (await self.fetch("PRAGMA wal_checkpoint(TRUNCATE)"))[0]
        if busy or log_frames != worked_in or not self._names.database_leads_there:
            await write_anew(connection, self.path, at_ns=self._now_ns())
        await self._disconnect()
        self.notice = f"somebody deleted files of {self.path} while they were in use; they were written anew"

    async def _catch_up(self, known: HighWater, gaps: Iterable[Entry] = ()) -> None:
        """Numbers on above what was given, where the file shows an earlier state than that.

        Args:
            known: what was given, and what waited.
            gaps: the ledger's rows that nobody was told of, as far as they are known.
        """
        lost = known.lost_readings(self.totals)
        passed = await self.read_passed()
        is_earlier = self.totals.last_seq < known.last_seq or self.totals.last_gap < known.last_gap
        if not (is_earlier or lost or passed.reserved < known.reserved):
            return
        connection = self._connected()
        if passed.reserved < known.reserved:
            await connection.execute_fetchall(WRITE_PASSED, passed._replace(reserved=known.reserved))
        if is_earlier:
            if self.totals.last_seq < known.last_seq:
                await connection.execute_fetchall(
                    "UPDATE totals SET last_seq = ?, accepted_batches = ?, accepted_readings = ?", known[:3]
                )
            await connection.executemany(WRITE_GAP, map(row_of_gap, gaps))
            await connection.execute_fetchall("UPDATE totals SET last_gap = max(last_gap, ?)", (known.last_gap,))
            self.ledger = await read_ledger(connection)
        await self._lose(lost, aside=0, oldest_at_ns=known.oldest_at_ns)
        await connection.commit()
        await self._read_anew(connection)
        self._count_lost(lost, aside=0)
        self.notice = (
            f"the newest commits are missing in {self.path}: its log was cut off, or an earlier file was put in its "
            f"place; at most {lost} readings are lost and counted"
        )

    async def _lose(self, lost: int | None, *, aside: int, oldest_at_ns: int) -> None:
        """Notes in the running transaction what is lost for good."""
        connection = self._connected()
        if lost != 0:
            now_ns = self._now_ns()
            gap = Gap("", "spool_damaged", min(oldest_at_ns, now_ns), now_ns, lost)
            change = self.ledger.change([gap], now_ns=now_ns)
            assert change is not None
            await write_gaps(connection, change)
        if readings := (lost or 0) + aside:
            await connection.execute_fetchall(
                "INSERT INTO dropped VALUES ('spool_damaged', ?) ON CONFLICT DO UPDATE SET readings = readings + ?",
                (readings, readings),
            )

    def _count_lost(self, lost: int | None, *, aside: int) -> None:
        if lost != 0:
            self._metrics.gaps.labels("spool_damaged").inc()
        self._metrics.dropped.labels("spool_damaged").inc((lost or 0) + aside)

    def _mark(self) -> None:
        if self._lock is not None:
            self._lock.note(HighWater.of(self.totals, reserved=self.reserved).packed)
            self._marked_s = time.monotonic()

    async def _open_database(self, *, first_seq: int, points: Sequence[Point]) -> Database:
        return await open_database(
            self.path,
            first_seq=first_seq,
            points=points,
            dropped=self.dropped,
            ledger=self.ledger,
            rescues=self.rescues,
            reserved=self.reserved,
            log_bytes=self._space.reserve.size_bytes or WAL_LIMIT_BYTES,
        )

    async def _use(self, database: Database) -> None:
        self._connection = database.connection
        self._names = Names(self.path)
        self.totals = database.totals
        self.dropped = database.dropped
        self._space.page_bytes = database.page_bytes
        self.ledger = database.ledger
        self.rescues = database.rescues
        self.seen = database.seen
        await self._account.begin(database.connection)

    def _move_aside(self, *, pending: int | None, aside: int, oldest_at_ns: int, named: int) -> None:
        damaged = move_aside(self.path, at_ns=self._now_ns())
        self._is_aside(damaged, pending=pending, aside=aside, oldest_at_ns=oldest_at_ns, named=named)

    def _is_aside(self, damaged: Path, *, pending: int | None, aside: int, oldest_at_ns: int, named: int) -> None:
        now_ns = self._now_ns()
        self.quarantined = damaged
        self.totals = Totals(last_seq=self.totals.last_seq)
        # Those before it as well: their points are known by the numbers that stood in this one.
        known = [rescue._replace(named=min(rescue.named, named)) for rescue in self.rescues]
        self.rescues = [*known, Rescue(self.quarantined.name, pending, aside, min(oldest_at_ns, now_ns), named)]

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


def _points_in(damaged: Path) -> Sequence[Point]:
    """The points that a damaged file still knows: its readings can be carried only under these numbers."""
    try:
        with Salvage(damaged) as salvage:
            return salvage.points
    except SpoolError:
        return ()
