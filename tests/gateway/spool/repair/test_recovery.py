"""What is whole in a damaged file is carried into the fresh one, under its numbers; the rest is counted once."""

import asyncio

import pytest

from gateway.gap import Gap
from gateway.metrics import Metrics
from gateway.spool.repair import recovery
from gateway.spool.reserve import PAGE_BYTES
from tests.gateway.spool.harness import START_NS, batch_of, drain, dropped, execute, read_gaps, rescued, running
from tests.waiting import until

ROWS = 200


async def filled(path, *, blocks=1):
    """A file with blocks, rows, and some that were taken; what waits in it, by number."""
    async with running(path) as spool:
        spool.points.intern("a/b/c/plc/level", device="plc", unit="mm")
        seqs = [await spool.append("plc", batch_of(20, mark=n)) for n in range(ROWS)]
        spool._merger.readings = 1000
        for _ in range(blocks):
            assert await spool._merger.merge()
        taken = seqs[3:ROWS:7]
        spool.ack(taken)
        await spool.flush()
        return {seq: batch_of(20, mark=n) for n, seq in enumerate(seqs) if seq not in set(taken)}


def leaves(path):
    """The numbers of the pages that hold the rows, in order."""
    ((root,),) = execute(path, "SELECT rootpage FROM sqlite_master WHERE name = 'batches'")
    found = leaves_below(path.read_bytes(), root)
    assert len(found) > 4
    return found


def leaves_below(pages, number):
    page = pages[(number - 1) * PAGE_BYTES : number * PAGE_BYTES]
    if page[0] == 13:
        return [number]
    end = 12 + 2 * int.from_bytes(page[3:5], "big")
    cells = [int.from_bytes(page[at : at + 2], "big") for at in range(12, end, 2)]
    below = [int.from_bytes(page[cell : cell + 4], "big") for cell in (*cells, 8)]
    return [leaf for child in below for leaf in leaves_below(pages, child)]


def harm(path, number):
    """Overwrites a page."""
    content = bytearray(path.read_bytes())
    content[(number - 1) * PAGE_BYTES : number * PAGE_BYTES] = b"\xa5" * PAGE_BYTES
    path.write_bytes(content)


async def check(spool, waiting, *, came=None):
    """Everything but what is counted is there, once, in order, under its number and with its readings."""
    rows = await drain(spool)
    assert [row.seq for row in rows] == sorted(row.seq for row in rows)
    assert all(waiting[row.seq] == row.batch for row in rows if row.seq in waiting)
    found = {row.seq for row in rows}
    missing = sum(len(batch) for seq, batch in waiting.items() if seq not in found)
    assert spool.stats.dropped == ({"spool_damaged": missing} if missing else {})
    told = [entry.gap for entry in await spool.gaps.all()]
    assert [(gap.cause, gap.readings) for gap in told] == ([("spool_damaged", missing)] if missing else [])
    assert spool.stats.backlog_readings == sum(row.readings for row in rows)
    assert spool.stats.backlog_batches == len(rows)
    return missing


@pytest.mark.parametrize("when", ["at opening", "in mid-life"])
async def test_a_page_that_is_gone_costs_what_stood_on_it(path, when):
    waiting = await filled(path)
    pages = leaves(path)
    metrics = Metrics()
    came = []
    if when == "at opening":
        harm(path, pages[len(pages) // 2])
    async with running(path, metrics=metrics) as spool:
        spool.on_late(lambda first, last: came.append((first, last)))
        if when == "in mid-life":
            await spool._file.fetch("PRAGMA cache_size = 0")
            harm(path, pages[len(pages) // 2])
            await drain(spool)
        assert spool.stats.quarantined is not None
        new = await spool.append("plc", batch_of(7, mark=999))
        assert new > max(waiting)
        await rescued(spool)
        missing = await check(spool, waiting | {new: batch_of(7, mark=999)})
        assert 0 < missing < 20 * ROWS / 2
        assert spool.stats.blocks == 1
        assert spool.stats.rescued_readings == 20 * len(waiting) - missing
        assert [point.path for point in spool.points] == ["a/b/c/plc/level"]
        assert min(first for first, _ in came) == min(waiting)
        assert max(last for _, last in came) < new
        spool.ack(waiting)
        await spool.flush()
        assert [row.seq for row in await drain(spool)] == [new]
    assert dropped(metrics) == {"spool_damaged": missing}
    async with running(path) as spool:
        assert spool.stats.dropped == {"spool_damaged": missing}, "it is counted once"
        assert not spool.stats.rescuing


async def test_a_crash_in_the_middle_goes_on_where_it_was(path, monkeypatch):
    """And what was carried, delivered and deleted by then does not come again."""
    waiting = await filled(path, blocks=0)
    pages = leaves(path)
    harm(path, pages[-2])
    monkeypatch.setattr(recovery, "STEP_BATCHES", 40)
    monkeypatch.setattr(recovery, "REST_PART", 1e6)
    async with running(path) as spool:
        await until(lambda: spool.stats.rescued_readings)
        first = await drain(spool)
        assert len(first) == 40
        spool.ack(row.seq for row in first)
        await spool.flush()
        assert spool.stats.rescuing
        assert spool.stats.dropped == {}
    monkeypatch.undo()
    async with running(path) as spool:
        assert spool.stats.rescuing
        await rescued(spool)
        assert {row.seq for row in await drain(spool)}.isdisjoint(row.seq for row in first)
        missing = await check(spool, {seq: batch for seq, batch in waiting.items() if seq > first[-1].seq})
        assert missing


async def test_readings_of_points_that_nobody_can_name_are_not_given_to_others(path):
    async with running(path) as spool:
        for tag in ("level", "force"):
            spool.points.intern(f"a/b/c/plc/{tag}", device="plc")
        for n in range(10):
            await spool.append("plc", batch_of(20, mark=n, point=1 + n % 2))
    execute(path, "DELETE FROM points WHERE number = 2")
    execute(path, "UPDATE totals SET last_seq = 'x'")
    async with running(path) as spool:
        assert spool.points.intern("a/b/c/plc/temperature", device="plc") == 2
        await rescued(spool)
        rows = await drain(spool)
        assert [row.batch for row in rows] == [batch_of(20, mark=n) for n in range(0, 10, 2)]
        assert spool.stats.dropped == {"spool_damaged": 100}


async def test_it_keeps_within_the_budget(path):
    waiting = await filled(path, blocks=0)
    harm(path, leaves(path)[0])
    async with running(path, max_bytes=30_000, when_full="drop_newest") as spool:
        await rescued(spool)
        assert spool.stats.backlog_bytes <= 30_000
        assert await check(spool, waiting) > 20 * ROWS / 2


async def test_a_file_that_somebody_took_away_is_lost(path, monkeypatch):
    waiting = await filled(path)
    harm(path, leaves(path)[0])
    async with running(path) as spool:
        spool.stats.quarantined.unlink()
        await rescued(spool)
        assert await check(spool, waiting) == 20 * len(waiting)


async def test_while_the_disk_is_full_it_waits_and_new_batches_are_told_first(path):
    waiting = await filled(path, blocks=0)
    harm(path, leaves(path)[0])
    async with running(path) as spool:
        pages = (await spool._file.fetch("PRAGMA page_count"))[0][0]
        await spool._file.fetch(f"PRAGMA max_page_count = {pages + 2}")
        assert await spool.append("plc", batch_of(1))
        await asyncio.sleep(0.1)
        assert spool.stats.rescuing
        await spool._file.fetch("PRAGMA max_page_count = 100000")
        await rescued(spool)
        rows = await drain(spool)
        spool.ack([rows[-1].seq])
        await spool.flush()
        await check(spool, waiting)


async def test_no_rows_are_merged_meanwhile_and_all_are_afterwards(path, monkeypatch):
    await filled(path, blocks=0)
    harm(path, leaves(path)[0])
    monkeypatch.setattr(recovery, "STEP_BATCHES", 40)
    monkeypatch.setattr(recovery, "REST_PART", 1e6)
    async with running(path) as spool:
        spool._merger.readings = 100
        await until(lambda: spool.stats.rescued_readings)
        assert not await spool._merger.merge()
        resting = spool._recovery
        monkeypatch.undo()
        assert resting.is_due
    async with running(path) as spool:
        await rescued(spool)
        spool._merger.readings = 100
        assert await spool._merger.merge()


async def test_a_fresh_file_that_is_damaged_as_well_loses_neither(path, monkeypatch):
    waiting = await filled(path, blocks=0)
    harm(path, leaves(path)[-2])
    monkeypatch.setattr(recovery, "STEP_BATCHES", 40)
    monkeypatch.setattr(recovery, "REST_PART", 1e6)
    clock = START_NS
    async with running(path, now_ns=lambda: clock) as spool:
        await until(lambda: spool.stats.rescued_readings)
    monkeypatch.undo()
    harm(path, leaves(path)[-1])
    clock += 1_000_000_000
    async with running(path, now_ns=lambda: clock) as spool:
        await rescued(spool)
        found = {row.seq for row in await drain(spool)}
        missing = sum(len(batch) for seq, batch in waiting.items() if seq not in found)
        assert 0 < missing < 20 * ROWS / 2
        assert spool.stats.dropped == {"spool_damaged": missing}
    gaps = [entry.gap for entry in read_gaps(path)]
    assert sum(gap.readings for gap in gaps) == missing
    assert {gap[:2] for gap in gaps} == {Gap("", "spool_damaged", 0, 0, 0)[:2]}
