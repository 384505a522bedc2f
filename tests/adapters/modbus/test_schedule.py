import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.modbus.schedule import (
    Agenda,
    Slot,
    least_patience_s,
    next_slot,
    patience_s,
    probe_delay_s,
    probe_patience_s,
    probes_free_again_s,
)


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


@pytest.mark.parametrize(("slack_s", "wait_s"), [(10, 1), (0.5, 0.45), (0.1, 0.25), (-3, 0.25)])
def test_a_unit_of_which_nothing_is_known_gets_what_time_is_left(slack_s: float, wait_s: float) -> None:
    assert patience_s(slack_s, timeout_s=1.0) == pytest.approx(wait_s)


@pytest.mark.parametrize(("usual_s", "least_s"), [(0.0, 0.25), (0.001, 0.05), (0.01, 0.2), (0.9, 0.25)])
def test_no_unit_is_judged_by_less_than_others_need(usual_s: float, least_s: float) -> None:
    assert least_patience_s(timeout_s=1.0, usual_s=usual_s) == pytest.approx(least_s)
    assert patience_s(-1, timeout_s=1.0, usual_s=usual_s) == pytest.approx(least_s)


@pytest.mark.parametrize(
    ("slack_s", "failures", "is_free", "wait_s"),
    [
        (2.0, 1, False, 1.0),
        (0.8, 1, True, 0.72),
        (0.8, 1, False, 0.72),
        (0.8, 8, True, 1.0),
        (0.8, 8, False, 0.72),
        (0.1, 1, True, 1.0),
        (0.1, 1, False, None),
        (-1.0, 1, False, None),
    ],
)
def test_a_probe_keeps_to_the_time_that_is_left(
    slack_s: float, failures: int, is_free: bool, wait_s: float | None
) -> None:
    patience = probe_patience_s(slack_s, timeout_s=1.0, failures=failures, is_free=is_free)
    assert patience == (None if wait_s is None else pytest.approx(wait_s))


def test_probes_that_make_a_poll_late_are_one_in_twenty() -> None:
    assert probes_free_again_s(100.0, late_s=0.0, interval_s=1.0) == 100.0
    assert probes_free_again_s(100.0, late_s=0.5, interval_s=1.0) == 130.0
    assert probes_free_again_s(100.0, late_s=3.0, interval_s=1.0) == 180.0


def test_each_class_keeps_its_own_grid() -> None:
    agenda = Agenda([10.0, 1.0, 1.0], now_s=100.0)
    assert agenda.due(100.0) == [1.0, 10.0]
    agenda.begin(1.0)
    agenda.begin(10.0)
    assert agenda.due(100.0) == []
    assert agenda.slack_s(100.2) == pytest.approx(0.8)
    assert agenda.finish(1.0, now_s=100.3) == 0
    assert agenda.next_s() == 101.0
    assert agenda.slack_s(100.3) == pytest.approx(0.7)
    # The slow class is still being read when the fast one is due again.
    assert agenda.due(101.0) == [1.0]
    agenda.begin(1.0)
    assert agenda.finish(1.0, now_s=104.5) == 3
    assert agenda.finish(10.0, now_s=104.5) == 0
    assert agenda.next_s() == 105.0
    assert agenda.due(110.0) == [1.0, 10.0]
