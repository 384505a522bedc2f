"""A full spool that thins: what goes and what stays, who is on its way meanwhile, crashes, and what is told of it."""

import asyncio
import math
import threading
from contextlib import asynccontextmanager

import pytest

from gateway.batch import Batch, Kind, Reading
from gateway.metrics import Metrics
from gateway.spool import Spool, ThinningRules
from gateway.spool.budget import thinner
from gateway.spool.codec import Codec
from tests.gateway.spool.budget.test_door import is_told
from tests.gateway.spool.harness import START_NS, break_next_commit, drain, dropped, read_gaps, running
from tests.waiting import until

LEVEL, ALARM, LOOSE = 1, 2, 3
BOUND = 0.5
RULES = ThinningRules({("line/plc/level", "m"): BOUND}, lambda batch, tag_bytes: sum(tag_bytes) and len(batch) < 30)
BLOCK_ROWS = 20


def batch_at(number):
    """A second of a level that floats a little, an alarm, and a value of which nobody says how exact it must be."""
    at_ns = START_NS + number * 1_000_000_000
    level = [Reading(at_ns + n * 10**8, 5 + math.sin(number * 10 + n) / 4, LEVEL) for n in range(8)]
    alarm = Reading(at_ns, "none" if number % 7 else f"alarm {number}", ALARM, kind=Kind.STR)
    return Batch.of([*level, alarm, Reading(at_ns, 1.0, LOOSE)])


@asynccontextmanager
async def thinning(path, *, rules=RULES, when_full="thin", **settings):
    async with running(path, when_full=when_full, **settings) as spool:
        for name, unit in (("level", "m"), ("alarm", ""), ("loose", "m")):
            spool.points.intern(f"line/plc/{name}", device="plc", unit=unit)
        spool.thin_by(rules)
        yield spool


async def filled(spool, blocks, *, first=0, batch=batch_at):
    """The numbers of the batches in so many blocks."""
    seqs = []
    for block in range(blocks):
        numbers = range(first + block * BLOCK_ROWS, first + (block + 1) * BLOCK_ROWS)
        seqs += [await spool.append("plc", batch(number)) for number in numbers]
        spool._merger.readings = sum(len(batch(number)) for number in numbers)
        assert await spool._merger.merge()
    return seqs


async def codecs(spool):
    return [codec for (codec,) in await spool._file.fetch("SELECT codec FROM blocks ORDER BY last")]


def of_point(rows, point):
    return [reading for row in rows for reading in row.batch if reading.point == point]


def check_level(left, before):
    """What is left of the level tells all of it within the bound."""
    places = {reading.ts_ns: place for place, reading in enumerate(before)}
    stay = [places[reading.ts_ns] for reading in left]
    assert [before[place] for place in stay] == left
    times, values = [reading.ts_ns for reading in before], [reading.value for reading in before]
    for place in set(range(len(before))) - set(stay):
        right = min(one for one in stay if one > place)
        assert is_told(times, values, place, max(one for one in stay if one < place), right, BOUND)


async def test_old_readings_within_the_bound_go_before_anything_is_dropped(path):
    metrics = Metrics()
    async with thinning(path, metrics=metrics, max_bytes=14_000) as spool:
        sent, accepted = 0, []
        while Codec.THINNED not in await codecs(spool):
            assert not dropped(metrics)
            await filled(spool, 1, first=sent)
            accepted += [batch_at(number) for number in range(sent, sent + BLOCK_ROWS)]
            sent += BLOCK_ROWS
        rows, stats = await drain(spool), spool.stats
        assert (await codecs(spool))[0] == Codec.THINNED
        assert (await codecs(spool))[-1] == Codec.BLOCK
        assert stats.backlog_bytes <= 14_000
        gone = stats.accepted_readings - stats.backlog_readings
        assert stats.dropped == dropped(metrics) == {"thinned": gone}
        assert sum(row.readings for row in rows) == stats.backlog_readings
        before = [reading for batch in accepted for reading in batch]
        for point in (ALARM, LOOSE):
            assert of_point(rows, point) == [reading for reading in before if reading.point == point]
        check_level(of_point(rows, LEVEL), [reading for reading in before if reading.point == LEVEL])
        assert {(entry.gap.device, entry.gap.tag, entry.gap.cause) for entry in read_gaps(path)} == {
            ("plc", "level", "thinned")
        }
        assert sum(entry.gap.readings for entry in read_gaps(path)) == gone

        # Only when there is nothing left to be thinned the oldest goes.
        while "spool_full" not in spool.stats.dropped:
            before_ns = spool.stats.oldest_at_ns, (await drain(spool))[0].seq
            fresh = (await codecs(spool)).count(Codec.BLOCK)
            await filled(spool, 1, first=sent)
            sent += BLOCK_ROWS
            assert sent < 2_000
        assert fresh <= 1
        assert (await drain(spool))[0].seq > before_ns[1]
        stats = spool.stats
        assert stats.accepted_readings == stats.backlog_readings + sum(stats.dropped.values())


async def test_without_a_bound_or_another_policy_nothing_is_thinned(path):
    for number, (rules, policy) in enumerate(((thinner.NOTHING, "thin"), (RULES, "drop_oldest"))):
        metrics = Metrics()
        async with thinning(
            path.with_name(f"{number}.db"), metrics=metrics, rules=rules, when_full=policy, max_bytes=9_000
        ) as spool:
            first = 0
            while not dropped(metrics):
                await filled(spool, 1, first=first)
                first += BLOCK_ROWS
            assert dropped(metrics).keys() == {"spool_full"}
            assert set(await codecs(spool)) == {Codec.BLOCK}


def jumping(number):
    """A second of a level that jumps further than the bound all the time."""
    at_ns = START_NS + number * 1_000_000_000
    return Batch.of(Reading(at_ns + n * 10**8, 9 * math.sin(number * 10 + n), LEVEL) for n in range(8))


async def test_a_block_is_thinned_once_also_after_a_restart(path):
    def half(number):
        return batch_at(number) if number % BLOCK_ROWS < BLOCK_ROWS // 2 else jumping(number)

    async with thinning(path) as spool:
        await filled(spool, 2, batch=half)
        await spool._thinner.thin()
        thinned = await drain(spool)
        assert await codecs(spool) == [Codec.THINNED, Codec.BLOCK]
    wider = RULES._replace(bounds=dict.fromkeys(RULES.bounds, 50.0))  # of which a second time would make use
    async with thinning(path, rules=wider) as spool:
        assert await drain(spool) == thinned
        for _ in range(3):
            await spool._thinner.thin()
        assert await codecs(spool) == [Codec.THINNED, Codec.THINNED]
        assert (await drain(spool))[:BLOCK_ROWS] == thinned[:BLOCK_ROWS]
        assert not spool._thinner.hopeful


async def test_what_would_not_become_smaller_stays(path):
    async with thinning(path) as spool:
        await filled(spool, 1, batch=jumping)
        before = await drain(spool)
        await spool._thinner.thin()
        assert await codecs(spool) == [Codec.BLOCK]
        assert await drain(spool) == before
        await spool._thinner.thin()
        assert not spool._thinner.hopeful
        await filled(spool, 1, first=BLOCK_ROWS)
        assert spool._thinner.hopeful


async def test_a_batch_that_may_be_sent_in_parts_is_not_touched(path):
    """A receiver has its first part, perhaps: what is left of it would be cut elsewhere, under the same numbers."""

    def larger(number):
        once_more = Batch.of(Reading(START_NS + number * 10**9 + n * 10**7, 5.0, LEVEL) for n in range(30))
        return once_more if number == 5 else batch_at(number)

    async with thinning(path) as spool:
        seqs = await filled(spool, 1, batch=larger)
        await spool._thinner.thin()
        assert await codecs(spool) == [Codec.THINNED]
        rows = {row.seq: row.batch for row in await drain(spool)}
        assert rows[seqs[5]] == larger(5)
        assert len(rows[seqs[6]]) < len(batch_at(6))


async def test_acknowledgements_of_what_was_on_its_way_find_what_is_left(path):
    metrics = Metrics()
    async with thinning(path, metrics=metrics) as spool:
        seqs = await filled(spool, 1, batch=lambda n: Batch.of([Reading(START_NS + n * 10**9, 5.0 + n % 3 / 9, LEVEL)]))
        spool.ack(seqs[3:5])
        await spool.flush()
        on_the_way = await drain(spool)
        await spool._thinner.thin()
        assert await codecs(spool) == [Codec.THINNED]
        left = [row.seq for row in await drain(spool)]
        assert left == [seqs[0], seqs[-1]]
        assert dropped(metrics) == {"thinned": BLOCK_ROWS - 4}
        spool.ack([row.seq for row in on_the_way if row.seq != left[-1]])
        await spool.flush()
        assert [row.seq for row in await drain(spool)] == left[1:]
        assert (spool.stats.backlog_batches, spool.stats.backlog_readings, spool.stats.blocks) == (1, 1, 1)
        spool.ack(left[1:])
        await spool.flush()
        assert (spool.stats.backlog_batches, spool.stats.backlog_bytes, spool.stats.blocks) == (0, 0, 0)


async def test_a_block_of_which_something_is_taken_meanwhile_is_left_alone(path, monkeypatch):
    for committed in (False, True):
        goes_on, began, thinned = threading.Event(), threading.Event(), thinner._thinned

        def slowly(*args, goes_on=goes_on, began=began, thinned=thinned):
            began.set()
            assert goes_on.wait(30)
            return thinned(*args)

        async with thinning(path.with_name(f"{committed}.db")) as spool:
            seqs = await filled(spool, 1)
            monkeypatch.setattr(thinner, "_thinned", slowly)
            at_work = asyncio.create_task(spool._thinner.thin())
            await until(began.is_set)
            spool.ack(seqs[4:6])
            if committed:
                await spool.flush()
            goes_on.set()
            await at_work
            monkeypatch.undo()
            assert await codecs(spool) == [Codec.BLOCK]
            assert [row.seq for row in await drain(spool)] == [*seqs[:4], *seqs[6:]]
            assert spool.stats.dropped == {}


async def test_who_reads_a_block_while_it_is_thinned_sees_it_as_it_is_then(path):
    async with thinning(path) as spool:
        await filled(spool, 1)
        first = await spool.pending(after=0, limit_readings=1)
        await spool._thinner.thin()
        rows = await spool.pending(after=first[-1].seq, limit_readings=1_000)
        assert sum(row.readings for row in rows) < spool.stats.backlog_readings < 150
        assert first[0].batch == batch_at(0)
        assert (await drain(spool))[0].readings < first[0].readings


@pytest.mark.parametrize("reached_the_disk", [False, True])
async def test_a_failed_transaction_thins_and_counts_once_or_not_at_all(path, monkeypatch, reached_the_disk):
    metrics = Metrics()
    async with thinning(path, metrics=metrics) as spool:
        await filled(spool, 1)
        break_next_commit(spool, monkeypatch, reached_the_disk=reached_the_disk)
        with pytest.raises(Exception, match="disk I/O error"):
            await spool._thinner.thin()
        await drain(spool)  # whoever uses the file next ends the doubt
        assert await codecs(spool) == [Codec.THINNED if reached_the_disk else Codec.BLOCK]
        await spool._thinner.thin()
        assert await codecs(spool) == [Codec.THINNED]
        stats = spool.stats
        gone = stats.accepted_readings - stats.backlog_readings
        assert stats.dropped == dropped(metrics) == {"thinned": gone}
        assert [entry.gap.readings for entry in read_gaps(path)] == [gone]


async def test_a_damaged_block_is_passed_by(path):
    async with thinning(path) as spool:
        await filled(spool, 2)
    async with thinning(path) as spool:
        await spool._file.transact(
            [("UPDATE blocks SET checksum = checksum + 1 WHERE last = (SELECT min(last) FROM blocks)", ())]
        )
        await spool._thinner.thin()
        await spool._thinner.thin()
        assert await codecs(spool) == [Codec.BLOCK, Codec.THINNED]


async def test_rules_that_change_begin_anew(path):
    async with thinning(path, rules=thinner.NOTHING) as spool:
        await filled(spool, 1)
        assert not spool._thinner.hopeful
        spool.thin_by(RULES)
        assert spool._thinner.hopeful
        await spool._thinner.thin()
        assert await codecs(spool) == [Codec.THINNED]


async def test_closing_a_full_spool_thins_as_well(path):
    metrics = Metrics()
    async with thinning(path, metrics=metrics, max_bytes=14_000) as spool:
        await filled(spool, 5)
        assert not dropped(metrics)
        count = (14_000 - spool.stats.backlog_bytes) // batch_at(0).nbytes + 3
        waiting = [asyncio.create_task(spool.append("plc", batch_at(number))) for number in range(200, 200 + count)]
        await asyncio.sleep(0)
        await spool.close()
        assert all([await one for one in waiting])
    assert isinstance(spool, Spool)
    assert dropped(metrics).keys() == {"thinned"}
