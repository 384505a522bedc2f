"""What the broker takes in time is never written; all else is, in order, under the number that it was sent by."""

import asyncio
import sys
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.batch import Kind
from gateway.metrics import Metrics
from gateway.spool.hold import FIRST_PAUSE_S, LONGEST_PAUSE_S, NOTE_S, RESERVED_NUMBERS, Hold, Passed
from tests.gateway.spool.harness import START_NS, batch_of, break_next_commit, copy_of, drain, replace, running
from tests.waiting import until

FIRST = START_NS // 1000
LONG_MS = 1_000


class Broker:
    """Takes what is offered, and acknowledges it when the test says so."""

    def __init__(self, *, takes=True):
        self.takes = takes
        self.offered = []

    def __call__(self, seq):
        if self.takes:
            self.offered.append(seq)
        return self.takes


@asynccontextmanager
async def holding(path, *, hold_ms=LONG_MS, **options):
    async with running(path, hold_ms=hold_ms, **options) as spool:
        await until(lambda: spool._hold.may(asyncio.get_running_loop().time()))
        yield spool


def begin(spool, broker, mark, *, device="plc", **options):
    return asyncio.create_task(spool.append(device, batch_of(2, mark=mark), offer=broker, **options))


async def stand(spool, broker, count):
    await until(lambda: len(broker.offered) == count)


async def test_what_the_broker_takes_in_time_is_never_written(path):
    metrics, broker = Metrics(), Broker()
    async with holding(path, metrics=metrics) as spool:
        commits = spool.stats.commits
        for mark in range(20):
            append = begin(spool, broker, mark)
            await stand(spool, broker, mark + 1)
            assert not append.done(), "the source is not told before it is safe"
            spool.ack([broker.offered[-1]])
            assert await append == FIRST + mark
        stats = spool.stats
        assert (stats.commits, stats.backlog_batches, stats.payload_bytes) == (commits, 0, 0)
        assert (stats.accepted_batches, stats.accepted_readings, stats.waiting_readings) == (20, 40, 0)
        assert (stats.passed_batches, stats.passed_readings, stats.last_seq) == (20, 40, FIRST + 19)
    assert metrics.snapshot()["tidegate_readings_passed_total"] == {"": 40}
    async with running(path) as spool:
        assert (spool.stats.accepted_batches, spool.stats.accepted_readings) == (20, 40)
        assert await spool.append("plc", batch_of(1)) == FIRST + 20, "a clean end leaves no number out"


async def test_what_it_does_not_take_in_time_is_written_and_can_still_be_acknowledged(path):
    broker = Broker()
    async with holding(path, hold_ms=50) as spool:
        assert await begin(spool, broker, 0) == broker.offered[0]
        assert [row.seq for row in await drain(spool)] == broker.offered
        spool.ack(broker.offered)
        await spool.flush()
        assert spool.stats.backlog_batches == 0
        assert (spool.stats.accepted_batches, spool.stats.passed_batches) == (1, 0)
        # The broker is late: the next ones are written first.
        assert await begin(spool, broker, 1) == broker.offered[0] + 1
        assert len(broker.offered) == 1


async def test_answers_in_any_order_leave_only_the_others_on_disk(path):
    broker = Broker()
    async with holding(path) as spool:
        appends = [begin(spool, broker, mark) for mark in range(6)]
        await stand(spool, broker, 6)
        for place in (4, 1, 2):
            spool.ack([broker.offered[place]])
            await appends[place]
        assert spool.stats.waiting_readings == 12, "those before them still wait"
        spool.ack([broker.offered[0]])
        assert spool.stats.waiting_readings == 6
        await spool.flush()
        assert [row.seq for row in await drain(spool)] == [broker.offered[3], broker.offered[5]]
        assert await asyncio.gather(*appends) == broker.offered == list(range(FIRST, FIRST + 6))
        assert (spool.stats.accepted_batches, spool.stats.passed_batches) == (6, 4)


async def test_whoever_reads_the_backlog_misses_none_that_is_held(path):
    broker = Broker()
    async with holding(path) as spool:
        append = begin(spool, broker, 0)
        await stand(spool, broker, 1)
        assert [row.seq for row in await spool.pending(after=0, limit_readings=10, upto=FIRST)] == [FIRST]
        assert await append == FIRST


async def test_a_batch_that_cannot_be_held_follows_those_that_are(path):
    broker, away = Broker(), Broker(takes=False)
    async with holding(path) as spool:
        held = begin(spool, broker, 0)
        await stand(spool, broker, 1)
        assert await begin(spool, away, 1) == FIRST + 1
        assert await held == FIRST
        await spool.append("plc", batch_of(1, mark=2), aside=batch_of(3), offer=broker)
        spool.points.intern("a/b/c/plc/new", device="plc", kind=Kind.F64)
        await spool.append("plc", batch_of(1, mark=3), offer=broker)
        assert broker.offered == [FIRST], "what has to be stored was not offered before"
        assert [row.seq - FIRST for row in await drain(spool)] == [0, 1, 3, 4]


async def test_an_answer_during_the_commit_deletes_the_row(path, monkeypatch):
    broker = Broker()
    async with holding(path) as spool:
        append = begin(spool, broker, 0)
        await stand(spool, broker, 1)
        connection = spool._file._connection
        commit = connection.commit

        async def commit_meanwhile():
            monkeypatch.undo()
            spool.ack(broker.offered)
            await commit()

        monkeypatch.setattr(connection, "commit", commit_meanwhile)
        await spool.flush()
        assert await append == FIRST
        await spool.flush()
        assert spool.stats.backlog_batches == 0
        assert (spool.stats.accepted_batches, spool.stats.passed_batches) == (1, 0)


@pytest.mark.parametrize("reached_the_disk", [True, False])
async def test_a_failed_commit_and_an_answer_leave_each_batch_once(path, monkeypatch, reached_the_disk):
    broker = Broker()
    async with holding(path) as spool:
        appends = [begin(spool, broker, mark) for mark in range(3)]
        await stand(spool, broker, 3)
        break_next_commit(spool, monkeypatch, reached_the_disk=reached_the_disk)
        flush = asyncio.create_task(spool.flush())
        await until(lambda: spool.stats.state == "failing")
        spool.ack([broker.offered[1]])
        await flush
        assert await asyncio.gather(*appends) == broker.offered
        await spool.flush()
        assert [row.seq for row in await drain(spool)] == [broker.offered[0], broker.offered[2]]
        assert spool.stats.accepted_batches == 3


async def test_a_crash_loses_what_was_held_and_gives_no_number_twice(path, tmp_path):
    broker = Broker()
    async with holding(path) as spool:
        for mark in range(3):
            append = begin(spool, broker, mark)
            await stand(spool, broker, mark + 1)
            spool.ack([broker.offered[-1]])
            await append
        held = begin(spool, broker, 3)
        await stand(spool, broker, 4)
        copy = copy_of(path, tmp_path / "crashed" / "spool.db")
        spool.ack([broker.offered[-1]])
        await held
    for hold_ms in (LONG_MS, 0):
        async with running(copy, hold_ms=hold_ms) as spool:
            assert await drain(spool) == []
            seq = await spool.append("plc", batch_of(1))
            assert seq > max(broker.offered)
            broker.offered.append(seq)
            spool.ack([seq])


actions = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["hold", "hold", "write", "aside"]), st.integers(0, 3)),
        st.tuples(st.just("take"), st.integers(0, 6)),
        st.tuples(st.sampled_from(["flush", "read", "rest", "fail"]), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=20, deadline=None)
@given(actions=actions)
def test_in_any_order_of_events_each_batch_is_safe_once(actions):
    asyncio.run(live(actions))


async def live(actions):
    """One life: batches that are held and such that are not, answers, reading, disks that refuse; then a crash."""
    with tempfile.TemporaryDirectory() as folder:
        path, copy = Path(folder) / "spool.db", Path(folder) / "crashed.db"
        async with holding(path) as spool:
            begun, gone, aside, offered = [], set(), 0, []
            for number, (action, which) in enumerate(actions):
                if action in ("hold", "write", "aside"):
                    offer = offered.append if action == "hold" else None
                    taken = {} if offer is None else {"offer": lambda seq, offer=offer: offer(seq) is None}
                    task = asyncio.create_task(
                        spool.append(f"plc-{which}", batch_of(2, mark=number), set_aside=action == "aside", **taken)
                    )
                    begun.append((task, number, action == "aside"))
                    aside += action == "aside"
                    await asyncio.sleep(0)
                elif action == "take":
                    waiting = [seq for seq in offered if seq not in gone]
                    if which < len(waiting):
                        spool.ack([waiting[which]])
                        gone.add(waiting[which])
                elif action == "flush":
                    await spool.flush()
                elif action == "read":
                    rows = await spool.pending(after=0, limit_readings=1_000)
                    assert not gone & {row.seq for row in rows}
                elif action == "fail":
                    with pytest.MonkeyPatch.context() as patch:
                        break_next_commit(spool, patch, reached_the_disk=bool(number % 2))
                        await asyncio.sleep(0.01)
                else:
                    await asyncio.sleep(0.005)
            told = {seq for task, _, _ in begun if task.done() for seq in [task.result()]}
            copy_of(path, copy)
            await spool.flush()
            seqs = [await task for task, *_ in begun]
            assert seqs == list(range(seqs[0], seqs[0] + len(seqs))) if seqs else not told
            assert set(offered) <= set(seqs)
            kept = [seq for seq, (*_, is_aside) in zip(seqs, begun, strict=True) if not is_aside and seq not in gone]
            assert [row.seq for row in await drain(spool)] == kept
            stats = spool.stats
            assert (stats.accepted_batches, stats.set_aside_batches) == (len(begun), aside)
            assert stats.waiting_readings == 0
            set_aside = {seq for seq, (*_, is_aside) in zip(seqs, begun, strict=True) if is_aside}
        async with running(copy, hold_ms=LONG_MS) as spool:
            there = {row.seq for row in await drain(spool)}
            assert told - gone - set_aside <= there, "a source was told that these are safe"
            assert await spool.append("plc", batch_of(1)) > max(seqs, default=0)


async def test_a_kill_loses_only_what_no_source_was_told_of(path):
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.gateway.spool.holder", str(path), stdout=asyncio.subprocess.PIPE
    )
    told = []
    try:
        async with asyncio.timeout(60):
            while len(told) < 2_000:
                told.append(await child.stdout.readline())
    finally:
        child.kill()
        rest, _ = await child.communicate()
    seqs = {"sent": [], "taken": [], "told": []}
    for line in (*told, *rest.splitlines(keepends=True)):
        if line.endswith(b"\n"):
            what, seq = line.split()
            seqs[what.decode()].append(int(seq))
    assert len(set(seqs["sent"])) == len(seqs["sent"])
    async with running(path) as spool:
        safe = {row.seq for row in await drain(spool)} | set(seqs["taken"])
        assert set(seqs["told"]) <= safe, "a source was told that these are safe"
        assert len(set(seqs["sent"]) - safe) <= 8, "one of each source was held"
        assert spool.stats.backlog_batches > 0, "what the broker did not take in time is on disk"
        assert await spool.append("plc", batch_of(1)) > max(seqs["sent"])


async def test_a_fresh_file_goes_on_above_what_was_held(path):
    broker = Broker()
    async with holding(path) as spool:
        append = begin(spool, broker, 0)
        await stand(spool, broker, 1)
        spool.ack(broker.offered)
        await append
        await replace(spool)
        assert spool.stats.accepted_batches == 0
        await until(lambda: spool._hold.may(asyncio.get_running_loop().time()))
        append = begin(spool, broker, 1)
        await stand(spool, broker, 2)
        assert broker.offered == [FIRST, FIRST + 1]
        spool.ack(broker.offered)
        await append
        assert spool.stats.accepted_batches == 1


async def test_without_hold_nothing_is_offered_early(path):
    broker = Broker()
    async with running(path) as spool:
        await begin(spool, broker, 0)
        assert not broker.offered
        assert [row.seq for row in await drain(spool)] == [FIRST]


async def test_marks_of_what_passed_are_kept(path):
    broker = Broker()
    async with holding(path) as spool:
        append = asyncio.create_task(spool.append("plc", batch_of(1), mark=b"one", offer=broker))
        await stand(spool, broker, 1)
        spool.ack(broker.offered)
        await append
        await spool.flush()
        assert (await spool.memory("plc").recall())[1] == b"one"


def test_numbers_are_given_only_as_far_as_the_disk_knows():
    hold = Hold(0.1)
    assert not hold.may(0.0)
    hold.opened(50, Passed(reserved=70, batches=3, readings=9))
    assert (hold.given, hold.batches, hold.readings) == (70, 3, 9)
    assert not hold.may(0.0), "what an earlier process reserved is spent"
    note = hold.to_note(0.0)
    assert note == Passed(70 + RESERVED_NUMBERS, 3, 9)
    hold.noted(note, 0.0)
    assert hold.may(0.0)
    hold.given += RESERVED_NUMBERS
    assert not hold.may(0.0)
    assert hold.to_note(0.0).reserved == hold.given + RESERVED_NUMBERS


def test_the_count_is_noted_once_a_minute_and_at_the_end():
    hold = Hold(0.1)
    hold.opened(50, Passed())
    hold.noted(hold.to_note(0.0), 0.0)
    hold.given += 1
    hold.passed(10)
    assert hold.to_note(NOTE_S - 1) is None
    assert hold.to_note(NOTE_S) == Passed(51 + RESERVED_NUMBERS, 1, 10)
    assert hold.at_the_end() == Passed(51, 1, 10)
    assert Hold(0.0).to_note(NOTE_S) is None
    assert Hold(0.0).at_the_end() is None


def test_a_late_broker_is_asked_less_and_less_often():
    hold = Hold(0.1)
    hold.noted(Passed(reserved=10), 0.0)
    now_s, pauses = 0.0, []
    for _ in range(9):
        hold.late(now_s)
        hold.late(now_s)  # of the same moment
        began_s = now_s
        while not hold.may(now_s):
            now_s += 0.5
        pauses.append(now_s - began_s)
    assert pauses[:4] == [FIRST_PAUSE_S, 2.0, 4.0, 8.0]
    assert pauses[-1] == LONGEST_PAUSE_S
    hold.passed(1)
    hold.late(now_s)
    assert hold.may(now_s + FIRST_PAUSE_S)
