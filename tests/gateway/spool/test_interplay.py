"""Where what one part of the spool does meets what another does: nothing is lost in silence, no number names two."""

import asyncio
import shutil
import sqlite3
import threading

import pytest

from gateway.errors import SpoolError
from gateway.gap import Gap, gap_of
from gateway.metrics import Metrics
from gateway.spool import merge, spoolfile
from gateway.spool.files import move_aside
from gateway.spool.repair import recovery
from tests.gateway.spool.harness import (
    START_NS,
    batch_of,
    break_next_commit,
    copy_of,
    drain,
    dropped,
    execute,
    open_spool,
    read_gaps,
    replace,
    rescued,
    running,
)
from tests.gateway.spool.test_hold import FIRST, Broker, begin, holding, stand
from tests.waiting import until


async def test_a_gap_that_is_written_in_doubt_is_not_overwritten(path, monkeypatch):
    """A rescue's end of unknown outcome, and another gap before it is tried again."""
    monkeypatch.setattr(recovery, "_PAUSE_S", 3600.0)
    async with running(path) as spool:
        await spool.append("plc", batch_of(10))
        monkeypatch.setattr(recovery.Recovery, "_carry", lambda self, rescue: self._end(rescue, held=None, aside=0))
        await replace(spool)
        commit = type(spool._file._connection).commit
        connection = spool._file._connection

        async def broken():
            monkeypatch.setattr(connection, "commit", commit.__get__(connection))
            await connection.commit()
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(connection, "commit", broken)
        await until(lambda: any(entry.gap.cause == "spool_damaged" for entry in read_gaps(path)))
        await asyncio.sleep(0.05)
        spool.note_gaps([Gap("press", "unstorable", START_NS, START_NS, 3)])
        await spool.flush()
    causes = {entry.gap.cause: entry.gap.readings for entry in read_gaps(path)}
    assert causes == {"spool_damaged": 10, "unstorable": 3}


async def test_what_was_given_up_and_not_yet_deleted_is_told_where_the_file_is_replaced(path):
    async with running(path) as spool:
        spool.points.intern("a/b/c/plc/level", device="plc")
        seq = await spool.append("plc", batch_of(10))
        spool.give_up({seq: gap_of("plc", "offline_disabled", batch_of(10))})
        await replace(spool)
        await rescued(spool)
        await spool.flush()
        assert await drain(spool) == []
    assert [(entry.gap.cause, entry.gap.readings) for entry in read_gaps(path)] == [("offline_disabled", 10)]


@pytest.mark.parametrize("hold_ms", [0, 1000])
async def test_batches_of_a_commit_in_doubt_are_stored_once_where_the_file_is_replaced(path, monkeypatch, hold_ms):
    """The damaged file has them, and so has the line; and it is rescued before the line is written again."""
    broker = Broker(takes=bool(hold_ms))
    async with holding(path, hold_ms=hold_ms) if hold_ms else running(path) as spool:
        spool.points.intern("a/b/c/plc/level", device="plc")
        first = await spool.append("plc", batch_of(10))
        wait = asyncio.Event()
        commit = spool._commit

        async def stopped(**_options):
            await wait.wait()
            await commit()

        monkeypatch.setattr(spool, "_commit", stopped)
        append = begin(spool, broker, 7)
        await until(lambda: len(spool._line))
        with monkeypatch.context() as broken:
            break_next_commit(spool, broken, reached_the_disk=True)
            with pytest.raises(SpoolError, match="I/O"):
                await commit()
        await replace(spool)
        await rescued(spool)
        wait.set()
        seq = await append
        assert [(row.seq, row.batch) for row in await drain(spool)] == [
            (first, batch_of(10)),
            (seq, batch_of(2, mark=7)),
        ]
        assert spool.stats.dropped == {}


async def test_a_fresh_file_knows_how_far_held_numbers_have_come(path, tmp_path):
    broker = Broker()
    async with holding(path) as spool:
        await spool.append("plc", batch_of(1))
        for mark in range(5):
            append = begin(spool, broker, mark)
            await stand(spool, broker, mark + 1)
            spool.ack(broker.offered)
            await append
        async with spool._access.lock:
            await spool._replace()
            copy = copy_of(path, tmp_path / "crashed" / "spool.db", ".lock")
    async with running(copy) as spool:
        assert await spool.append("plc", batch_of(1)) > max(broker.offered)


async def test_a_log_that_was_cut_off_takes_no_held_number_with_it(path, tmp_path):
    broker = Broker()
    async with running(path) as spool:
        await spool.append("plc", batch_of(1))
    async with holding(path) as spool:
        await spool._file.fetch("PRAGMA wal_checkpoint(TRUNCATE)")
        old = tmp_path / "old.db"
        shutil.copy(path, old)
    execute(old, "DELETE FROM passed")
    async with holding(path) as spool:
        append = begin(spool, broker, 0)
        await stand(spool, broker, 1)
        spool.ack(broker.offered)
        await append
        copy = copy_of(path, tmp_path / "crashed" / "spool.db", ".lock")
    shutil.copy(old, copy)
    copy.with_name("spool.db-wal").unlink()
    async with running(copy) as spool:
        assert await spool.append("plc", batch_of(1)) > max(broker.offered)


async def test_a_held_batch_that_cannot_be_stored_does_not_stop_the_rest(path):
    broker = Broker()
    async with holding(path, hold_ms=20) as spool:
        with pytest.raises(SpoolError, match="not possible"):
            await begin(spool, broker, 1, device="\ud800")
        assert not spool._held
        assert await spool.append("plc", batch_of(1))


async def test_who_reads_the_backlog_of_a_full_spool_misses_none_that_is_held(path):
    broker = Broker()
    size = 4 + batch_of(2).nbytes
    async with holding(path, max_bytes=3 * size) as spool:
        seqs = [await spool.append("plc", batch_of(2)) for _ in range(3)]
        spool._hold._paused_until_s = 0
        append = begin(spool, broker, 1)
        await stand(spool, broker, 1)
        spool.ack(seqs[:1])
        found = await spool.pending(after=seqs[-1], limit_readings=10, upto=broker.offered[0])
        assert [row.seq for row in found] == broker.offered
        await append


async def test_a_mark_is_never_followed_by_an_older_one(path):
    broker = Broker()
    async with holding(path) as spool:
        other = begin(spool, broker, 0, device="other")
        await stand(spool, broker, 1)
        one = asyncio.create_task(spool.append("plc", batch_of(1), mark=b"one", offer=broker))
        await stand(spool, broker, 2)
        spool.ack([broker.offered[1]])
        await one
        two = asyncio.create_task(spool.append("plc", batch_of(2), mark=b"two", offer=broker))
        await stand(spool, broker, 3)
        spool.ack([broker.offered[0]])
        await other
        await spool.flush()
        await two
        assert (await spool.memory("plc").recall())[1] == b"two"


async def test_what_the_budget_keeps_from_a_rescue_is_counted_where_only_the_file_says_how_much_it_held(
    path, monkeypatch
):
    monkeypatch.setattr(recovery, "STEP_BATCHES", 10)
    async with running(path) as spool:
        spool.points.intern("a/b/c/plc/level", device="plc")
        for n in range(100):
            await spool.append("plc", batch_of(20, mark=n))
    path.with_name("spool.db.lock").unlink()
    content = bytearray(path.read_bytes())
    content[:100] = b"\xa5" * 100
    path.write_bytes(content)
    async with running(path, max_bytes=20_000, when_full="drop_newest") as spool:
        await rescued(spool)
        left = sum(row.readings for row in await drain(spool))
        assert 0 < left < 2000
        assert spool.stats.dropped == {"spool_damaged": 2000 - left}
        assert [entry.gap.readings for entry in await spool.gaps.all()] == [2000 - left]


def test_a_clock_that_was_set_back_does_not_make_the_newest_damaged_file_the_one_to_go(path):
    for day in (5, 6, 7):
        path.write_bytes(b"later")
        move_aside(path, at_ns=START_NS + day * 86_400_000_000_000)
    path.write_bytes(b"now")
    assert move_aside(path, at_ns=0).read_bytes() == b"now"


async def test_a_block_that_was_being_made_is_given_up_where_the_file_is_replaced(path, monkeypatch):
    monkeypatch.setattr(recovery, "STEP_BATCHES", 4)
    async with running(path) as spool:
        spool.points.intern("a/b/c/plc/level", device="plc")
        seqs = [await spool.append("plc", batch_of(10, mark=n)) for n in range(20)]
        spool._merger.readings = 200
        rows = await spool._merger._collect(0)
        block = merge._seal(rows)
        monkeypatch.setattr(recovery, "REST_PART", 1e6)
        await replace(spool)
        await until(lambda: spool.stats.rescued_readings)
        await spool._access.with_file("merging", lambda file: spool._merger._store(file, block))
        monkeypatch.undo()
    async with running(path) as spool:
        await rescued(spool)
        assert [row.seq for row in await drain(spool)] == seqs


async def test_numbers_of_gaps_are_not_given_twice_where_the_log_was_cut_off(path, tmp_path):
    async with running(path) as spool:
        await spool.append("plc", batch_of(1))
        await spool._file.fetch("PRAGMA wal_checkpoint(TRUNCATE)")
        old = tmp_path / "old.db"
        shutil.copy(path, old)
        spool.note_gaps([Gap("press", "unstorable", START_NS, START_NS, 3)])
        await spool.flush()
    (told,) = read_gaps(path)
    shutil.copy(old, path)
    async with running(path) as spool:
        spool.note_gaps([Gap("press", "unstorable", START_NS, START_NS, 4)])
        await spool.flush()
    assert max(entry.number for entry in read_gaps(path)) > told.number


async def test_what_a_file_that_was_set_back_in_mid_life_lost_is_counted_also_where_the_disk_refuses_once(
    path, tmp_path, monkeypatch
):
    async with running(path) as spool:
        await spool.append("plc", batch_of(1))
        await spool._file.fetch("PRAGMA wal_checkpoint(TRUNCATE)")
        old = tmp_path / "old.db"
        shutil.copy(path, old)
        last = [await spool.append("plc", batch_of(1)) for _ in range(5)][-1]
        async with spool._access.lock:
            await spool._file.reconnect()
            shutil.copy(old, path)
            catch_up = spool._file._catch_up

            async def refused(*_args):
                monkeypatch.setattr(spool._file, "_catch_up", catch_up)
                raise sqlite3.OperationalError("database or disk is full")

            monkeypatch.setattr(spool._file, "_catch_up", refused)
        assert await spool.append("plc", batch_of(1)) > last
        assert spool.stats.dropped == {"spool_damaged": 5}
        assert [entry.gap.readings for entry in await spool.gaps.all()] == [5]


@pytest.mark.parametrize("hold_ms", [0, 1000])
async def test_who_gives_up_waiting_right_after_the_commit_has_nothing_stored_twice(path, monkeypatch, hold_ms):
    """The commit is done, and the high-water mark is being written."""
    spool = await open_spool(path, hold_ms=hold_ms)
    await spool._note_passed(spool._hold.to_note(0.0))
    append = begin(spool, Broker(takes=bool(hold_ms)), 7)
    await until(lambda: len(spool._line))
    began, go = threading.Event(), threading.Event()

    def slow():
        began.set()
        go.wait(10)

    spool._file._marked_s = 0.0
    monkeypatch.setattr(spool._file, "_mark", slow)
    flush = asyncio.create_task(spool.flush())
    await until(began.is_set)
    flush.cancel()
    await asyncio.wait([flush])
    go.set()
    monkeypatch.undo()
    await spool.flush()
    assert await append == FIRST
    assert [row.seq for row in await drain(spool)] == [FIRST]
    assert spool.stats.dropped == {}
    await spool.close()


async def test_a_gap_of_a_rescue_is_not_overwritten_where_its_end_is_cancelled(path, monkeypatch):
    async with running(path) as spool:
        await spool.append("plc", batch_of(10))
    spool = await open_spool(path)
    await replace(spool)
    (rescue,) = spool._file.rescues
    read = asyncio.Event()

    async def hang(_connection):
        read.set()
        await asyncio.sleep(3600)

    monkeypatch.setattr(spoolfile, "read_dropped", hang)
    end = asyncio.create_task(spool._recovery._end(rescue, held=None, aside=0))
    await read.wait()
    end.cancel()
    await asyncio.wait([end])
    monkeypatch.undo()
    spool.note_gaps([Gap("press", "unstorable", START_NS, START_NS, 3)])
    await spool.close()
    assert [entry.gap.cause for entry in read_gaps(path)] == ["spool_damaged", "unstorable"]


async def test_a_damaged_file_is_rescued_also_where_the_process_ends_before_there_is_a_fresh_one(path, monkeypatch):
    """The disk is full once the damaged file was moved aside, and the gateway is started anew."""
    async with running(path) as spool:
        spool.points.intern("a/b/c/plc/level", device="plc")
        seqs = [await spool.append("plc", batch_of(20, mark=n)) for n in range(40)]

    async def full(*_args, **_options):
        raise SpoolError("the disk is full")

    spool = await open_spool(path)
    with monkeypatch.context() as broken:
        broken.setattr(spoolfile, "open_database", full)
        with pytest.raises(SpoolError, match="full"):
            await replace(spool)
    spool._file._lock.release()
    async with running(path) as spool:
        await rescued(spool)
        assert [row.seq for row in await drain(spool)] == seqs
        assert spool.stats.dropped == {}
        assert await spool.gaps.all() == []
        assert await spool.append("plc", batch_of(1)) > seqs[-1]
    async with running(path) as spool:
        assert not spool.stats.rescuing
        spool.ack(seqs)


@pytest.mark.parametrize("is_moved_already", [False, True])
async def test_a_rescue_knows_its_points_also_where_the_disk_refuses_the_fresh_file_once(
    path, monkeypatch, is_moved_already
):
    async with running(path) as spool:
        spool.points.intern("a/b/c/plc/level", device="plc")
        for n in range(40):
            await spool.append("plc", batch_of(20, mark=n))
    if is_moved_already:
        move_aside(path, at_ns=START_NS)
    else:
        content = bytearray(path.read_bytes())
        content[:100] = b"\xa5" * 100
        path.write_bytes(content)
    refusals = 0
    open_database = spoolfile.open_database

    async def refusing(*args, **options):
        nonlocal refusals
        if options["rescues"] and not refusals:
            refusals += 1
            raise SpoolError("the disk is full")
        return await open_database(*args, **options)

    monkeypatch.setattr(spoolfile, "open_database", refusing)
    async with running(path, patient=True) as spool:
        await spool.opened()
        assert refusals
        spool.points.intern("a/b/c/plc/temperature", device="plc")
        await rescued(spool)
        paths = {spool.points[point].path for row in await drain(spool) for point in row.batch.points()}
        assert paths == {"a/b/c/plc/level"}
        assert spool.stats.dropped == {}


async def test_what_was_rescued_is_rescued_again(path):
    clock = START_NS
    async with running(path, now_ns=lambda: clock) as spool:
        spool.points.intern("a/b/c/plc/level", device="plc")
        seqs = [await spool.append("plc", batch_of(20, mark=n)) for n in range(40)]
        spool._merger.readings = 300
        assert await spool._merger.merge()
        for _ in range(2):
            clock += 1_000_000_000
            await replace(spool)
            await rescued(spool)
        assert [row.seq for row in await drain(spool)] == seqs
        assert spool.stats.dropped == {}


async def test_who_is_cancelled_while_the_spool_closes_is_counted(path):
    metrics = Metrics()
    async with running(path, metrics=metrics, max_waiting_readings=1) as spool:
        async with spool._access.lock:
            first = asyncio.create_task(spool.append("plc", batch_of(5)))
            await until(lambda: len(spool._line))
            waits = asyncio.create_task(spool.append("plc", batch_of(7)))
            await asyncio.sleep(0)
            close = asyncio.create_task(spool.close())
            await asyncio.sleep(0)
            waits.cancel()
        await asyncio.wait([first, waits, close])
    assert dropped(metrics) == {"spool_closed": 7}
    assert [(entry.gap.cause, entry.gap.readings) for entry in read_gaps(path)] == [("spool_closed", 7)]


async def test_a_block_is_given_up_in_the_commit_that_notes_what_of_it_was_taken(path):
    async with running(path, max_bytes=1_000_000) as spool:
        seqs = [await spool.append("plc", batch_of(10, mark=n)) for n in range(10)]
        spool._merger.readings = 100
        assert await spool._merger.merge() == 100
    async with running(path, max_bytes=50_000) as spool:
        spool.ack(seqs[:3])
        spool._made_room = True
        assert await spool.append("plc", batch_of(2080))
        assert spool.stats.blocks == 0
        assert spool.stats.dropped == {"spool_full": 70}
    assert [entry.gap.readings for entry in read_gaps(path)] == [70]
