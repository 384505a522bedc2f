"""What happens at max_bytes. A row of n readings made by `batch_of` takes 4 + 24 n + 6 or 7 payload bytes."""

import asyncio

import pytest

from gateway.metrics import Metrics
from tests.gateway.spool.harness import batch_of, drain, dropped, running

ROW_BYTES = 4 + 24 * 10 + len("mark 0")


async def test_drop_oldest_gives_up_the_oldest_and_counts_them(path):
    metrics = Metrics()
    async with running(path, metrics=metrics, max_bytes=3 * ROW_BYTES) as spool:
        seqs = [await spool.append("plc", batch_of(10, mark=n)) for n in range(5)]
        assert [row.seq for row in await drain(spool)] == seqs[2:]
        stats = spool.stats
        assert stats.backlog_bytes == 3 * ROW_BYTES
        assert stats.accepted_readings == stats.backlog_readings + stats.dropped["spool_full"]
    assert dropped(metrics) == {"spool_full": 20}
    async with running(path) as spool:
        assert spool.stats.dropped == {"spool_full": 20}


async def test_what_was_delivered_goes_before_anything_is_dropped_also_after_a_deletion(path):
    metrics = Metrics()
    async with running(path, metrics=metrics, max_bytes=3 * ROW_BYTES) as spool:
        seqs = [await spool.append("plc", batch_of(10, mark=n)) for n in range(3)]
        spool.ack(seqs[2:])
        await spool.flush()  # a transaction that only deletes
        spool.ack(seqs[1:2])
        await asyncio.gather(*(spool.append("plc", batch_of(10, mark=n)) for n in range(2)))
        assert spool.stats.backlog_batches == 3
    assert dropped(metrics) == {}


async def test_drop_newest_refuses_and_counts(path):
    metrics = Metrics()
    async with running(path, metrics=metrics, max_bytes=2 * ROW_BYTES, when_full="drop_newest") as spool:
        seqs = [await spool.append("plc", batch_of(10, mark=n)) for n in range(4)]
        assert seqs[2:] == [0, 0]
        assert [row.seq for row in await drain(spool)] == seqs[:2]
        assert dropped(metrics) == {"spool_full": 20}
        spool.ack(seqs[:1])
        assert await spool.append("plc", batch_of(10, mark=4)) == seqs[1] + 1
    assert dropped(metrics) == {"spool_full": 20}


async def test_what_was_set_aside_goes_first(path):
    async with running(path, max_bytes=3 * ROW_BYTES) as spool:
        kept = await spool.append("plc", batch_of(10, mark=0))
        await spool.append("plc", batch_of(10, mark=1), set_aside=True)
        later = [await spool.append("plc", batch_of(10, mark=n)) for n in (2, 3)]
        assert [row.seq for row in await drain(spool)] == [kept, *later]
        assert spool.stats.set_aside_batches == 0
        assert spool.stats.dropped == {"spool_full": 10}


@pytest.mark.parametrize("when_full", ["drop_oldest", "drop_newest"])
async def test_delivered_rows_make_room_before_anything_is_given_up(path, when_full):
    metrics = Metrics()
    async with running(path, metrics=metrics, max_bytes=2 * ROW_BYTES, when_full=when_full) as spool:
        for n in range(8):
            seq = await spool.append("plc", batch_of(10, mark=n))
            assert seq
            spool.ack([seq])
    assert dropped(metrics) == {}


async def test_a_batch_larger_than_the_budget_is_refused_and_costs_nothing_else(path):
    metrics = Metrics()
    async with running(path, metrics=metrics, max_bytes=2 * ROW_BYTES) as spool:
        seq = await spool.append("plc", batch_of(10, mark=0))
        assert await spool.append("plc", batch_of(30)) == 0
        assert [row.seq for row in await drain(spool)] == [seq]
    assert dropped(metrics) == {"spool_full": 30}


async def test_a_group_larger_than_the_budget_keeps_its_newest(path):
    metrics = Metrics()
    async with running(path, metrics=metrics, max_bytes=2 * ROW_BYTES) as spool:
        old = await spool.append("plc", batch_of(10, mark=9))
        seqs = await asyncio.gather(*(spool.append("plc", batch_of(10, mark=n)) for n in range(5)))
        assert seqs == [0, 0, 0, old + 1, old + 2]
        assert [row.batch for row in await drain(spool)] == [batch_of(10, mark=3), batch_of(10, mark=4)]
    assert dropped(metrics) == {"spool_full": 40}
