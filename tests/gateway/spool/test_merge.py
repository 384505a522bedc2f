"""Which rows become a block, and that they are the same afterwards: taken in part, crashed, damaged, from old files."""

import asyncio
import shutil
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.batch import Batch, Reading
from gateway.metrics import Metrics
from gateway.spool import merge, pace
from gateway.spool.block.layout import MOST_READINGS
from gateway.spool.merge import BLOCK_READINGS, MOST_BATCHES, MOST_BYTES, Head, block_readings, choose
from gateway.spool.migrations import MIGRATIONS
from gateway.spool.reserve import PAGE_BYTES
from tests.gateway.spool.harness import (
    START_NS,
    batch_of,
    break_next_commit,
    drain,
    dropped,
    execute,
    open_spool,
    running,
)
from tests.waiting import until


def heads(*readings, size_bytes=100):
    return [Head(10 + number, START_NS, count, size_bytes) for number, count in enumerate(readings)]


@pytest.mark.parametrize(
    ("found", "seqs", "passed"),
    [
        ([], [], 0),
        (heads(40, 50), [], 0),
        (heads(40, 50, 10, 7), [10, 11, 12], 0),
        (heads(500, 1), [10], 0),
        (heads(MOST_READINGS + 1, 60, 60), [11, 12], 10),
        (heads(30, MOST_READINGS + 1, 60), [10], 0),
        (heads(MOST_READINGS + 1), [], 10),
        (heads(1, 1, 98, size_bytes=MOST_BYTES // 2), [10, 11], 0),
        ([Head(10, START_NS, 5, MOST_BYTES + 1), *heads()], [], 10),
        ([Head(10, START_NS, b"x", 5), Head(11, START_NS, 100, 5)], [11], 10),
        ([Head(10, START_NS, 5, 5), Head(10 + (1 << 16), START_NS, 100, 5)], [10], 0),
        (heads(*[0] * MOST_BATCHES, 1), list(range(10, 10 + MOST_BATCHES)), 0),
    ],
)
def test_which_rows_become_the_next_block(found, seqs, passed):
    run = choose(found, readings=100)
    assert [head.seq for head in run.heads] == seqs
    assert run.passed == passed


@given(st.lists(st.integers(1, 200), max_size=30), st.integers(1, 300))
def test_a_run_is_the_shortest_from_the_front_that_is_enough(counts, readings):
    run = choose(heads(*counts), readings=readings).heads
    assert [head.readings for head in run] == counts[: len(run)]
    assert bool(run) == (sum(counts) >= readings)
    assert sum(head.readings for head in run[:-1]) < readings


def test_rows_of_few_readings_do_not_wait_for_a_full_block():
    found = heads(*[1] * MOST_BATCHES)
    assert choose(found, readings=MOST_BATCHES + 1).heads == ()
    assert choose(found, readings=MOST_BATCHES + 1, cut=True).heads == found


async def test_tiny_batches_are_merged_too(path, monkeypatch):
    monkeypatch.setattr(merge, "MOST_BATCHES", 8)
    async with running(path) as spool:
        seqs = await filled(spool, 20, readings=1)
        assert [await merged(spool, 15) for _ in range(3)] == [8, 8, 0]
        check(await drain(spool), seqs, readings=1)
        assert spool.stats.blocks == 2


async def test_large_rows_behind_small_ones_are_found(path, monkeypatch):
    """The average says that few rows are enough, and they are not."""
    async with running(path) as spool:
        seqs = await filled(spool, 300, readings=1)
        await spool.append("plc-0", batch_of(20_000, mark=300))
        assert await merged(spool, 250) == 250
        check((await drain(spool))[:-1], seqs, readings=1)


def test_a_small_budget_gets_small_blocks():
    assert block_readings(4_000_000_000) == BLOCK_READINGS
    assert block_readings(1_000_000) * 24 * 16 <= 1_000_000
    assert block_readings(1) == 1


async def filled(spool, rows, *, readings=10):
    return [await spool.append(f"plc-{n % 3}", batch_of(readings, mark=n)) for n in range(rows)]


async def merged(spool, readings):
    spool._merger.readings = readings
    return await spool._merger.merge()


def check(rows, seqs, *, readings=10):
    assert [row.seq for row in rows] == seqs
    for row in rows:
        mark = row.seq - START_NS // 1000
        assert (row.device, row.batch, row.readings) == (f"plc-{mark % 3}", batch_of(readings, mark=mark), readings)
        assert row.at_ns == START_NS


async def test_rows_that_stay_become_blocks_by_themselves_and_keep_their_numbers(path, monkeypatch):
    monkeypatch.setattr(merge, "SETTLED_NS", 0)
    monkeypatch.setattr(merge, "BLOCK_READINGS", 100)
    async with running(path) as spool:
        assert spool._merger.readings == 100
        seqs = await filled(spool, 55)
        await until(lambda: spool.stats.blocks == 4)
        stats = spool.stats
        assert (stats.backlog_batches, stats.backlog_readings) == (55, 550)
        assert stats.block_readings == 400
        assert stats.backlog_bytes == stats.block_bytes + 15 * (4 + 240 + 7)
        check(await drain(spool), seqs)
        assert stats.accepted_batches == 55
    async with running(path) as spool:
        check(await drain(spool), seqs)
        assert await spool.append("plc-1", batch_of(10)) == seqs[-1] + 1


async def test_what_is_young_stays_a_row(path, monkeypatch):
    monkeypatch.setattr(merge, "BLOCK_READINGS", 10)
    async with running(path) as spool:
        await filled(spool, 20)
        await asyncio.sleep(0.1)
        assert spool.stats.blocks == 0
        assert await spool._merger.merge(settled_ns=1) == 0
        assert await spool._merger.merge() == 10


async def test_pending_keeps_its_bounds_in_rows_and_blocks(path):
    async with running(path) as spool:
        seqs = await filled(spool, 60)
        for _ in range(2):
            assert await merged(spool, 200) == 200
        first = seqs[0]

        async def found(**bounds):
            return [row.seq - first for row in await spool.pending(**bounds)]

        assert await found(after=0, limit_readings=1) == [0]
        assert await found(after=0, limit_readings=30) == [0, 1, 2]
        assert await found(after=first + 4, limit_readings=1000, upto=first + 6) == [5, 6]
        assert await found(after=first + 17, limit_readings=1000) == [18, 19]
        assert await found(after=first + 19, limit_readings=1000, upto=first + 20) == [20]
        assert await found(after=first + 39, limit_readings=11) == [40, 41]
        assert await found(after=first + 59, limit_readings=11) == []
        assert await found(after=first + 5, limit_readings=11, upto=first + 5) == []


async def test_what_was_taken_of_a_block_stays_taken_and_the_last_of_it_removes_it(path):
    async with running(path) as spool:
        seqs = await filled(spool, 40)
        assert await merged(spool, 300) == 300
        taken = [*seqs[3:9], seqs[20], seqs[35]]
        spool.ack(taken)
        rest = [seq for seq in seqs if seq not in taken]
        check(await drain(spool), rest)
        await spool.flush()
        assert (spool.stats.backlog_batches, spool.stats.backlog_readings) == (len(rest), len(rest) * 10)
        assert spool.stats.blocks == 1
    async with running(path) as spool:
        check(await drain(spool), rest)
        spool.ack(rest[:-3])
        await spool.flush()
        assert spool.stats.blocks == spool.stats.block_readings == spool.stats.block_bytes == 0
        assert spool.stats.backlog_batches == 3
        assert await spool._file.fetch("SELECT count(*) FROM block_left") == [(0,)]
        check(await drain(spool), rest[-3:])


async def test_blocks_that_were_taken_but_are_not_deleted_yet_are_passed_by(path, monkeypatch):
    """Only one block is open at a time: the search must not begin with the first again for each that it opens."""
    monkeypatch.setattr(pace, "ACK_DELAY_S", 60.0)
    async with running(path) as spool:
        seqs = await filled(spool, 60)
        for _ in range(3):
            await merged(spool, 200)
        spool.ack(seqs[:40])
        async with asyncio.timeout(20):
            check(await spool.pending(after=0, limit_readings=1000), seqs[40:])
            spool.ack(seqs[40:])
            assert await spool.pending(after=0, limit_readings=1000) == []
        assert spool.stats.blocks == 3


async def test_what_is_taken_while_its_block_is_made_is_not_sent_again(path, monkeypatch):
    async with running(path) as spool:
        seqs = await filled(spool, 20)
        seal = merge.seal
        loop = asyncio.get_running_loop()

        def seal_meanwhile(entries):
            asyncio.run_coroutine_threadsafe(deliver(), loop).result()
            return seal(entries)

        async def deliver():
            spool.ack(seqs[2:5])
            await spool.flush()
            spool.ack(seqs[6:7])

        monkeypatch.setattr(merge, "seal", seal_meanwhile)
        assert await merged(spool, 200) == 170
        rest = [*seqs[:2], *seqs[5:6], *seqs[7:]]
        check(await drain(spool), rest)
        await spool.flush()
        assert spool.stats.backlog_batches == len(rest)
    async with running(path) as spool:
        check(await drain(spool), rest)


async def test_rows_are_kept_where_the_block_does_not_hold_them(path, monkeypatch):
    """A fault of the codec, or of the memory, costs room and nothing else."""
    monkeypatch.setattr("gateway.spool.blocks.decode_block", lambda *_, **__: [])
    async with running(path) as spool:
        seqs = await filled(spool, 20)
        assert await merged(spool, 100) == 0
        check(await drain(spool), seqs)
        assert spool.stats.blocks == 0


@pytest.mark.parametrize("reached_the_disk", [True, False])
async def test_a_merge_of_unknown_outcome_is_looked_up(path, monkeypatch, reached_the_disk):
    async with running(path) as spool:
        seqs = await filled(spool, 20)
        break_next_commit(spool, monkeypatch, reached_the_disk=reached_the_disk)
        with pytest.raises(merge.SpoolError):
            await merged(spool, 100)
        check(await drain(spool), seqs)
        assert spool.stats.blocks == reached_the_disk
        assert spool.stats.backlog_batches == 20
        assert await spool.append("plc-2", batch_of(10, mark=20)) == seqs[-1] + 1
        check(await drain(spool), [*seqs, seqs[-1] + 1])


async def test_a_crash_at_any_frame_of_the_log_leaves_each_batch_once(path, tmp_path):
    async with running(path) as spool:
        seqs = await filled(spool, 40)
        filled_bytes = path.with_name("spool.db-wal").stat().st_size
        assert await merged(spool, 150) == 150
        spool.ack(seqs[:4])
        await spool.flush()
        assert await merged(spool, 150) == 150
        log = path.with_name("spool.db-wal").read_bytes()
        content = path.read_bytes()
    frame_bytes = PAGE_BYTES + 24
    merges_seen = set()
    for number, end in enumerate(range(filled_bytes, len(log) + 1, frame_bytes)):
        copy = tmp_path / str(number) / "spool.db"
        copy.parent.mkdir()
        copy.write_bytes(content)
        copy.with_name("spool.db-wal").write_bytes(log[:end])
        async with running(copy) as spool:
            rows = await drain(spool)
            check(rows, list(range(rows[0].seq, rows[0].seq + len(rows))))
            assert rows[0].seq in (seqs[0], seqs[4])
            assert spool.stats.backlog_batches == len(rows)
            assert spool.stats.accepted_batches == rows[-1].seq - seqs[0] + 1
            merges_seen.add(spool.stats.blocks)
        shutil.rmtree(copy.parent)
    assert merges_seen == {0, 1, 2}


async def test_a_full_spool_gives_up_its_oldest_block_and_counts_what_waited_in_it(path):
    metrics = Metrics()
    async with running(path, metrics=metrics) as spool:
        seqs = await filled(spool, 60)
        for _ in range(2):
            await merged(spool, 200)
        spool.ack(seqs[:5])
        await spool.flush()
        budget = spool.stats.backlog_bytes
    async with running(path, metrics=metrics, max_bytes=budget) as spool:
        assert await spool.append("plc-0", batch_of(10, mark=60)) == seqs[-1] + 1
        assert spool.stats.blocks == 1
        check(await drain(spool), [*seqs[20:], seqs[-1] + 1])
        assert spool.stats.dropped == {"spool_full": 150}
    assert dropped(metrics) == {"spool_full": 150}


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE blocks SET data = x'00' WHERE last = ?",
        "UPDATE blocks SET data = 7 WHERE last = ?",
        "UPDATE blocks SET codec = 99 WHERE last = ?",
        "UPDATE blocks SET readings = 199 WHERE last = ?",
        "UPDATE blocks SET batches = 'x' WHERE last = ?",
        "UPDATE blocks SET first = first + 1 WHERE last = ?",
        "UPDATE blocks SET first = -5 WHERE last = ?",
        "UPDATE blocks SET first = 'x' WHERE last = ?",
        "UPDATE blocks SET checksum = checksum + 1 WHERE last = ?",
        "UPDATE block_left SET sizes = x'00' WHERE last = ?",
        "UPDATE block_left SET sizes = 3 WHERE last = ?",
    ],
)
async def test_a_block_that_cannot_be_read_is_set_aside_and_costs_only_itself(path, damage):
    async with running(path) as spool:
        seqs = await filled(spool, 60)
        for _ in range(3):
            assert await merged(spool, 200) == 200
        spool.ack(seqs[20:25])
        await spool.flush()
    execute(path, damage, (seqs[39],))
    metrics = Metrics()
    async with running(path, metrics=metrics) as spool:
        check(await drain(spool), [*seqs[:20], *seqs[40:]])
        await until(lambda: spool.stats.set_aside_batches == 1)
        assert spool.stats.dropped == {"corrupt": 150}
        assert (spool.stats.set_aside_readings, spool.stats.backlog_readings) == (150, 400)
        assert spool.stats.blocks == 2
        check(await drain(spool), [*seqs[:20], *seqs[40:]])
        spool.ack(seqs)
        await spool.flush()
        assert spool.stats.backlog_batches == spool.stats.backlog_bytes == 0
    assert dropped(metrics) == {"corrupt": 150}


async def test_a_row_that_cannot_be_read_stays_out_of_blocks(path):
    async with running(path) as spool:
        seqs = await filled(spool, 20)
    execute(path, "UPDATE batches SET data = x'00' WHERE seq = ?", (seqs[7],))
    async with running(path) as spool:
        assert await merged(spool, 150) == 0
        await until(lambda: spool.stats.set_aside_batches == 1)
        assert await merged(spool, 150) == 150
        check(await drain(spool), [seq for seq in seqs if seq != seqs[7]])
        assert spool.stats.dropped == {"corrupt": 10}


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
async def test_a_file_of_an_older_version_is_read_and_merged(path, version):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(
        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;"
        + "".join(MIGRATIONS[:version])
        + f"PRAGMA user_version = {version}; INSERT INTO totals (id, last_seq) VALUES (1, {START_NS // 1000 - 1});"
    )
    spool = await open_spool(path.with_name("new.db"))
    waiting = [spool._prepare(f"plc-{n % 3}", batch_of(10, mark=n), set_aside=False) for n in range(20)]
    await spool.close()
    for seq, row in enumerate(waiting, start=START_NS // 1000):
        connection.execute(
            "INSERT INTO batches VALUES (?,?,?,?,?,?,?,?)",
            (seq, row.at_ns, row.readings, len(row.data), row.codec, row.checksum, row.device, row.data),
        )
    connection.close()
    async with running(path) as spool:
        seqs = list(range(START_NS // 1000, START_NS // 1000 + 20))
        check(await drain(spool), seqs)
        assert (spool.stats.blocks, spool.stats.backlog_readings) == (0, 200)
        assert await merged(spool, 150) == 150
        check(await drain(spool), seqs)
        assert spool.stats.backlog_batches == 20


async def test_one_large_row_is_a_block_of_its_own_and_a_huge_one_stays_a_row(path):
    large = Batch.of(Reading(START_NS + n, float(n % 9), 1) for n in range(3000))
    async with running(path) as spool:
        huge = Batch(large.records * 50)
        seqs = [await spool.append("plc", batch) for batch in (large, huge, large)]
        assert await merged(spool, 2000) == 3000
        assert await merged(spool, 2000) == 3000
        assert await merged(spool, 2000) == 0
        rows = await drain(spool)
        assert [(row.seq, len(row.batch)) for row in rows] == list(zip(seqs, (3000, 150_000, 3000), strict=True))
        assert [row.batch for row in rows] == [large, huge, large]
        assert spool.stats.block_bytes < 6000 * 3
        assert spool.stats.blocks == 2
