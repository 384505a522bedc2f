import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.modbus.schedule import Slot, next_slot, probe_delay_s


@pytest.mark.parametrize(
    ("now_s", "expected"),
    [
        (100.0, Slot(101.0, 0)),
        (100.999, Slot(101.0, 0)),
        (101.0, Slot(101.0, 0)),
        (101.001, Slot(102.0, 1)),
        (102.0, Slot(102.0, 1)),
        (109.5, Slot(110.0, 9)),
    ],
)
def test_polls_stay_on_the_grid(now_s: float, expected: Slot) -> None:
    assert next_slot(100.0, now_s=now_s, interval_s=1.0) == expected


@given(st.floats(0, 1e6), st.floats(0, 1e4), st.floats(0.01, 3600))
def test_the_next_slot_is_ahead_and_at_most_an_interval_away(slot_s: float, took_s: float, interval_s: float) -> None:
    at_s, missed = next_slot(slot_s, now_s=slot_s + took_s, interval_s=interval_s)
    tolerance = 1e-6
    assert slot_s + took_s - tolerance <= at_s <= slot_s + took_s + interval_s + tolerance
    assert math.isclose(at_s, slot_s + (missed + 1) * interval_s, abs_tol=tolerance)


@pytest.mark.parametrize(("failures", "delay_s"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (10_000, 60)])
def test_a_silent_unit_is_asked_less_and_less(failures: int, delay_s: float) -> None:
    assert probe_delay_s(failures, interval_s=1.0, timeout_s=0.5) == delay_s


@given(st.integers(1, 10_000), st.floats(0.01, 86_400), st.floats(0.01, 600))
def test_a_unit_that_stays_silent_takes_little_of_the_time(failures: int, interval_s: float, timeout_s: float) -> None:
    delay_s = probe_delay_s(failures, interval_s=interval_s, timeout_s=timeout_s)
    assert delay_s >= timeout_s
    assert delay_s <= max(60, 20 * timeout_s)
    if failures > 20:
        assert delay_s >= min(max(60, 20 * timeout_s), interval_s) >= min(20 * timeout_s, interval_s)
