from dataclasses import replace

import pytest

from gateway.wear import Sample, WearMeter, measure
from tests.gateway.observe.seeing import STATS

DAY_S = 86_400.0
FIRST = Sample(100.0, 1_000_000, 50)


@pytest.mark.parametrize(
    ("last", "a_reading", "a_day", "life_years"),
    [
        (Sample(100.0, 1_000_000, 50), None, None, None),
        (Sample(159.0, 2_000_000, 50), None, None, None),  # nothing was accepted, and a minute is not over
        (Sample(159.0, 1_001_000, 60), 100.0, None, None),
        (Sample(100.0 + DAY_S, 1_000_000, 60), 0.0, 0.0, None),  # it would bear that for ever
        (Sample(100.0 + DAY_S, 1_000_000 + 20_000_000_000, 2_000_050), 10_000.0, 20e9, 20e12 / 20e9 / 365.25),
        (Sample(100.0 + DAY_S / 4, 1_000_000 + 5_000_000_000, 2_000_050), 2_500.0, 20e9, 20e12 / 20e9 / 365.25),
    ],
)
def test_rates_and_life(last, a_reading, a_day, life_years):
    wear = measure(FIRST, last, stats=STATS, endurance_tbw=20)
    assert (wear.bytes_per_reading, wear.bytes_per_day) == (a_reading, a_day)
    assert wear.life_years == pytest.approx(life_years)
    assert measure(FIRST, last, stats=STATS, endurance_tbw=None).life_years is None


def test_a_kernel_that_keeps_no_account_is_not_taken_for_a_disk_that_lives_for_ever():
    meter = WearMeter(spool=lambda: STATS, endurance_tbw=20, clock=lambda: 0.0, written=lambda: None)
    meter.look()
    wear = meter.wear
    assert (wear.written_bytes, wear.bytes_per_reading, wear.bytes_per_day, wear.life_years) == (None,) * 4


class Life:
    """A gateway whose time and writing are led by hand."""

    def __init__(self):
        self.at_s, self.written_bytes, self.stats = 0.0, 0, replace(STATS, accepted_readings=0)
        self.meter = WearMeter(
            spool=lambda: self.stats, endurance_tbw=None, clock=lambda: self.at_s, written=lambda: self.written_bytes
        )

    def pass_by(self, seconds, *, bytes_s, readings_s):
        for _ in range(round(seconds / 10)):
            self.meter.look()
            self.at_s += 10
            self.written_bytes += bytes_s * 10
            self.stats = replace(self.stats, accepted_readings=self.stats.accepted_readings + readings_s * 10)


def test_what_counts_is_the_last_day():
    life = Life()
    life.pass_by(DAY_S / 2, bytes_s=1000, readings_s=10)
    assert life.meter.wear.bytes_per_reading == 100
    life.pass_by(DAY_S + 120, bytes_s=10, readings_s=10)
    wear = life.meter.wear
    assert wear.bytes_per_reading == 1
    assert wear.bytes_per_day == pytest.approx(10 * DAY_S)
    assert DAY_S <= wear.measured_s <= DAY_S + 120


def test_a_fresh_file_counts_from_0_and_so_does_the_wear():
    life = Life()
    life.pass_by(600, bytes_s=1000, readings_s=10)
    life.stats = replace(life.stats, accepted_readings=0)
    life.pass_by(600, bytes_s=1000, readings_s=10)
    assert life.meter.wear.bytes_per_reading == pytest.approx(100)
