"""A disk that refuses, a batch that cannot be stored, a row that cannot be read, a file that breaks in mid-life."""

import asyncio
import sqlite3
import subprocess
import sys

import pytest

from gateway.errors import SpoolError
from gateway.metrics import Metrics
from gateway.spool import store
from tests.gateway.spool.harness import (
    batch_of,
    break_next_commit,
    drain,
    dropped,
    execute,
    open_spool,
    rescued,
    running,
)
from tests.waiting import until


async def fill_up(spool):
    """Lets the database grow by a few pages only."""
    pages = (await spool._file.fetch("PRAGMA page_count"))[0][0]
    await spool._file.fetch(f"PRAGMA max_page_count = {pages + 8}")


async def make_room(spool):
    await spool._file.fetch("PRAGMA max_page_count = 100000")


async def test_a_full_disk_holds_sources_back_and_loses_nothing(path):
    metrics = Metrics()
    async with running(path, metrics=metrics) as spool:
        before = [await spool.append("plc", batch_of(10, mark=n)) for n in range(3)]
        await fill_up(spool)
        appends = [asyncio.create_task(spool.append("plc", batch_of(400, mark=3 + n))) for n in range(10)]
        await until(lambda: spool.stats.state == "failing")
        assert "full" in spool.stats.error
        assert "Free space" in spool.stats.error
        assert [row.seq for row in await drain(spool)] == before, "what is stored can still be sent"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await spool.flush()
        assert not any(task.done() for task in appends)
        await make_room(spool)
        seqs = await asyncio.gather(*appends)
        assert spool.stats.state == "ok"
        assert spool.stats.error == ""
        assert [*before, *seqs] == list(range(before[0], before[0] + 13))
        assert [row.batch for row in await drain(spool)] == [
            *(batch_of(10, mark=n) for n in range(3)),
            *(batch_of(400, mark=n) for n in range(3, 13)),
        ]
    assert dropped(metrics) == {}


async def test_on_a_full_disk_what_the_broker_takes_makes_room(path):
    async with running(path) as spool:
        before = [await spool.append("plc", batch_of(400, mark=n)) for n in range(10)]
        await fill_up(spool)
        append = asyncio.create_task(spool.append("plc", batch_of(2000, mark=11)))
        await until(lambda: spool.stats.state == "failing")
        spool.ack(before)
        assert await append == before[-1] + 1
        assert [row.batch for row in await drain(spool)] == [batch_of(2000, mark=11)]


async def test_closing_on_a_full_disk_tells_who_waits(path):
    metrics = Metrics()
    async with running(path, metrics=metrics) as spool:
        await spool.append("plc", batch_of(1))
        await fill_up(spool)
        append = asyncio.create_task(spool.append("plc", batch_of(3000)))
        await until(lambda: spool.stats.state == "failing")
        with pytest.raises(SpoolError, match="full"):
            await spool.close()
        with pytest.raises(SpoolError, match="closed before"):
            await append
    assert dropped(metrics) == {"spool_closed": 3000}


def test_a_log_that_cannot_grow_any_more_loses_nothing(path):
    """The child's files may not grow beyond a limit (RLIMIT_FSIZE) for a while: real write errors of a real disk."""
    child = subprocess.run(
        [sys.executable, "-m", "tests.gateway.spool.cramped", str(path)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    seqs = [int(line) for line in child.stdout.split()]

    async def reopen():
        async with running(path) as spool:
            return await drain(spool)

    rows = asyncio.run(reopen())
    assert [row.seq for row in rows] == seqs
    assert [row.batch for row in rows] == [batch_of(100, mark=n) for n in range(len(seqs))]


async def test_another_writer_only_delays(path):
    async with running(path) as spool:
        await spool.append("plc", batch_of(1))
        await spool._file.fetch("PRAGMA busy_timeout = 10")
        other = sqlite3.connect(path, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            append = asyncio.create_task(spool.append("plc", batch_of(2)))
            await until(lambda: spool.stats.state == "failing")
            assert "Close the other program" in spool.stats.error
        finally:
            other.close()
        assert await append
        assert spool.stats.state == "ok"


async def test_one_batch_that_cannot_be_stored_harms_no_other(path):
    metrics = Metrics()
    spool = await open_spool(path, metrics=metrics)
    unprintable = "plc-\ud800"
    appends = [
        asyncio.create_task(spool.append(unprintable if n == 2 else "plc", batch_of(5, mark=n))) for n in range(5)
    ]
    await asyncio.sleep(0)
    run = asyncio.create_task(spool.run())
    results = await asyncio.gather(*appends, return_exceptions=True)
    assert isinstance(results[2], SpoolError)
    assert "is not possible" in str(results[2])
    stored = [results[n] for n in (0, 1, 3, 4)]
    assert stored == list(range(stored[0], stored[0] + 4))
    assert [row.batch for row in await drain(spool)] == [batch_of(5, mark=n) for n in (0, 1, 3, 4)]
    assert spool.stats.state == "ok"
    assert dropped(metrics) == {"unstorable": 5}
    await spool.close()
    await run


async def test_a_batch_that_is_too_large_is_refused_at_once(path, monkeypatch):
    monkeypatch.setattr(store, "LARGEST_BATCH_BYTES", 1000)
    metrics = Metrics()
    async with running(path, metrics=metrics) as spool:
        with pytest.raises(SpoolError, match="at most 1000"):
            await spool.append("plc", batch_of(100))
    assert dropped(metrics) == {"unstorable": 100}


async def test_what_goes_down_with_a_batch_that_is_too_large_is_counted_too(path, monkeypatch):
    monkeypatch.setattr(store, "LARGEST_BATCH_BYTES", 1000)
    metrics = Metrics()
    async with running(path, metrics=metrics) as spool:
        with pytest.raises(SpoolError, match="at most 1000"):
            await spool.append("plc", batch_of(100), aside=batch_of(3))
    assert dropped(metrics) == {"unstorable": 103}


@pytest.mark.parametrize(
    "damage",
    [
        "data = x'00'",
        "data = 7",
        "codec = 99",
        "readings = 4",
        "device = 'plx'",
        "device = CAST(x'ff' AS TEXT)",
        "checksum = 'x'",
    ],
)
async def test_a_row_that_cannot_be_read_is_set_aside_and_the_rest_goes_on(path, damage):
    async with running(path) as spool:
        seqs = [await spool.append("plc", batch_of(5, mark=n)) for n in range(3)]
    execute(path, f"UPDATE batches SET {damage} WHERE seq = ?", (seqs[1],))
    metrics = Metrics()
    async with running(path, metrics=metrics) as spool:
        assert [row.seq for row in await drain(spool)] == [seqs[0], seqs[2]]
        await until(lambda: spool.stats.set_aside_batches == 1)
        assert spool.stats.backlog_batches == 2
        assert spool.stats.accepted_batches == 3
        assert [row.seq for row in await drain(spool)] == [seqs[0], seqs[2]]
        lost = 4 if damage == "readings = 4" else 5
        assert spool.stats.dropped == {"corrupt": lost}
    assert dropped(metrics) == {"corrupt": lost}


@pytest.mark.parametrize("found_by", ["append", "pending"])
async def test_a_file_that_breaks_in_mid_life_is_replaced_and_what_waits_is_stored(path, found_by):
    metrics = Metrics()
    async with running(path, metrics=metrics) as spool:
        spool.points.intern("a/b/c/plc/level", device="plc")
        seqs = [await spool.append("plc", batch_of(300, mark=n)) for n in range(20)]
        await spool._file.fetch("PRAGMA wal_checkpoint(TRUNCATE)")
        await spool._file.fetch("PRAGMA cache_size = 0")
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (path.stat().st_size - 4096))
        if found_by == "pending":
            assert await spool.pending(after=0, limit_readings=100_000) == []
        seq = await spool.append("plc", batch_of(2, mark=99))
        assert seq == seqs[-1] + 1
        assert [row.batch for row in await drain(spool)] == [batch_of(2, mark=99)]
        assert spool.stats.quarantined is not None
        await rescued(spool)
        assert spool.stats.dropped == {"spool_damaged": 6000}
        assert spool.stats.state == "ok"
    assert dropped(metrics) == {"spool_damaged": 6000}
    async with running(path) as spool:
        assert [point.path for point in spool.points] == ["a/b/c/plc/level"]


@pytest.mark.parametrize("reached_the_disk", [True, False])
async def test_a_commit_of_unknown_outcome_is_looked_up_and_not_repeated(path, monkeypatch, reached_the_disk):
    metrics = Metrics()
    async with running(path, metrics=metrics) as spool:
        break_next_commit(spool, monkeypatch, reached_the_disk=reached_the_disk)
        spool.points.intern("a/b/c/plc/level", device="plc")
        first = await spool.append("plc", batch_of(3, mark=1))
        assert await spool.append("plc", batch_of(3, mark=2)) == first + 1
        assert [row.batch for row in await drain(spool)] == [batch_of(3, mark=1), batch_of(3, mark=2)]
        assert spool.stats.accepted_batches == 2
        assert spool.points.unsaved() == []
    assert metrics.snapshot()["tidegate_readings_stored_total"] == {"": 6}
