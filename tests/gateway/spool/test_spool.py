import asyncio

import pytest

from gateway.batch import EMPTY, Kind
from gateway.errors import SpoolError
from gateway.metrics import Metrics
from gateway.spool import store
from tests.gateway.spool.harness import batch_of, drain, dropped, open_spool, running
from tests.waiting import until


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "spool.db"


async def test_what_is_appended_is_pending_in_order_and_reads_back_the_same(path):
    metrics = Metrics()
    async with running(path, metrics=metrics) as spool:
        seqs = [await spool.append(f"plc-{n % 2}", batch_of(3, mark=n)) for n in range(5)]
        rows = await drain(spool)
    assert seqs == list(range(seqs[0], seqs[0] + 5))
    assert [(row.seq, row.device, row.batch, row.readings) for row in rows] == [
        (seq, f"plc-{n % 2}", batch_of(3, mark=n), 3) for n, seq in enumerate(seqs)
    ]
    assert metrics.snapshot()["tidegate_readings_stored_total"] == {"": 15}


async def test_batches_that_wait_together_share_a_commit(path):
    async with running(path) as spool:
        seqs = await asyncio.gather(*(spool.append("plc", batch_of(2, mark=n)) for n in range(50)))
        stats = spool.stats
    assert list(seqs) == list(range(seqs[0], seqs[0] + 50))
    assert stats.commits == 1
    assert stats.readings_per_commit == 100


async def test_pending_stops_at_the_limit_and_keeps_to_the_bounds(path):
    async with running(path) as spool:
        first = await spool.append("plc", batch_of(10))
        for n in range(1, 6):
            await spool.append("plc", batch_of(10, mark=n))

        async def seqs(**bounds):
            return [row.seq - first for row in await spool.pending(**bounds)]

        assert await seqs(after=0, limit_readings=1) == [0]
        assert await seqs(after=0, limit_readings=20) == [0, 1]
        assert await seqs(after=0, limit_readings=21) == [0, 1, 2]
        assert await seqs(after=first + 2, limit_readings=1000) == [3, 4, 5]
        assert await seqs(after=first, limit_readings=1000, upto=first + 2) == [1, 2]
        assert await seqs(after=first + 5, limit_readings=1000) == []


async def test_acknowledged_rows_are_gone_at_once_here_and_soon_on_disk(path):
    async with running(path) as spool:
        seqs = [await spool.append("plc", batch_of(2, mark=n)) for n in range(6)]
        spool.ack(seqs[:3])
        # The limit is reached within the acknowledged rows; what lies behind them must still be found.
        assert [row.seq for row in await spool.pending(after=0, limit_readings=2)] == [seqs[3]]
        await until(lambda: spool.stats.backlog_batches == 3)
        spool.ack([seqs[4], seqs[4], 0, seqs[5] + 1])
        await spool.flush()
        assert [row.seq for row in await drain(spool)] == [seqs[3], seqs[5]]
        assert await spool.append("plc", batch_of(1)) == seqs[5] + 1, "a number was taken by an ack that came too early"
        assert spool.stats.backlog_batches == 3


async def test_an_acknowledgement_that_arrives_during_a_commit_is_not_forgotten(path, monkeypatch):
    async with running(path) as spool:
        first = await spool.append("plc", batch_of(1))
        connection = spool._file._connection
        commit = connection.commit

        async def commit_meanwhile():
            spool.ack([first])
            await commit()

        monkeypatch.setattr(connection, "commit", commit_meanwhile)
        await spool.append("plc", batch_of(1))
        monkeypatch.undo()
        assert spool.stats.backlog_batches == 2
        await until(lambda: spool.stats.backlog_batches == 1)


async def test_numbers_go_on_after_everything_was_deleted_and_the_file_reopened(path):
    async with running(path) as spool:
        seqs = [await spool.append("plc", batch_of(1, mark=n)) for n in range(3)]
        spool.ack(seqs)
    async with running(path) as spool:
        assert await drain(spool) == []
        assert await spool.append("plc", batch_of(1)) == seqs[-1] + 1
        assert spool.stats.accepted_batches == 4
        assert spool.stats.accepted_readings == 4


async def test_a_set_aside_batch_is_kept_and_counted_but_not_pending(path):
    async with running(path) as spool:
        aside = await spool.append("plc", batch_of(5), set_aside=True)
        sent = await spool.append("plc", batch_of(2))
        assert sent == aside + 1
        assert [row.seq for row in await drain(spool)] == [sent]
        stats = spool.stats
    assert (stats.set_aside_batches, stats.set_aside_readings) == (1, 5)
    assert (stats.backlog_batches, stats.backlog_readings) == (1, 2)
    assert stats.accepted_readings == 7


async def test_points_are_stored_with_the_first_batch_after_them(path):
    async with running(path) as spool:
        spool.points.intern("a/b/c/plc/level", device="plc", unit="mm", kind=Kind.F64)
        spool.points.intern("a/b/c/plc/any", device="plc")
        await spool.append("plc", batch_of(1))
        assert spool.points.unsaved() == []
        spool.points.intern("a/b/c/plc/never used", device="plc")
        stored = list(spool.points)[:2]
    async with running(path) as spool:
        assert list(spool.points) == stored
        assert spool.points.intern("a/b/c/plc/any", device="plc") == 2
        assert spool.points.intern("a/b/c/plc/new", device="plc") == 3


async def test_an_empty_batch_is_nothing(path):
    async with running(path) as spool:
        assert await spool.append("plc", EMPTY) == 0
        assert spool.stats.accepted_batches == 0


async def test_sources_wait_while_too_much_waits(path):
    spool = await open_spool(path, max_waiting_readings=10)
    appends = [asyncio.create_task(spool.append("plc", batch_of(4, mark=n))) for n in range(5)]
    await asyncio.sleep(0.05)
    assert spool.stats.waiting_readings == 12, "the third batch reaches the limit, the fourth waits"
    run = asyncio.create_task(spool.run())
    seqs = await asyncio.gather(*appends)
    assert list(seqs) == list(range(seqs[0], seqs[0] + 5))
    assert spool.stats.waiting_readings == 0
    await spool.close()
    await run


async def test_a_cancelled_append_is_stored_all_the_same(path):
    spool = await open_spool(path, max_waiting_readings=2)
    in_line = asyncio.create_task(spool.append("plc", batch_of(2, mark=1)))
    for_room = asyncio.create_task(spool.append("plc", batch_of(2, mark=2)))
    await asyncio.sleep(0.05)
    for task in (in_line, for_room):
        task.cancel()
    await asyncio.gather(in_line, for_room, return_exceptions=True)
    assert in_line.cancelled()
    assert for_room.cancelled()
    run = asyncio.create_task(spool.run())
    await spool.append("plc", batch_of(2, mark=3))
    assert [row.batch for row in await drain(spool)] == [batch_of(2, mark=n) for n in (1, 2, 3)]
    await spool.close()
    await run


@pytest.mark.parametrize("hops", range(8))
async def test_a_commit_that_is_cancelled_midway_is_neither_lost_nor_doubled(path, hops):
    spool = await open_spool(path)
    spool.points.intern("a/b/c/plc/level", device="plc")
    run = asyncio.create_task(spool.run())
    first = await spool.append("plc", batch_of(1))
    append = asyncio.create_task(spool.append("plc", batch_of(3, mark=1)))
    spool.ack([first])
    for _ in range(3 + hops):
        await asyncio.sleep(0.0002)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    await spool.flush()
    assert await append == first + 1
    assert [row.batch for row in await drain(spool)] == [batch_of(3, mark=1)]
    assert spool.stats.accepted_batches == 2
    assert spool.stats.backlog_batches == 1
    await spool.close()
    async with running(path) as spool:
        assert [row.seq for row in await drain(spool)] == [first + 1]


async def test_close_stores_what_waits_and_refuses_what_comes_later(path):
    metrics = Metrics()
    spool = await open_spool(path, metrics=metrics)
    append = asyncio.create_task(spool.append("plc", batch_of(2)))
    await asyncio.sleep(0)
    await spool.close()
    seq = await append
    with pytest.raises(SpoolError, match="closed"):
        await spool.append("plc", batch_of(7))
    with pytest.raises(SpoolError, match="closed"):
        await spool.pending(after=0, limit_readings=1)
    await spool.close()
    assert dropped(metrics) == {"spool_closed": 7}
    async with running(path) as spool:
        assert [row.seq for row in await drain(spool)] == [seq]


async def test_space_that_an_outage_took_is_given_back(path, monkeypatch):
    monkeypatch.setattr(store, "SPACE_INTERVAL_S", 0.0)
    async with running(path) as spool:
        large = batch_of(40_000)
        seqs = await asyncio.gather(*(spool.append("plc", large) for _ in range(25)))
        spool.ack(seqs)
        await spool.flush()
        assert path.stat().st_size > 23_000_000
        async with asyncio.timeout(60):
            while path.stat().st_size > 18_000_000:
                spool.ack([await spool.append("plc", batch_of(1))])
    async with running(path) as spool:
        assert spool.stats.last_seq > seqs[-1]


async def test_a_caller_who_is_cancelled_loses_neither_of_two_parts(tmp_path):
    path = tmp_path / "spool.db"
    async with running(path, max_waiting_readings=5) as spool:
        for moment in range(4):
            caller = asyncio.create_task(
                spool.append("press", batch_of(5, mark=moment), aside=batch_of(3, mark=moment)), name="press"
            )
            for _ in range(moment):
                await asyncio.sleep(0)
            if moment:  # a task that was cancelled before its first step never called
                caller.cancel()
            await asyncio.gather(caller, return_exceptions=True)
        await spool.flush()
        assert spool.stats.backlog_readings == 4 * 5
        assert spool.stats.set_aside_readings == 4 * 3
