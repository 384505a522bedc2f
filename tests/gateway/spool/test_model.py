"""The spool against a model of a few lines, over random lives: full, drained, closed, crashed, opened again.

The gap ledger is part of it: every reading that was accepted, or refused, and neither waits nor was acknowledged stands
in a row of the ledger, counted once, under its device and cause, within the row's interval.

Where the policy is `thin`, the pure function that thins says what is left of a block; what it may take is proven by
its own tests.

Bugs that were planted, and that 25 lives find: callers answered before their commit instead of after it; the deletion
of what was acknowledged reaching one row too far. A deletion forgotten when its commit fails is not found here, where
no commit fails, but in test_failures.py: it only sends a row twice.

TIDEGATE_LIVES says how many lives; `make lives` runs 2,000.
"""

import asyncio
import math
import os
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.batch import Batch, Reading
from gateway.gap import Gap, gap_of
from gateway.spool import ThinningRules, merge
from gateway.spool.block import Entry
from gateway.spool.blocks import seal
from gateway.spool.budget.thinning import thin
from gateway.spool.ledger.gaps import QUIET_NS
from tests.gateway.spool.harness import START_NS, batch_of, copy_of, drain, open_spool, read_gaps

LIVES = int(os.environ.get("TIDEGATE_LIVES", "25"))
MAX_BYTES = 4000
POINTS = {"a": 1, "b": 2}
BOUND = 0.5
RULES = ThinningRules({(f"site/{device}/tag", ""): BOUND for device in POINTS}, lambda batch, _: len(batch) < 60)


@dataclass
class Stored:
    device: str
    batch: Batch
    set_aside: bool
    at_ns: int

    @property
    def size_bytes(self) -> int:
        return 4 + self.batch.nbytes


def steady(readings, *, mark, point):
    """A batch of which all may go: one behind the other in time, and some in a row have nearly one value."""
    return Batch.of(
        Reading(START_NS + mark * 1000 + index, mark // 4 + math.sin(mark * 70 + index) / 5, point)
        for index in range(readings)
    )


def counted_by_kind(gaps):
    readings = Counter()
    for gap in gaps:
        readings[gap.device, gap.cause] += gap.readings
    return readings


class SpoolLife(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.patches = pytest.MonkeyPatch()
        self.patches.setattr(merge, "SETTLED_NS", 1 << 62)  # only the rule merges, whatever the clock says
        self.lives = 0
        self.path = self.folder / "0" / "spool.db"
        self.runner = asyncio.Runner()
        self.rows: dict[int, Stored] = {}
        self.acked: set[int] = set()
        self.next_seq = START_NS // 1000
        self.accepted_readings = 0
        self.dropped_readings = 0
        self.mark = 0
        self.now_ns = START_NS
        self.missing: list[Gap] = []
        """One for each batch that is missing."""
        self.given_up: set[int] = set()
        """Some of `acked`: nobody took them."""
        self.untold: dict[int, Gap] = {}
        """What was handed out to be told, by number."""
        self.blocks: dict[int, tuple[set[int], int]] = {}
        """By last number: those that wait, and what it takes."""
        self.thinned: set[int] = set()
        """Which of them were thinned."""
        self.passed = 0
        """The last one that this process has tried to thin."""
        self.thinned_readings = 0

    @initialize(when_full=st.sampled_from(["drop_oldest", "drop_newest", "thin", "thin"]))
    def begin(self, when_full):
        self.when_full = when_full
        self.runner.run(self.open())

    async def open(self):
        self.spool = await open_spool(
            self.path, now_ns=lambda: self.now_ns, max_bytes=MAX_BYTES, when_full=self.when_full
        )
        for device, number in POINTS.items():
            assert self.spool.points.intern(f"site/{device}/tag", device=device) == number
        self.spool.thin_by(RULES)
        self.passed = 0
        self.task = asyncio.create_task(self.spool.run())

    async def close(self):
        await self.spool.close()
        await self.task

    def forget_acked(self):
        self.forget(self.acked)
        self.acked.clear()

    def miss(self, row, cause):
        self.missing.append(gap_of(row.device, cause, row.batch))

    def forget(self, seqs):
        for seq in seqs:
            row = self.rows.pop(seq, None)
            if row is not None and seq in self.given_up:
                self.miss(row, "offline_disabled")
            self.given_up.discard(seq)
        for last, (inside, _) in list(self.blocks.items()):
            inside.intersection_update(self.rows)
            if not inside:
                del self.blocks[last]

    def waits(self, seq):
        """Whether it is still to be sent."""
        return not self.rows[seq].set_aside and seq not in self.acked

    def loose(self):
        """What is a row of its own, by number."""
        inside = set().union(*(seqs for seqs, _ in self.blocks.values()))
        return {seq: row for seq, row in self.rows.items() if seq not in inside}

    def used_bytes(self):
        return sum(row.size_bytes for row in self.loose().values()) + sum(size for _, size in self.blocks.values())

    def store(self, row):
        """What one append does to the model; the number it must return."""
        self.forget_acked()
        drop_oldest = self.when_full != "drop_newest" and row.size_bytes <= MAX_BYTES
        while drop_oldest and self.used_bytes() + row.size_bytes > MAX_BYTES and self.next_to_thin():
            self.thin(self.next_to_thin())
        loose = self.loose()
        order = sorted([*loose, *self.blocks], key=lambda seq: (seq in self.blocks or not loose[seq].set_aside, seq))
        victims = order if drop_oldest else []
        while victims and self.used_bytes() + row.size_bytes > MAX_BYTES:
            victim = victims.pop(0)
            gone = set(self.blocks[victim][0]) if victim in self.blocks else {victim}
            self.dropped_readings += sum(len(self.rows[seq].batch) for seq in gone)
            for seq in gone:
                if not self.rows[seq].set_aside:  # that was told when it was set aside
                    self.miss(self.rows[seq], "spool_full")
            self.forget(gone)
        if self.used_bytes() + row.size_bytes > MAX_BYTES:
            self.dropped_readings += len(row.batch)
            self.miss(row, "spool_full")
            return 0
        if row.set_aside:
            self.miss(row, "set_aside")
        self.rows[self.next_seq] = row
        self.next_seq += 1
        self.accepted_readings += len(row.batch)
        return self.next_seq - 1

    def next_to_thin(self):
        """The last number of the oldest block that was not tried; None where there is none, or nothing is thinned."""
        fresh = [last for last in self.blocks if last > self.passed and last not in self.thinned]
        return min(fresh, default=None) if self.when_full == "thin" else None

    def thin(self, last):
        """What the attempt to thin a block does to the model."""
        self.passed = last
        inside, size_bytes = self.blocks[last]
        rows = {seq: self.rows[seq] for seq in sorted(inside)}
        entries = [Entry(seq, row.at_ns, row.device, row.batch) for seq, row in rows.items()]
        bounds = dict.fromkeys(POINTS.values(), BOUND)
        result = thin(entries, bounds, untouched=lambda entry: not RULES.whole(entry.batch, ()))
        if not result.removed or inside & self.acked:
            return
        size = len(seal(result.entries).data)
        if size > 0.9 * size_bytes:
            return
        left = {entry.seq: entry.batch for entry in result.entries}
        for seq, row in rows.items():
            if seq in left:
                self.rows[seq] = replace(row, batch=left[seq])
            else:
                del self.rows[seq]
        for one in result.removed:
            self.missing.append(Gap(one.device, "thinned", one.first_ns, one.last_ns, one.readings, "tag"))
        self.thinned_readings += result.readings
        del self.blocks[last]
        self.blocks[max(left)] = (set(left), size)
        self.thinned.add(max(left))

    @rule()
    def thin_before_it_is_full(self):
        if self.when_full == "thin":
            last = self.next_to_thin()
            self.runner.run(self.spool._thinner.thin())
            if last is not None:
                self.thin(last)

    @rule(sizes=st.lists(st.integers(1, 15), min_size=2, max_size=6))
    def append_some(self, sizes):
        for readings in sizes:
            self.append(readings, "a", set_aside=False)

    @rule(readings=st.integers(1, 70), device=st.sampled_from("ab"), set_aside=st.sampled_from([False, False, True]))
    def append(self, readings, device, set_aside):
        self.mark += 1
        make = steady if self.mark % 4 else batch_of
        batch = make(readings, mark=self.mark, point=POINTS[device])
        row = Stored(device, batch, set_aside, self.now_ns // 1000 * 1000)
        seq = self.runner.run(self.spool.append(device, row.batch, set_aside=set_aside))
        assert seq == self.store(row)

    @rule(data=st.data(), flush=st.booleans())
    def ack(self, data, flush):
        pending = [*filter(self.waits, self.rows)]
        chosen = data.draw(st.lists(st.sampled_from(pending))) if pending else []

        async def ack():
            self.spool.ack(chosen)

        self.runner.run(ack())
        self.acked.update(chosen)
        if flush:
            self.flush()

    @rule(data=st.data(), flush=st.booleans())
    def give_up(self, data, flush):
        pending = [*filter(self.waits, self.rows)]
        chosen = data.draw(st.lists(st.sampled_from(pending))) if pending else []

        async def give_up():
            rows = {seq: self.rows[seq] for seq in chosen}
            self.spool.give_up({seq: gap_of(row.device, "offline_disabled", row.batch) for seq, row in rows.items()})

        self.runner.run(give_up())
        self.acked.update(chosen)
        self.given_up.update(chosen)
        if flush:
            self.flush()

    @rule(limit=st.integers(1, 3), told=st.booleans())
    def tell(self, limit, told):
        """The same number says the same thing for good, however often and in however many lives it is handed out."""
        self.now_ns += QUIET_NS
        entries = self.runner.run(self.spool.gaps.take(limit))
        for entry in entries:
            assert self.untold.setdefault(entry.number, entry.gap) == entry.gap
        if told:
            self.runner.run(self.spool.gaps.told([entry.number for entry in entries]))

    @rule(data=st.data(), limit=st.integers(1, 100))
    def pending(self, data, limit):
        numbers = st.integers(START_NS // 1000 - 1, self.next_seq)
        after, upto = data.draw(numbers), data.draw(st.none() | numbers)
        found = [seq for seq in self.rows if after < seq <= (upto or seq) and self.waits(seq)]
        rows = self.runner.run(self.spool.pending(after=after, limit_readings=limit, upto=upto))
        assert [row.seq for row in rows] == found[: len(rows)]
        assert bool(rows) == bool(found)
        assert sum(row.readings for row in rows[:-1]) < limit

    @rule(data=st.data())
    def merge(self, data):
        waiting = [row for seq, row in self.loose().items() if self.waits(seq)]
        self.merge_rows(data.draw(st.integers(1, 1 + sum(len(row.batch) for row in waiting))))

    @rule(rows=st.integers(2, 9), readings=st.integers(5, 20), device=st.sampled_from("ab"))
    def append_and_merge(self, rows, readings, device):
        for _ in range(rows):
            self.append(readings, device, set_aside=False)
        waiting = [row for seq, row in self.loose().items() if self.waits(seq)]
        self.merge_rows(sum(len(row.batch) for row in waiting))

    def merge_rows(self, readings):
        run, gathered = [], 0
        for seq, row in self.loose().items():
            if gathered < readings and self.waits(seq):
                run.append(seq)
                gathered += len(row.batch)
        self.spool._merger.readings = readings
        merged = self.runner.run(self.spool._merger.merge())
        given_up_between = any(run[0] <= seq <= run[-1] for seq in self.given_up & self.loose().keys() if run)
        assert merged == (gathered if gathered >= readings else 0) or (given_up_between and not merged)
        if merged:
            sql = "SELECT bytes FROM blocks WHERE last = ? AND first = ?"
            ((size_bytes,),) = self.runner.run(self.spool._file.fetch(sql, (run[-1], run[0])))
            between = {seq for seq in self.acked & self.loose().keys() if run[0] <= seq <= run[-1]}
            self.forget(between)
            self.acked -= between
            self.blocks[run[-1]] = (set(run), size_bytes)

    @rule()
    def flush(self):
        self.runner.run(self.spool.flush())
        self.forget_acked()

    @rule()
    def close_and_reopen(self):
        self.runner.run(self.close())
        self.forget_acked()
        self.runner.run(self.open())

    @rule()
    def crash_and_reopen(self):
        """The copy of a database and its log, taken in mid-life, is what a power cut leaves."""
        self.lives += 1
        copy = copy_of(self.path, self.folder / str(self.lives) / "spool.db")
        self.runner.run(self.close())
        self.path = copy
        self.runner.run(self.open())
        there = {row.seq for row in self.runner.run(drain(self.spool))}
        self.forget(self.acked - there)
        self.acked.clear()
        self.given_up.clear()

    @invariant()
    def what_is_there_is_what_the_model_says(self):
        if not hasattr(self, "spool"):
            return
        expected = [(seq, row.device, row.batch) for seq, row in self.rows.items() if self.waits(seq)]
        found = self.runner.run(drain(self.spool))
        assert [(row.seq, row.device, row.batch) for row in found] == expected
        stats = self.spool.stats
        assert stats.last_seq == self.next_seq - 1
        assert stats.accepted_readings == self.accepted_readings
        assert stats.dropped.get("spool_full", 0) == self.dropped_readings
        assert stats.dropped.get("thinned", 0) == self.thinned_readings
        assert stats.set_aside_batches == sum(row.set_aside for row in self.rows.values())
        # To the byte, but for what is taken and may be gone already. A block may be larger than its rows were.
        taken = sum(row.size_bytes for seq, row in self.loose().items() if seq in self.acked)
        taken += sum(size for inside, size in self.blocks.values() if inside <= self.acked)
        assert self.used_bytes() - taken <= stats.backlog_bytes + stats.set_aside_bytes <= self.used_bytes()
        assert self.used_bytes() <= MAX_BYTES or self.blocks
        # Those of which all was taken may be gone already.
        waiting_blocks = sum(not inside <= self.acked for inside, _ in self.blocks.values())
        assert waiting_blocks <= stats.blocks <= len(self.blocks)
        assert len(expected) <= stats.backlog_batches <= len(expected) + len(self.acked)

    @invariant()
    def what_is_missing_stands_in_the_ledger(self):
        if not hasattr(self, "spool"):
            return
        rows = [entry.gap for entry in read_gaps(self.path)]
        for gap in self.missing:
            assert any(
                (row.device, row.cause) == (gap.device, gap.cause)
                and row.from_ns <= gap.from_ns
                and gap.to_ns <= row.to_ns
                for row in rows
            )
        found, missing, perhaps = (counted_by_kind(gaps) for gaps in (rows, self.missing, self.given_up_gaps()))
        assert missing <= found <= missing + perhaps

    def given_up_gaps(self):
        """Of those whose deletion may have been committed, or not."""
        return [gap_of(self.rows[seq].device, "offline_disabled", self.rows[seq].batch) for seq in self.given_up]

    def teardown(self):
        if hasattr(self, "spool"):
            self.runner.run(self.close())
        self.runner.close()
        self.patches.undo()
        shutil.rmtree(self.folder)


SpoolLife.TestCase.settings = settings(max_examples=LIVES, stateful_step_count=30, deadline=None)
TestSpoolLife = SpoolLife.TestCase
