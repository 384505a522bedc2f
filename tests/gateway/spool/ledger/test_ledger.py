"""What the spool loses stands in its ledger, by device, time and count, whatever it was lost by."""

import asyncio
import sqlite3
from contextlib import closing

import pytest

from gateway.batch import Batch, Reading
from gateway.errors import SpoolError
from gateway.gap import JOIN_NS, Gap, gap_of
from gateway.metrics import Metrics
from gateway.spool import store
from gateway.spool.ledger import gapdesk
from gateway.spool.ledger.gaps import QUIET_NS, Telling
from gateway.spool.migrations import MIGRATIONS
from tests.gateway.spool.harness import (
    START_NS,
    batch_of,
    break_next_commit,
    copy_of,
    drain,
    execute,
    open_spool,
    read_gaps,
    rescued,
    running,
)
from tests.waiting import until

S_NS = 1_000_000_000


def batch_at(at_s, readings=10):
    return Batch.of(Reading(START_NS + at_s * S_NS + n, 1.0, 1) for n in range(readings))


def gap(device, cause, from_s, to_s, readings):
    """The gap of batches of ten readings."""
    return Gap(device, cause, START_NS + from_s * S_NS, START_NS + to_s * S_NS + 9, readings)


def ledger(path):
    return [entry.gap for entry in read_gaps(path)]


ROW_BYTES = 4 + 24 * 10


async def test_rows_given_up_for_room_are_one_gap_a_device(path):
    metrics = Metrics()
    async with running(path, metrics=metrics, max_bytes=2 * ROW_BYTES) as spool:
        for n in range(6):
            await spool.append("press" if n % 2 else "tank", batch_at(n))
            if n:  # there is a commit for each, and each gives up one row from the third on
                assert spool.stats.backlog_batches <= 2
        assert ledger(path) == [gap("tank", "spool_full", 0, 2, 20), gap("press", "spool_full", 1, 3, 20)]
        assert spool.stats.gaps_to_tell == 2
    assert metrics.snapshot()["tidegate_gaps_total"]["spool_full"] == 2


async def test_what_lies_far_apart_is_told_apart(path):
    far_s = JOIN_NS // S_NS + 2
    async with running(path, max_bytes=ROW_BYTES) as spool:
        for at_s in (0, far_s, 2 * far_s):
            await spool.append("tank", batch_at(at_s))
    assert ledger(path) == [gap("tank", "spool_full", at_s, at_s, 10) for at_s in (0, far_s)]


async def test_a_block_given_up_is_told_by_device_and_only_what_of_it_still_waited(path):
    async with running(path, max_bytes=1_000_000) as spool:
        seqs = [await spool.append("press" if n % 2 else "tank", batch_at(n)) for n in range(10)]
        spool._merger.readings = 100
        assert await spool._merger.merge() == 100
        spool.ack([seqs[0], seqs[9]])
        await spool.flush()
    async with running(path, max_bytes=50_000) as spool:
        assert await spool.append("tank", batch_at(100, readings=2082))
        assert spool.stats.blocks == 0
        assert spool.stats.dropped == {"spool_full": 80}
    assert ledger(path) == [gap("press", "spool_full", 1, 7, 40), gap("tank", "spool_full", 2, 8, 40)]


async def test_refused_batches_are_gaps(path):
    async with running(path, max_bytes=2 * ROW_BYTES, when_full="drop_newest") as spool:
        for n in range(4):
            await spool.append("tank", batch_at(n))
        await spool.append("press", batch_at(9, readings=2000))
    full = gap("press", "spool_full", 9, 9, 2000)._replace(to_ns=START_NS + 9 * S_NS + 1999)
    assert ledger(path) == [gap("tank", "spool_full", 2, 3, 20), full]


async def test_what_is_set_aside_is_told_then_and_not_again_when_it_makes_room(path):
    async with running(path, max_bytes=2 * ROW_BYTES) as spool:
        await spool.append("tank", batch_at(1), aside=batch_at(0))
        assert ledger(path) == [gap("tank", "set_aside", 0, 0, 10)]
        await spool.append("tank", batch_at(2))
        assert spool.stats.set_aside_batches == 0
    assert ledger(path) == [gap("tank", "set_aside", 0, 0, 10)]


@pytest.mark.parametrize(
    ("column", "device", "from_s", "to_s", "readings"),
    [
        ("data = x'00'", "tank", 10, 20, 10),
        ("readings = 'x'", "tank", 10, 20, None),
        ("device = 'else'", "", 10, 20, 10),
        ("checksum = 1, at_ns = 'x'", "tank", 10, 30, 10),
    ],
)
async def test_a_row_that_cannot_be_read_is_told_by_when_it_and_its_neighbours_came(
    path, column, device, from_s, to_s, readings
):
    now_s = 0
    async with running(path, now_ns=lambda: START_NS + now_s * S_NS) as spool:
        spool.points.intern("a/b/c/tank/level", device="tank")
        seqs = []
        for now_s in (10, 20, 30):
            seqs.append(await spool.append("tank", batch_of(10, mark=now_s)))
    execute(path, f"UPDATE batches SET {column} WHERE seq = ?", (seqs[1],))
    async with running(path) as spool:
        assert [row.seq for row in await drain(spool)] == [seqs[0], seqs[2]]
        await until(lambda: spool.stats.set_aside_batches == 1)
    assert ledger(path) == [Gap(device, "corrupt", START_NS + from_s * S_NS, START_NS + to_s * S_NS, readings)]


@pytest.mark.parametrize("sql", ["UPDATE blocks SET checksum = 1", "UPDATE block_left SET sizes = x'00'"])
async def test_a_block_that_cannot_be_read_is_told_without_devices(path, sql):
    now_s = 0
    async with running(path, now_ns=lambda: START_NS + now_s * S_NS) as spool:
        for now_s in range(10):
            await spool.append("tank", batch_of(10, mark=now_s))
        spool._merger.readings = 60
        assert await spool._merger.merge() == 60
    execute(path, sql)
    async with running(path, now_ns=lambda: START_NS + 99 * S_NS) as spool:
        assert len(await drain(spool)) == 4
        await until(lambda: spool.stats.set_aside_batches == 1)
    assert ledger(path) == [Gap("", "corrupt", START_NS, START_NS + 6 * S_NS, 60)]


@pytest.mark.parametrize("readable", [True, False])
async def test_a_row_or_block_that_cannot_be_read_when_it_makes_room_is_counted_all_the_same(path, readable):
    async with running(path, max_bytes=1_000_000) as spool:
        for n in range(20):
            await spool.append("tank", batch_at(n))
        spool._merger.readings = 100
        assert await spool._merger.merge() == 100
    if not readable:
        execute(path, "UPDATE blocks SET data = x'00'")
        execute(path, "UPDATE batches SET data = x'00'")
    async with running(path, max_bytes=50_000) as spool:
        assert await spool.append("tank", batch_at(100, readings=2080))
        assert spool.stats.dropped == {"spool_full": 200}
    assert sum(one.readings for one in ledger(path)) == 200
    assert [one.device for one in ledger(path)] == (["tank"] if readable else [""])


async def test_rows_given_up_by_the_uplink_are_told_when_they_are_deleted_and_not_before(path):
    async with running(path) as spool:
        seqs = [await spool.append("tank", batch_at(n)) for n in range(3)]
        spool.give_up({seq: gap_of("tank", "offline_disabled", batch_at(n)) for n, seq in enumerate(seqs[:2])})
        assert [row.seq for row in await drain(spool)] == seqs[2:]
        assert ledger(path) == []
        await spool.flush()
        assert spool.stats.backlog_batches == 1
        assert ledger(path) == [gap("tank", "offline_disabled", 0, 1, 20)]


async def test_the_merger_leaves_the_deletion_of_what_was_given_up_to_the_commit_that_tells(path):
    async with running(path) as spool:
        seqs = [await spool.append("tank", batch_at(n)) for n in range(5)]
        spool.give_up({seqs[2]: gap_of("tank", "offline_disabled", batch_at(2))})
        spool._merger.readings = 40
        assert await spool._merger.merge() == 0
        await spool.flush()
        assert await spool._merger.merge() == 40
    assert ledger(path) == [gap("tank", "offline_disabled", 2, 2, 10)]


async def test_what_a_source_lost_is_committed_with_its_batch(path):
    lost = Gap("tank", "corrupt", START_NS, START_NS + 5, None, tag="level", group="unit 3")
    async with running(path) as spool:
        await spool.append("tank", batch_at(1), gaps=[lost])
        assert ledger(path) == [lost]
        await spool.append("tank", Batch(b""), gaps=[lost._replace(tag="other")])
        await spool.flush()
        assert ledger(path) == [lost, lost._replace(tag="other")]


@pytest.mark.parametrize("reached_the_disk", [True, False])
async def test_a_gap_in_a_commit_of_unknown_outcome_is_noted_once(path, monkeypatch, reached_the_disk):
    metrics = Metrics()
    async with running(path, metrics=metrics, max_bytes=ROW_BYTES) as spool:
        await spool.append("tank", batch_at(0))
        break_next_commit(spool, monkeypatch, reached_the_disk=reached_the_disk)
        await spool.append("tank", batch_at(1))
        assert ledger(path) == [gap("tank", "spool_full", 0, 0, 10)]
        break_next_commit(spool, monkeypatch, reached_the_disk=reached_the_disk)
        spool.note_gaps([gap("press", "unstorable", 7, 7, 10)])  # a commit that leaves no other trace
        await until(lambda: len(ledger(path)) == 2)
        await until(lambda: spool.stats.state == "ok")
        await spool.append("tank", batch_at(2))
    assert ledger(path) == [gap("tank", "spool_full", 0, 1, 20), gap("press", "unstorable", 7, 7, 10)]
    assert metrics.snapshot()["tidegate_gaps_total"]["unstorable"] == 1


async def test_batches_that_cannot_be_stored_are_gaps(path, monkeypatch):
    spool = await open_spool(path)
    appends = [asyncio.create_task(spool.append(f"plc{odd}", batch_at(n))) for n, odd in enumerate(["", "\ud800"])]
    await asyncio.sleep(0)
    run = asyncio.create_task(spool.run())
    await asyncio.gather(*appends, return_exceptions=True)
    monkeypatch.setattr(store, "LARGEST_BATCH_BYTES", 1000)
    with pytest.raises(SpoolError, match="at most 1000"):
        await spool.append("tank", batch_at(5, readings=100), aside=batch_at(5))
    await spool.close()
    await run
    too_large = gap("tank", "unstorable", 5, 5, 110)._replace(to_ns=START_NS + 5 * S_NS + 99)
    assert ledger(path) == [gap("plc?", "unstorable", 1, 1, 10), too_large]


async def test_what_comes_too_late_is_told_where_the_disk_still_takes_that(path):
    async with running(path) as spool:
        await spool.append("tank", batch_at(0))
        pages = (await spool._file.fetch("PRAGMA page_count"))[0][0]
        await spool._file.fetch(f"PRAGMA max_page_count = {pages + 4}")
        append = asyncio.create_task(spool.append("tank", batch_at(1, readings=3000)))
        await until(lambda: spool.stats.state == "failing")
        with pytest.raises(SpoolError, match="full"):
            await spool.close()
        with pytest.raises(SpoolError, match="closed before"):
            await append
    assert [(one.device, one.cause, one.readings) for one in ledger(path)] == [("tank", "spool_closed", 3000)]


@pytest.mark.parametrize("found", ["in mid-life", "at opening"])
async def test_a_damaged_file_is_one_gap_and_its_ledger_goes_on_in_the_fresh_one(path, found):
    clock = START_NS
    metrics = Metrics()
    async with running(path, metrics=metrics, now_ns=lambda: clock) as spool:
        for n in range(20):
            clock = START_NS + n * S_NS
            await spool.append("tank", batch_of(300, mark=n), gaps=[gap("tank", "unstorable", 0, 0, 1)][n:])
        clock += QUIET_NS
        (taken,) = await spool.gaps.take(9)
        if found == "in mid-life":
            await spool._file.fetch("PRAGMA wal_checkpoint(TRUNCATE)")
            await spool._file.fetch("PRAGMA cache_size = 0")
            with path.open("r+b") as file:
                file.seek(4096)
                file.write(b"\xa5" * (path.stat().st_size - 4096))
            assert await spool.append("tank", batch_of(2, mark=99))
            await rescued(spool)
            carried = spool.stats.rescued_readings
    if found == "at opening":
        damaged = bytearray(path.read_bytes())
        damaged[-40_000:] = b"\xa5" * 40_000  # the tables' root pages can be read, and so the totals
        path.write_bytes(damaged)
        async with running(path, metrics=metrics, now_ns=lambda: clock) as spool:
            assert spool.stats.quarantined is not None
            await rescued(spool)
            carried = spool.stats.rescued_readings
    kept, lost = read_gaps(path)
    assert kept == taken._replace(telling=Telling.OFFERED)
    assert lost.gap == Gap("", "spool_damaged", START_NS, clock, 6000 - carried)
    assert lost.number == kept.number + 1
    assert metrics.snapshot()["tidegate_gaps_total"]["spool_damaged"] == 1


async def test_of_a_file_that_tells_nothing_a_gap_without_beginning_and_count_is_told(path):
    path.write_bytes(b"not a database " * 400)
    async with running(path) as spool:
        assert spool.stats.quarantined is not None
        await rescued(spool)
    assert ledger(path) == [Gap("", "spool_damaged", 0, START_NS, None)]


async def test_a_row_that_is_taken_stays_as_it_is_also_across_a_crash(path):
    clock = START_NS
    async with running(path, now_ns=lambda: clock) as spool:
        assert await spool.gaps.take(9) == []
        await spool.append("tank", batch_at(0), gaps=[gap("tank", "unstorable", 0, 0, 10)])
        assert not spool.gaps.due()
        clock += QUIET_NS
        assert spool.gaps.due()
        (entry,) = await spool.gaps.take(9)
        assert not spool.gaps.due(but={entry.number})
        crashed = copy_of(path, path.with_name("crashed.db"))
    async with running(crashed, now_ns=lambda: clock) as spool:
        await spool.append("tank", batch_at(1), gaps=[gap("tank", "unstorable", 1, 1, 10)])
        assert [one.number for one in await spool.gaps.take(9)] == [entry.number]
        await spool.gaps.told([entry.number])
        assert [one.number for one in await spool.gaps.take(9)] == []
        clock += QUIET_NS
        assert [one.number for one in await spool.gaps.take(9)] == [entry.number + 1]
    assert ledger(crashed) == [gap("tank", "unstorable", 0, 0, 10), gap("tank", "unstorable", 1, 1, 10)]


async def test_rows_that_were_told_go_when_there_are_many_and_others_never(path, monkeypatch):
    monkeypatch.setattr(gapdesk, "KEPT_TOLD", 3)
    clock = START_NS
    async with running(path, now_ns=lambda: clock) as spool:
        spool.note_gaps([gap("tank", "unstorable", 1000 * n, 1000 * n, 10) for n in range(8)])
        await spool.flush()
        clock += QUIET_NS
        numbers = [entry.number for entry in await spool.gaps.take(99)]
        await spool.gaps.told(numbers[1:5])
        assert [entry.number for entry in await spool.gaps.all()] == [numbers[0], *numbers[5:]]
        since_ns = START_NS + 6500 * S_NS
        assert [entry.number for entry in await spool.gaps.all(since_ns=since_ns)] == numbers[7:]


async def test_it_is_known_to_the_minute_when_each_device_was_seen_before_the_spool_was_opened(path):
    now_s = 0
    async with running(path, now_ns=lambda: START_NS + now_s * S_NS) as spool:
        assert spool.seen_before == {}
        for now_s, device in [(0, "tank"), (30, "press"), (59, "tank"), (95, "tank"), (96, "press"), (110, "tank")]:
            spool.ack([await spool.append(device, batch_at(now_s))])
        assert spool.seen_before == {}
    async with running(path, now_ns=lambda: START_NS) as spool:
        assert spool.seen_before == {"tank": START_NS + 95 * S_NS, "press": START_NS + 96 * S_NS}
        await spool.append("tank", batch_at(0))  # the clock was set back
        await spool.forget_others(["tank"])
    async with running(path) as spool:
        assert spool.seen_before == {"tank": START_NS}


async def test_an_older_file_gets_a_ledger_that_numbers_above_its_batches(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript("".join(MIGRATIONS[:4]) + "PRAGMA user_version = 4;")
        connection.execute("INSERT INTO totals (id, last_seq) VALUES (1, 7000)")
    with pytest.raises(SpoolError, match="older version"):
        read_gaps(path)
    async with running(path) as spool:
        await spool.append("tank", batch_at(0), gaps=[gap("tank", "unstorable", 0, 0, 10)])
    assert [entry.number for entry in read_gaps(path)] == [7001]
