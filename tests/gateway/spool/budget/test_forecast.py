"""How long the room lasts: the pure forecast, and a real spool that measures it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.spool.budget.forecast import DAY_S, Forecast, History, duration_text, forecast, forecast_text
from tests.gateway.spool.harness import batch_of, open_spool, running

GB = 1_000_000_000


def looked(per_s_by_hour, *, used=0, rows=0, most_rows=0, max_bytes=4 * GB, disk=100 * GB, each=4.0, wanted_s=None):
    """The forecast at the end of some hours, each with its own rate."""
    history, now_s, accepted = History(0.0), 0.0, 0
    for per_s in per_s_by_hour:
        for _ in range(60):
            now_s += 60.0
            accepted += int(60 * per_s)
            history.note(now_s, accepted)
    return forecast(
        history,
        now_s=now_s,
        accepted=accepted,
        used_bytes=used,
        max_bytes=max_bytes,
        disk_room_bytes=disk,
        row_bytes=rows,
        most_row_bytes=most_rows,
        bytes_per_reading=each,
        wanted_s=wanted_s,
    )


def test_an_even_day():
    seen = looked([1000] * 30, used=GB, wanted_s=12 * 3600.0)
    assert (seen.room_bytes, seen.limit, seen.readings_per_s, seen.over_s) == (3 * GB, "max_bytes", 1000.0, DAY_S)
    assert seen.full_in_s == 750_000
    assert seen.autonomy_s == 1_000_000
    assert not seen.too_short
    assert forecast_text(seen, connected=False) == "full in 8 d 16 h at today's rate"
    assert forecast_text(seen, connected=True) == "an outage that began now could last 8 d 16 h at today's rate"


def test_it_looks_back_as_far_as_it_looks_forward():
    """A night without readings, and a quarter of a day at full speed."""
    per_hour = [0] * 18 + [1000] * 6
    assert looked(per_hour, max_bytes=2_000_000).over_s == 600
    assert looked(per_hour, max_bytes=12_000_000).over_s == 3600
    assert looked(per_hour, max_bytes=80_000_000).readings_per_s == 1000.0
    assert looked(per_hour, max_bytes=4 * GB).readings_per_s == 250.0
    text = forecast_text(looked(per_hour, max_bytes=2_000_000), connected=False)
    assert text == "full in 8 min 20 s at the rate of the last 10 min"


def test_rows_that_become_a_block_do_not_move_it():
    before = looked([1000] * 30, used=20_000_000, rows=2_400_000, most_rows=3_000_000, max_bytes=40_000_000)
    after = looked([1000] * 30, used=18_000_000, rows=400_000, most_rows=3_000_000, max_bytes=40_000_000)
    assert before.full_in_s == after.full_in_s == (40_000_000 - 17_600_000 - 3_000_000) // 4_000
    assert before.autonomy_s == after.autonomy_s == 37_000_000 // 4_000
    # At the end there is room for rows still, as long as there is any.
    last = looked([1000] * 30, used=39_760_000, rows=0, most_rows=3_000_000, max_bytes=40_000_000)
    assert (last.full_in_s, last.room_bytes) == (10, 240_000)


def test_a_small_disk_limits_it_and_says_so():
    seen = looked([1000] * 30, disk=105_000_000)
    assert (seen.room_bytes, seen.limit) == (100_000_000, "disk")
    assert forecast_text(seen, connected=False).endswith("; the disk has less room than max_bytes allows")


def test_an_autonomy_that_cannot_be_held():
    seen = looked([1000] * 30, max_bytes=GB, wanted_s=72 * 3600.0)
    assert seen.too_short
    text = forecast_text(seen, connected=True)
    assert text.endswith("; 3 d of autonomy are asked for, and empty it could hold 2 d 21 h")


def test_nothing_comes_in_nothing_is_known_and_no_room():
    assert forecast_text(looked([0] * 30), connected=True) == "nothing comes in"
    assert forecast_text(looked([]), connected=True).startswith("not known yet")
    assert looked([]).readings_per_s is None
    assert forecast_text(looked([10], each=None), connected=True).startswith("not known yet")
    full = looked([10] * 2, used=4 * GB)
    assert full.full_in_s == 0
    assert forecast_text(full, connected=False) == "full"


@given(
    steps=st.lists(st.tuples(st.integers(1, 7200), st.integers(0, 10**6)), min_size=1, max_size=300),
    over_s=st.sampled_from([600, 3600, int(DAY_S)]),
)
def test_a_rate_is_what_came_over_the_time_that_it_names(steps, over_s):
    history, known, now_s, accepted = History(0), {0: 0}, 0, 0
    for step_s, more in steps:
        now_s += step_s
        accepted += more
        history.note(now_s, accepted)
        known[now_s] = accepted
    per_s, known_s = history.rate(now_s, accepted, over_s=over_s)
    assert known_s >= min(now_s, over_s)
    assert per_s * known_s == pytest.approx(accepted - known[now_s - known_s])
    assert known_s <= over_s + 7200 or known_s == now_s
    assert len(history._times_s) <= DAY_S / 60 + 2


@given(seconds=st.floats(0, 10**8))
def test_a_time_in_words_is_never_longer_than_the_time(seconds):
    units = {"d": 86_400, "h": 3600, "min": 60, "s": 1}
    words = duration_text(seconds).split()
    told_s = sum(int(number) * units[unit] for number, unit in zip(words[::2], words[1::2], strict=True))
    assert told_s <= seconds < told_s + 3600 if seconds >= 86_400 else told_s <= seconds < told_s + 60
    assert len(words) <= 4


def test_words():
    assert [duration_text(s) for s in (0, 59.9, 60, 3600, 3 * 86_400 + 4 * 3600 + 59, 86_400)] == [
        "0 s",
        "59 s",
        "1 min",
        "1 h",
        "3 d 4 h",
        "1 d",
    ]


async def test_a_spool_measures_what_comes_and_what_it_takes_compressed(tmp_path):
    now_s = 0.0
    async with running(tmp_path / "spool.db", max_bytes=1_000_000, autonomy_hours=1000, clock=lambda: now_s) as spool:
        assert spool.stats.forecast.bytes_per_reading is None
        for mark in range(20):
            await spool.append("plc", batch_of(50, mark=mark))
        now_s = 100.0
        assert await spool._outlook.try_out()
        assert not await spool._outlook.try_out()
        seen = spool.stats.forecast
        assert isinstance(seen, Forecast)
        assert seen.readings_per_s == 10.0
        assert 0 < seen.bytes_per_reading < 12
        assert seen.used_bytes == spool.stats.backlog_bytes
        for_rows = 2 * 1_000_000 // 16 - seen.used_bytes
        assert seen.full_in_s == pytest.approx((seen.room_bytes - for_rows) / (10.0 * seen.bytes_per_reading), rel=0.01)
        assert seen.too_short
        spool._merger.readings = 1000
        await spool._merger.merge()
        assert spool.stats.blocks == 1
    spool = await open_spool(tmp_path / "spool.db")
    assert spool.stats.forecast.bytes_per_reading == pytest.approx(spool.stats.block_bytes / 1000, abs=0.001)
    await spool.close()
