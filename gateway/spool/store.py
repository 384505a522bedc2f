"""The spool as the flow and the uplink see it: a line of batches that wait for their commit, and rows that wait to go.

What is held in memory, and its bounds: batches not yet committed (`max_waiting_readings`, plus one batch of each source
that is made to wait) and the numbers of rows acknowledged but not yet deleted (what the uplink can acknowledge within
`LONGEST_ACK_S`; while the disk refuses, what it can read); one block that is being made, and one that is being read.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from gateway.batch import EMPTY, RECORD_BYTES, Batch
from gateway.config.models import DatabaseSettings
from gateway.errors import BadBatch, SpoolError, SpoolRefused
from gateway.gap import Gap
from gateway.metrics import Metrics
from gateway.points import PointTable
from gateway.spool.access import Access
from gateway.spool.agenda import Agenda
from gateway.spool.audit import Audit
from gateway.spool.budget.outlook import Outlook
from gateway.spool.budget.thinner import Thinner, ThinningRules
from gateway.spool.codec import checksum, encode
from gateway.spool.commit import Group, retry_after_s
from gateway.spool.held import Held
from gateway.spool.hold import Hold, Passed
from gateway.spool.ledger.gapdesk import Gaps
from gateway.spool.ledger.losses import gap_of_waiting
from gateway.spool.line import Line, Waiting
from gateway.spool.memory import Memory, forget_others
from gateway.spool.merge import Merger, block_readings
from gateway.spool.pace import ENOUGH_READINGS, Pace, ack_delay_s
from gateway.spool.plan import decide
from gateway.spool.reader import Closed, Reader
from gateway.spool.repair.recovery import Recovery
from gateway.spool.rows import Row, counted, read_row
from gateway.spool.spoolfile import SpoolFile
from gateway.spool.stats import Done, SpoolStats, stats_of
from gateway.together import until_one_ends

__all__ = ["LARGEST_BATCH_BYTES", "Spool"]

LOOK_INTERVAL_S: Final = 5.0
"""How often an idle spool looks after its file: whether it is still there, and whether space can be given back."""

PATIENCE_S: Final = 2.0
"""How long a patient caller waits for the file to be open."""

MARK_DELAY_S: Final = 5.0
"""Longest time a mark waits for a batch to share its commit with, where its own batch was filtered away."""

SPACE_INTERVAL_S: Final = 1.0
LARGEST_BATCH_BYTES: Final = 64 * 1024 * 1024
_UNSTORABLE: Final = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    TypeError,
    ValueError,
)
"""What SQLite and its binding raise about the values of a row, as opposed to the state of the disk."""


class Spool:
    """Batches on disk until the broker has them. Made by `open`; `run` must run for `append` to return."""

    def __init__(
        self,
        file: SpoolFile,
        *,
        settings: DatabaseSettings,
        metrics: Metrics,
        now_ns: Callable[[], int],
        jitter: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._file = file
        self._settings = settings
        self._metrics = metrics
        self._now_ns = now_ns
        self._jitter = jitter
        self._access = Access(file, settle=self._settle, replace=self._replace)
        self._wake = asyncio.Event()
        self._pace = Pace(settings.linger_ms / 1e3)
        self._enough_readings = min(ENOUGH_READINGS, settings.max_waiting_readings)
        self._line = Line(max_readings=settings.max_waiting_readings, wake=self._wake.set)
        self._hold = Hold(settings.hold_ms / 1e3)
        self._held = Held(self._hold, line=self._line, pace=self._pace, metrics=metrics, note=self._note)
        self._under_way = False
        """A transaction is decided on and not yet known to be over; until then nobody leaves the line."""
        self._hurried = False
        self._agenda = Agenda()
        self._ack_timer: asyncio.TimerHandle | None = None
        self._mark_timer: asyncio.TimerHandle | None = None
        self._outlook = Outlook(clock=clock, most_row_bytes=2 * block_readings(settings.max_bytes) * RECORD_BYTES)
        self._reader = Reader(
            readable=self._readable, acked=self._agenda.acked, unreadable=self._agenda.unreadable_blocks
        )
        self._merger = Merger(
            self._access.with_file,
            readings=block_readings(settings.max_bytes),
            taken=self._agenda.acked.__contains__,
            missed=self._agenda.given_up.__contains__,
            damaged=self._found_unreadable,
            made=self._block_made,
            now_ns=now_ns,
        )
        self._thinner = Thinner(
            self._access.with_file,
            points=lambda: self._file.points,
            taken=self._agenda.acked.__contains__,
            done=self._finish,
            now_ns=now_ns,
        )
        self._recovery = Recovery(
            file.path.parent,
            self._access.with_file,
            max_bytes=settings.max_bytes,
            came=self._came_late,
            ended=self._recovered,
        )
        self._late: Callable[[int, int], None] | None = None
        self._opened = asyncio.Event()
        self._gaps = Gaps(self._access.with_file, ledger=lambda: self._file.ledger, now_ns=now_ns)
        self._suspects = 0
        self._made_room = False
        self._error = ""
        self._done = Done()
        self._closed = False

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        settings: DatabaseSettings,
        metrics: Metrics,
        now_ns: Callable[[], int] = time.time_ns,
        jitter: Callable[[], float] = random.random,
        patient: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> Spool:
        """Opens the spool's file, or makes it. A damaged file is moved aside and replaced.

        Args:
            path: the file; its folder is made where it is missing.
            settings: limits, and what happens at them.
            metrics: where stored and dropped readings are counted.
            now_ns: UTC nanoseconds since 1970.
            jitter: 0 to 1, spreads retries.
            patient: where the disk refuses, another process uses the file, or it takes long, gives back a spool that is
                not open yet; `run` tries on, and `opened` waits for it.
            clock: seconds of a steady clock.

        Raises:
            SpoolRefused: a newer version or another program made the file.
            SpoolError: another process uses the file, or the disk refuses.
        """
        spool = cls(
            SpoolFile(path, metrics=metrics, now_ns=now_ns),
            settings=settings,
            metrics=metrics,
            now_ns=now_ns,
            jitter=jitter,
            clock=clock,
        )
        if not patient:
            await spool._settle()
            return spool
        opening = asyncio.create_task(spool._open_first(), name="opening the spool")
        try:
            await asyncio.wait({opening}, timeout=PATIENCE_S)
        except asyncio.CancelledError:
            opening.cancel()
            raise
        if opening.done() and (refused := opening.result()) is not None:
            raise refused
        return spool

    async def _open_first(self) -> SpoolRefused | None:
        """The first attempt to open the file; why it is refused. `run` makes all others."""
        self._error = (
            f"Opening the spool {self._file.path}: it is looked through, which takes seconds a gigabyte where it is "
            "damaged. It goes on by itself."
        )
        async with self._access.lock:
            try:
                await self._settle()
            except SpoolError as error:
                self._error = str(error)
                self._hurry()
                return error if isinstance(error, SpoolRefused) else None
        return None

    @property
    def is_open(self) -> bool:
        """Whether the file was opened. Before that there are no points, and nothing is stored or found."""
        return self._opened.is_set()

    async def opened(self) -> None:
        """Returns once the file is open."""
        await self._opened.wait()

    @property
    def points(self) -> PointTable:
        """The point table. New points are stored with the first batch after them."""
        return self._file.points

    async def append(
        self,
        device: str,
        batch: Batch,
        *,
        set_aside: bool = False,
        aside: Batch = EMPTY,
        mark: bytes = b"",
        gaps: Sequence[Gap] = (),
        offer: Callable[[int], bool] | None = None,
    ) -> int:
        """Stores a batch; returns once it is durable, or, with `hold_ms`, acknowledged.

        Waits while the disk refuses and while `max_waiting_readings` wait. A caller that is cancelled meanwhile does
        not take its batch back: it is stored all the same, if the process lives.

        Args:
            device: whose readings they are.
            batch: the readings.
            set_aside: keep the batch for a person to look at; `pending` never returns it.
            aside: readings to keep like that beside the batch. Both join the line together, so that a caller who is
                cancelled in between cannot lose one of them.
            mark: how far the device's source has come with this batch; committed with it, or, where there is nothing
                to store, within `MARK_DELAY_S`.
            gaps: what the source lost before this batch; committed with it, or soon where there is nothing to store.
            offer: offers the batch to the broker under this number, before it is durable; says whether it was taken.
                Called only where batches may be held, and once at most.

        Returns:
            The batch's number; 0 where nothing was stored: the batch was empty, or the spool is full and the batch was
            refused, which is counted as dropped by `spool_full`.

        Raises:
            SpoolError: this batch can never be stored, or the spool was closed before it was. Counted as dropped by
                `unstorable` or `spool_closed`.
        """
        parts = [
            self._prepare(device, part, set_aside=kept) for part, kept in ((aside, True), (batch, set_aside)) if part
        ]
        if not parts:
            self._note(device, mark)
            self.note_gaps(gaps)
            return 0
        largest_bytes = max(len(part.data) for part in parts)
        if largest_bytes > LARGEST_BATCH_BYTES:
            self.note_gaps(gaps)
            raise self._unstorable(parts, f"{largest_bytes} bytes, at most {LARGEST_BATCH_BYTES} are taken")
        parts[-1].mark = mark
        parts[-1].gaps = gaps
        if mark:
            self._agenda.marks.pop(device, None)  # it is older than the one that goes with this batch
        if offer is not None and self._may_hold(parts) and offer(self._hold.given + 1):
            self._held.begin(parts[0], asyncio.get_running_loop().time())
            if self._hold.to_note(parts[0].due_s) is not None:
                self._hurry()
            return await parts[0].stored
        try:
            await self._line.enter(*parts)
        except SpoolError:
            self._too_late(parts)
            raise
        except asyncio.CancelledError:
            if self._closed:  # then they have not joined the line
                self._too_late(parts)
            raise
        *_, seq = await asyncio.gather(*(part.stored for part in parts))
        return seq if batch else 0

    def _may_hold(self, parts: Sequence[Waiting]) -> bool:
        """Whether these may be offered before they are durable: one plain batch, behind others of that sort."""
        now_s = asyncio.get_running_loop().time()
        return (
            self._hold.may(now_s)
            and len(parts) == 1
            and not (parts[0].set_aside or parts[0].gaps)
            and not (self._line.unnumbered or self._suspects or self._error)
            and self._line.has_room
            and not self.points.unsaved()
        )

    def _prepare(self, device: str, batch: Batch, *, set_aside: bool) -> Waiting:
        codec, data = encode(batch)
        loop = asyncio.get_running_loop()
        return Waiting(
            # Microseconds are enough, and in a block of small batches a tenth of its bytes.
            at_ns=self._now_ns() // 1000 * 1000,
            readings=len(batch),
            codec=codec,
            checksum=checksum(device.encode(errors="replace"), data),
            device=device,
            data=data,
            set_aside=set_aside,
            stored=loop.create_future(),
            due_s=self._pace.come(device, len(batch), loop.time()),
        )

    async def pending(self, *, after: int, limit_readings: int, upto: int | None = None) -> list[Row]:
        """The oldest rows that wait for the broker. Never a row that is not durable.

        Args:
            after: only rows with a higher number.
            limit_readings: stop at the row that reaches this many readings; at least one row is returned.
            upto: only rows with this number or a lower one.

        Returns:
            Rows by number. There may be fewer than the limit allows; none means that there are none.

        Raises:
            SpoolError: the file cannot be read now.
        """
        while self._held and (upto is None or self._held.first <= upto):
            await self._commit()  # Whoever looks for them on disk must not miss them. A full spool makes room first.
        while True:
            found: list[Row] | Closed = []
            async with self._access.using("reading from"):
                await self._settle()
                last_seq = self._file.totals.last_seq
                found = await self._reader.find(
                    self._file,
                    after=after,
                    upto=last_seq if upto is None else min(upto, last_seq),
                    limit_readings=limit_readings,
                )
                if self._agenda.unreadable_blocks:
                    self._hurry()
            if not isinstance(found, Closed):
                return found
            await self._reader.open(found)
            after = found.after

    def ack(self, seqs: Iterable[int]) -> None:
        """Marks rows as delivered. `pending` does not return them again; they are deleted with a later commit.

        A crash before that commit sends them a second time, under the same numbers.
        """
        if self._held:
            now_s = asyncio.get_running_loop().time()
            seqs = [seq for seq in seqs if not self._held.take(seq, now_s)]
            self._let_passed_go()
        last_seq = self._file.totals.last_seq
        known = len(self._agenda.acked)
        self._agenda.acked.update(seq for seq in seqs if 0 < seq <= last_seq)
        if len(self._agenda.acked) > known and not self._error:
            self._made_room = False  # These make room as well, before anything else is given up.
        self._arm()

    def _let_passed_go(self) -> None:
        if not self._under_way:
            self._held.let_go()

    def give_up(self, seqs: Mapping[int, Gap]) -> None:
        """Marks rows as not to be delivered any more: like `ack`, and the gap of each is noted when it is deleted.

        Whoever gives them up counts their readings.
        """
        self.note_gaps([gap for seq, gap in seqs.items() if seq in self._held])
        last_seq = self._file.totals.last_seq
        self._agenda.given_up.update({seq: gap for seq, gap in seqs.items() if 0 < seq <= last_seq})
        self.ack(seqs)

    def note_gaps(self, gaps: Sequence[Gap]) -> None:
        """Notes what is missing, with the next commit."""
        if gaps:
            self._agenda.noted.add(gaps)
            self._hurry()

    def memory(self, device: str) -> Memory:
        """What this device's adapter remembers, kept in the spool's file."""
        return Memory(self._access.with_file, device)

    async def forget_others(self, devices: Iterable[str]) -> None:
        """Forgets what adapters remember of any other device than these."""
        await forget_others(self._access.with_file, devices)

    def thin_by(self, rules: ThinningRules) -> None:
        """Says what may be thinned from now on. It counts where `when_full` is `thin`."""
        if self._settings.when_full == "thin":
            self._thinner.rules = rules

    @property
    def seen_before(self) -> Mapping[str, int]:
        """When each device's batches were accepted last before the spool was opened, UTC ns: at most a minute early."""
        return self._file.seen_before

    @property
    def gaps(self) -> Gaps:
        """The gap ledger that is kept in the spool's file."""
        return self._gaps

    def audit(self, *, max_rows: int) -> Audit:
        """The audit that is kept in the spool's file.

        Args:
            max_rows: rows that are kept; the oldest make room.
        """
        return Audit(self._access.with_file, max_rows=max_rows)

    async def flush(self) -> None:
        """Returns once everything that was appended and acknowledged before the call is on disk.

        Waits while the disk refuses: the caller bounds it with `asyncio.timeout`.

        Raises:
            SpoolError: the spool was closed meanwhile, and what waited could not be stored.
        """
        failures = 0
        while True:
            try:
                return await self._commit_all()
            except SpoolError:
                if self._closed:
                    raise
                failures += 1
                await asyncio.sleep(retry_after_s(failures, jitter=self._jitter()))

    async def close(self) -> None:
        """Stores what waits, works the log into the database, and closes the file. A second call does nothing.

        Raises:
            SpoolError: the disk refuses what waits. It is counted as dropped by `spool_closed`, and the file is closed.
        """
        if self._closed:
            return
        self._closed = True
        self._line.close(self._closed_error())
        try:
            await self._commit_all()
            await self._note_passed(self._hold.at_the_end())
        finally:
            if self._abandon():
                with suppress(SpoolError):  # there is nobody left to tell
                    await self._commit()
            self._disarm()
            if self._mark_timer is not None:
                self._mark_timer.cancel()
            self._wake.set()
            async with self._access.lock:
                await self._file.close()

    async def run(self) -> None:
        """Commits what waits, and merges what stays, until it is cancelled or the spool is closed.

        Only one such task may run.
        """
        await until_one_ends(
            "spool",
            commits=self._run_commits(),
            merging=self._merger.run(),
            outlook=self._outlook.run(),
            recovery=self._recovery.run(),
        )

    async def _run_commits(self) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        next_look = loop.time() + SPACE_INTERVAL_S
        while not self._closed:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_INTERVAL_S):
                    await self._wake.wait()
            self._wake.clear()
            await self._linger()
            self._hurried = False
            try:
                await self._commit(what_is_due=True)
                await self._note_passed(self._hold.to_note(loop.time()))
                if self._held:
                    self._wake.set()
                if not self._line and loop.time() >= next_look:
                    next_look = loop.time() + SPACE_INTERVAL_S
                    async with self._access.using("giving back space of"):
                        await self._settle()
                        await self._file.give_back_space()
            except SpoolError:
                # `_commit` has put it into the stats; sources wait, so there is nothing to do but to try again.
                failures += 1
                await asyncio.sleep(retry_after_s(failures, jitter=self._jitter()))
                self._hurry()
            else:
                failures = 0

    async def _linger(self) -> None:
        """Lets others join those that wait, until the first of them must wait no longer."""
        loop = asyncio.get_running_loop()
        while self._line and self._line.due_s > loop.time() and not (self._error or self._closed or self._hurried):
            if self._line.unnumbered and self._line.readings >= self._enough_readings:
                return
            try:
                async with asyncio.timeout_at(self._line.due_s):
                    await self._wake.wait()
            except TimeoutError:
                return
            self._wake.clear()

    @property
    def stats(self) -> SpoolStats:
        """What there is to know about the spool now."""
        return stats_of(
            self._file,
            self._settings,
            error=self._error,
            hold=self._hold,
            done=self._done,
            waiting_readings=self._line.readings,
            rescued_readings=self._recovery.readings,
            outlook=self._outlook,
        )

    def _abandon(self) -> bool:
        """Answers those whose batches the disk refused to the end; whether there were any."""
        abandoned = [waiting for waiting in self._line.front() if not waiting.passed]
        self._too_late(abandoned)
        for waiting in abandoned:
            waiting.fail(self._closed_error())
        self._line.leave(len(self._line))
        return bool(abandoned)

    def _too_late(self, batches: Sequence[Waiting]) -> None:
        for waiting in batches:
            self._metrics.dropped.labels("spool_closed").inc(waiting.readings)
            self._agenda.noted.add((*waiting.gaps, gap_of_waiting(waiting, "spool_closed")))

    def _closed_error(self) -> SpoolError:
        return SpoolError(f"The spool {self._file.path} was closed before these readings were stored.")

    def _unstorable(self, batches: Sequence[Waiting], why: str) -> SpoolError:
        device, readings = batches[0].device, sum(waiting.readings for waiting in batches)
        self._metrics.dropped.labels("unstorable").inc(readings)
        self.note_gaps([gap_of_waiting(waiting, "unstorable") for waiting in batches])
        return SpoolError(
            f"Storing {readings} readings of {device!r} in the spool {self._file.path} is not possible: {why}. "
            "They are counted as dropped; the other readings are not affected. Please report this."
        )

    async def _commit_all(self) -> None:
        """Commits what waits now, and nothing that comes later; one failure ends it."""
        agenda, goal = self._agenda, self._line.entered
        acked = set(agenda.acked)
        while self._line.left < goal or not acked.isdisjoint(agenda.acked) or agenda.marks or agenda.noted:
            await self._commit()

    async def _note_passed(self, passed: Passed | None) -> None:
        """Writes down what was never written, and how far the numbers may come."""
        if passed is not None:
            seen = {**self._held.seen}
            await self._access.with_file("counting in", lambda file: file.note_passed(passed, seen))
            self._hold.noted(passed, asyncio.get_running_loop().time())
            self._held.seen_noted(seen)

    async def _commit(self, *, what_is_due: bool = False) -> None:
        """One transaction.

        Args:
            what_is_due: leave those in the line for which the broker still has time.
        """
        held = False

        def thins() -> bool:
            nonlocal held
            held = self._thinner.hopeful
            return held

        try:
            async with self._access.using("writing to"):
                await self._settle()
                self._let_passed_go()
                taken = self._front(what_is_due=what_is_due)
                self._under_way = True
                group = await decide(
                    self._file,
                    self._settings,
                    self._agenda,
                    taken=taken,
                    spare_the_stored=not self._made_room,
                    thins=thins,
                    spent=self._hold.given,
                    now_ns=self._now_ns(),
                )
                if group is None:
                    self._under_way = False
                else:
                    await self._carry_out(group)
                self._let_passed_go()
            if held:
                await self._make_room()
        except SpoolError as error:
            self._error = str(error)
            self._made_room = False
            self._agenda.refused()
            raise

    async def _carry_out(self, group: Group) -> None:
        try:
            await self._file.commit(group)
        except _UNSTORABLE as error:
            if not group.taken:
                raise
            self._under_way = False
            self._suspect(group, error)
        else:
            self._finish(group)

    async def _make_room(self) -> None:
        """Does something about a full spool before anything is dropped; what arrives waits meanwhile."""
        if not await self._merger.merge_settled():
            await self._thinner.thin()
        self._hurry()

    def _block_made(self, readings: int, size_bytes: int) -> None:
        self._outlook.measured(readings, size_bytes)
        self._thinner.look()

    async def _replace(self) -> None:
        self._hurry()  # What waits goes into the fresh file.
        self._hold.replaced()
        self._merger.pause()
        self._recovery.begin(self._agenda.acked, again=self._file.in_doubt)
        self._agenda.replaced()
        self._reader.forget()
        await self._file.replace()

    async def _settle(self) -> None:
        group = await self._file.settle()
        self._under_way = False
        if not self._opened.is_set():
            self._error = ""
            totals = self._file.totals
            self._merger.look(totals)
            self._outlook.measured(totals.block_readings, totals.block_bytes)
            self._hold.opened(totals.last_seq, await self._file.read_passed())
            if self._hold.enabled:
                self._hurry()
            self._opened.set()
        if self._file.rescues and not self._recovery.is_due:
            self._merger.pause()
            self._recovery.begin()
        if group is not None:
            self._finish(group)

    def _front(self, *, what_is_due: bool) -> list[Waiting]:
        """What the next transaction stores."""
        if self._error and self._agenda.acked and not self._made_room:
            # On a full disk deletions may still fit into the blocks that the file has, and they free others.
            return []
        if self._suspects:
            return self._line.front(1)
        if not what_is_due or self._line.unnumbered or not self._line:
            return self._line.front()
        now_s = asyncio.get_running_loop().time()
        due = self._line.due(now_s, ahead_s=self._hold.window_s / 2)
        if due:
            self._hold.late(now_s)
        return self._line.front(due)

    def _suspect(self, group: Group, error: Exception) -> None:
        """Finds the one batch that SQLite does not take: each of the group's batches gets a transaction of its own."""
        if group.taken == 1:
            (waiting,) = self._line.front(1)
            self.note_gaps(waiting.gaps)
            waiting.fail(self._unstorable([waiting], str(error)))
            self._held.withdraw(waiting)
            self._leave(1)
        else:
            self._suspects = group.taken
        self._hurry()

    def _leave(self, count: int) -> None:
        self._line.leave(count)
        self._suspects = max(0, self._suspects - count)

    def _finish(self, group: Group) -> None:
        """Says to everybody concerned that this group is on disk."""
        now_s = asyncio.get_running_loop().time()
        self._under_way = False
        for seq, waiting in group.numbered:
            waiting.answer(seq)
            self._pace.stored(waiting.device, now_s)
        # Taken while they were being written: rows that are to be deleted.
        self._agenda.acked.update(self._held.written(group))
        for waiting in group.refused:
            waiting.answer(0)
        self._leave(group.taken)
        deletions_left = self._agenda.done(group)
        self._merger.look(self._file.totals)
        if group.thinned is None:
            self._made_room = not group.taken and not deletions_left
        self._disarm()
        self._arm()
        self._metrics.stored.inc(self._done.note(group.stored))
        self._outlook.stored(group.stored)
        for cause, count in group.lost.items():
            self._metrics.dropped.labels(cause).inc(count)
        for cause in group.gaps.begun if group.gaps is not None else ():
            self._metrics.gaps.labels(cause).inc()
        self._error = ""
        if self._agenda.presses or deletions_left:
            self._hurry()
        if self._line:
            self._wake.set()

    def _arm(self) -> None:
        if self._agenda.acked and self._ack_timer is None and not self._closed:
            self._ack_timer = asyncio.get_running_loop().call_later(ack_delay_s(self._pace.gap_s), self._hurry)

    def _note(self, device: str, mark: bytes) -> None:
        if not mark or self._closed:
            return
        self._agenda.marks[device] = mark
        if self._mark_timer is None:
            self._mark_timer = asyncio.get_running_loop().call_later(MARK_DELAY_S, self._marks_are_due)

    def _marks_are_due(self) -> None:
        self._mark_timer = None
        self._hurry()

    def _hurry(self) -> None:
        """Has the next transaction carried out now, whatever waits for others."""
        self._hurried = True
        self._wake.set()

    def _disarm(self) -> None:
        if self._ack_timer is not None:
            self._ack_timer.cancel()
            self._ack_timer = None

    def on_late(self, tell: Callable[[int, int], None]) -> None:
        """Has somebody told of rows that come in below those that were read: the lowest and the highest number."""
        self._late = tell

    def _came_late(self, first: int, last: int) -> None:
        if self._late is not None:
            self._late(first, last)

    def _recovered(self) -> None:
        self._merger.resume(self._file.totals)
        self._thinner.begin_anew()

    def _readable(self, found: Sequence[Any]) -> list[Row]:
        rows = []
        for columns in found:
            seq, readings = columns[0], columns[3]
            if seq in self._agenda.acked or seq in self._agenda.unreadable:
                continue
            try:
                rows.append(read_row(columns))
            except (BadBatch, UnicodeDecodeError):
                self._found_unreadable(seq, counted(readings))
        return rows

    def _found_unreadable(self, seq: int, readings: int) -> None:
        self._agenda.unreadable[seq] = readings
        self._hurry()
