import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.spool.pace import ACK_DELAY_S, LEAST_S, LONGEST_ACK_S, Pace, ack_delay_s, linger_s
from tests.gateway.spool.harness import batch_of, drain, running
from tests.waiting import until

MOST_S = 0.1


@pytest.mark.parametrize(
    ("batches_s", "readings_s", "quiet_s", "expected_s"),
    [
        (12, 12, 1.0, MOST_S),  # a slow plant
        (5, 5, 1.0, 0.0),  # nobody else is to be expected in that time
        (100, 1_000, 0.1, 0.05),  # fifty readings
        (100, 10_000, 0.1, LEAST_S),
        (50, 10_000, 0.1, 0.0),
        (100, 10_000, 0.01, 0.0),  # one device that is as fast
        (1_000, 10_000, 0.01, 0.005),  # ten of them
        (1_000, 10_000, 0.0, 0.0),  # this one is behind
    ],
)
def test_how_long_a_batch_lingers(batches_s, readings_s, quiet_s, expected_s):
    waits_s = linger_s(batches_s=batches_s, readings_s=readings_s, quiet_s=quiet_s, most_s=MOST_S)
    assert waits_s == pytest.approx(expected_s)


rates = st.floats(0.001, 1e6)


@given(rates, rates, st.floats(0, 1e6), st.floats(0, 10))
def test_no_batch_waits_longer_than_is_allowed_or_than_its_source_can_bear(batches_s, readings_s, quiet_s, most_s):
    waits_s = linger_s(batches_s=batches_s, readings_s=readings_s, quiet_s=quiet_s, most_s=most_s)
    assert 0 <= waits_s <= min(most_s, quiet_s / 2)
    assert waits_s == 0 or batches_s * waits_s >= 1
    assert waits_s <= LEAST_S or readings_s * waits_s <= 50 * 1.0001


@pytest.mark.parametrize(
    ("gap_s", "expected_s"),
    [(0.01, ACK_DELAY_S), (2.0, 2.5), (4.0, LONGEST_ACK_S), (4.1, ACK_DELAY_S), (math.inf, ACK_DELAY_S)],
)
def test_a_deletion_waits_for_the_next_batch_where_it_comes_soon(gap_s, expected_s):
    assert ack_delay_s(gap_s) == expected_s


def simulate(*, devices, period_s, readings, most_s, seconds=8.0, commit_s=0.002):
    """Devices that send once a period, the next batch not before the last is stored: the waits of the second half."""
    pace = Pace(most_s)
    ready_s = [number * period_s / devices for number in range(devices)]
    sent = [0] * devices
    due_s, line, waits_s, commits = math.inf, [], [], 0
    while min(*ready_s, due_s, seconds) < seconds:
        now_s = min(*ready_s, due_s)
        if due_s <= now_s:
            commits += now_s > seconds / 2
            for number, came_s in line:
                pace.stored(str(number), now_s + commit_s)
                if came_s > seconds / 2:
                    waits_s.append(now_s + commit_s - came_s)
                sent[number] += 1
                ready_s[number] = max(now_s + commit_s, (sent[number] + number / devices) * period_s)
            due_s, line = math.inf, []
        else:
            number = ready_s.index(now_s)
            ready_s[number] = math.inf
            due_s = min(due_s, pace.come(str(number), readings, now_s))
            line.append((number, now_s))
    return waits_s, commits / (seconds / 2)


@pytest.mark.parametrize(
    ("devices", "period_s", "readings", "most_s", "longest_s", "commits_s"),
    [
        (12, 1.0, 1, 0.1, 0.103, 7),
        (12, 1.0, 1, 1.0, 0.5, 3),
        (1, 0.01, 100, 1.0, 0.003, 100),
        (10, 0.1, 100, 1.0, LEAST_S + 0.003, 61),
        (50, 0.01, 1, 1.0, 0.006, 330),
    ],
)
def test_a_plant_commits_less_often_and_no_source_falls_behind(
    devices, period_s, readings, most_s, longest_s, commits_s
):
    waits_s, commits = simulate(devices=devices, period_s=period_s, readings=readings, most_s=most_s)
    assert max(waits_s) <= longest_s
    assert commits <= commits_s
    assert len(waits_s) == pytest.approx(devices / period_s * 4, rel=0.08), "all that was due was sent"


def test_the_next_batch_is_expected_by_the_last_two_gaps():
    pace = Pace(MOST_S)
    gaps_s = []
    for now_s in (10.0, 12.0, 14.0, 14.5, 20.0):
        pace.come("plc", 1, now_s)
        gaps_s.append(pace.gap_s)
    assert gaps_s == [math.inf, math.inf, 2.0, 2.0, 5.5]


async def test_batches_of_a_slow_plant_share_commits_and_none_is_forgotten(tmp_path):
    async with running(tmp_path / "spool.db", linger_ms=200) as spool:
        seqs: list[int] = []

        async def device(number):
            for count in range(4):
                seqs.append(await spool.append(f"plc-{number}", batch_of(1, mark=100 * number + count)))
                await asyncio.sleep(0.2)

        await asyncio.gather(*map(device, range(20)))
        assert spool.stats.commits <= 24, "the first round cannot know; then all of a round share one or few"
        rows = await drain(spool)
        assert sorted(seqs) == [row.seq for row in rows]
        assert len(rows) == 80


async def test_a_flush_and_a_close_wait_for_nobody(tmp_path):
    async with running(tmp_path / "spool.db", linger_ms=10_000) as spool:
        await lingering(spool)
        await spool.flush()
        assert not spool.stats.waiting_readings
        last = await lingering(spool)
    async with running(tmp_path / "spool.db") as spool:
        assert (await drain(spool))[-1].batch == last


async def lingering(spool):
    """Has one batch wait for others that do not come."""
    for mark in range(40):
        await spool.append(f"plc-{mark % 2}", batch_of(1, mark=mark))
        if mark % 2:
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.3)
    batch = batch_of(1, mark=99)
    append = asyncio.create_task(spool.append("plc-0", batch))
    await until(lambda: spool.stats.waiting_readings == 1)
    await asyncio.sleep(0.05)
    assert not append.done()
    return batch
