"""A device's clock, judged."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adapters.clock import SourceClock, Verdict

S = 1_000_000_000
NOW = 1_800_000_000 * S
LIMIT = 60 * S


def judged(*ahead: int, limit: int = LIMIT) -> list[str | None]:
    clock = SourceClock(limit_ns=limit)
    return [clock.judge(NOW + n * S + one, NOW + n * S).trouble for n, one in enumerate(ahead)]


def test_a_clock_that_agrees_is_taken_at_its_word() -> None:
    assert judged(0, -S // 10, 3 * S, -2 * S) == [None] * 4


def test_a_clock_that_is_hours_away_is_not() -> None:
    hour = 3_600 * S
    assert judged(hour, hour, hour) == ["clock_away"] * 3
    assert judged(-hour, -hour) == ["clock_away"] * 2


def test_a_clock_that_steps_is_not_taken_once() -> None:
    assert judged(50 * S, 50 * S, -50 * S, -50 * S) == [None, None, "clock_jump", None]
    assert judged(0, 0, 7_200 * S, 7_200 * S) == [None, None, "clock_jump", "clock_away"]
    assert judged(7_200 * S, 0, 0) == ["clock_away", "clock_jump", None]


def test_without_a_limit_any_clock_is_taken() -> None:
    assert judged(0, 10**6 * S, -(10**6) * S, limit=0) == [None] * 3


def test_the_quickest_message_tells_how_far_it_is_ahead() -> None:
    clock = SourceClock(limit_ns=LIMIT)
    assert clock.ahead_ns is None
    for late in (5, 1, 4, 2):
        clock.judge(NOW + 3 * S, NOW + late * S)
    assert clock.ahead_ns == 2 * S
    for _ in range(16):
        clock.judge(NOW, NOW)
    assert clock.ahead_ns == 0


def test_what_happened_while_it_was_away_is_no_jump() -> None:
    clock = SourceClock(limit_ns=LIMIT)
    assert clock.judge(NOW - 40 * S, NOW) == Verdict(-40 * S, None)
    clock.forget()
    assert clock.judge(NOW + 40 * S, NOW) == Verdict(40 * S, None)


def test_a_verdict_holds_until_the_next_message() -> None:
    clock = SourceClock(limit_ns=LIMIT)
    assert clock.distrusted is None
    away = clock.judge(NOW + 3_600 * S, NOW)
    assert clock.distrusted == away == Verdict(3_600 * S, "clock_away")
    clock.forget()
    assert clock.distrusted == away
    clock.judge(NOW, NOW)
    assert clock.distrusted is None


@given(st.lists(st.integers(-(10**6), 10**6), min_size=1), st.integers(1, 10**5))
def test_what_is_taken_is_within_the_limit(ahead: list[int], limit: int) -> None:
    clock = SourceClock(limit_ns=limit)
    for one in ahead:
        verdict = clock.judge(NOW + one, NOW)
        if verdict.trouble is None:
            assert abs(verdict.ahead_ns) <= limit
            assert abs(one) <= 2 * limit
        else:
            assert abs(verdict.ahead_ns) > limit or verdict.trouble == "clock_jump"
