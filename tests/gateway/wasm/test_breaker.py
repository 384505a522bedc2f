import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wasm.breaker import FIRST_PARK_NS, FORGIVEN_AFTER, LONGEST_PARK_NS, Breaker, park_ns

S = 1_000_000_000


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0), (1, 0), (2, 0), (3, 1), (4, 2), (5, 4), (11, 256), (12, 300), (10_000, 300)]
)
def test_each_failure_doubles_the_pause(failures, seconds):
    assert park_ns(failures) == seconds * S


def failed_times(times: int, now_ns: int = 0) -> Breaker:
    breaker = Breaker()
    for _ in range(times):
        breaker.failed(now_ns)
    return breaker


def test_the_third_failure_parks_and_time_lets_it_try_again():
    assert failed_times(2).allows(0)
    breaker = failed_times(3)
    assert not breaker.allows(0)
    assert not breaker.allows(FIRST_PARK_NS - 1)
    assert breaker.allows(FIRST_PARK_NS)
    breaker.failed(FIRST_PARK_NS)
    assert not breaker.allows(FIRST_PARK_NS + 2 * S - 1)
    assert breaker.allows(FIRST_PARK_NS + 2 * S)


def test_a_clock_that_steps_back_does_not_park_for_years():
    year_ns = 365 * 86_400 * S
    assert failed_times(3, now_ns=30 * year_ns).allows(year_ns)


def test_failures_are_forgiven_after_enough_good_batches_only():
    breaker = failed_times(3)
    for _ in range(FORGIVEN_AFTER - 1):
        breaker.worked()
    assert breaker.failures == 3
    breaker.worked()
    assert breaker.failures == 0
    breaker.failed(0)
    assert breaker.allows(0)


def test_a_module_that_fails_every_second_time_is_parked():
    breaker = Breaker()
    for _ in range(3):
        breaker.failed(0)
        breaker.worked()
    breaker.failed(0)
    assert not breaker.allows(0)


@given(st.lists(st.sampled_from(["failed", "worked", "wait"]), max_size=300))
def test_it_is_never_parked_longer_than_the_longest_pause(steps):
    breaker, now_ns = Breaker(), 0
    for step in steps:
        if step == "wait":
            now_ns += S
        elif breaker.allows(now_ns):
            if step == "failed":
                breaker.failed(now_ns)
            else:
                breaker.worked()
        assert breaker.allows(now_ns + LONGEST_PARK_NS)
        if not breaker.allows(now_ns):
            assert breaker.failures > 2
