"""The swinging door: its bound in exact fractions, and what it leaves against a few lines that take their time."""

import math
from fractions import Fraction
from itertools import pairwise
from random import Random

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.spool.budget.door import changes, swinging_door

NOW_NS = 1_763_900_000_000_000_000
bounds = st.sampled_from([0.0, 1e-300, 1e-9, 0.001, 0.1, 0.5, 1.0, 1e6]) | st.floats(0, 1e9)
values = (
    st.floats()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(-10, 10)
    | st.integers(-5, 5).map(float)
    | st.integers(-500, 500).map(lambda n: n / 100)
)
steps = st.sampled_from([100_000_000] * 6 + [0, -50_000_000, 1, 3_600_000_000_000]) | st.integers(-(10**9), 10**12)
series = st.lists(st.tuples(steps, values), max_size=60)


def columns(steps_and_values):
    times, now_ns = [], NOW_NS
    for step, _ in steps_and_values:
        now_ns += step
        times.append(now_ns)
    return times, [value for _, value in steps_and_values]


def is_told(times, values, place, left, right, bound):
    """Whether the line between two readings tells the one at `place`, in exact fractions."""
    if not times[left] < times[place] < times[right]:
        return False
    if values[left] == values[place] == values[right]:
        return True
    if not all(math.isfinite(values[one]) for one in (place, left, right)):
        return False
    first, last = Fraction(values[left]), Fraction(values[right])
    part = Fraction(times[place] - times[left], times[right] - times[left])
    return abs(first + (last - first) * part - Fraction(values[place])) <= Fraction(bound)


@given(series, bounds)
@example([(1, 0.0), (1, 0.1), (1, 0.2), (1, 0.30000000000000004), (1, 0.4)], 0.0)
@example([(1, 1.0), (1, 1.5), (1, 2.5), (1, 2.5)], 0.5)
@example([(1, 0.0), (10, 5.0), (-5, 5.0), (1, 5.0), (1, 5.0)], 1.0)
def test_what_goes_is_told_by_its_neighbours_within_the_bound(steps_and_values, bound):
    times, values = columns(steps_and_values)
    stay = swinging_door(times, values, bound)
    assert stay == sorted(set(stay))
    assert stay[:1] + stay[-1:] == ([0, len(times) - 1] if times else [])
    for left, right in pairwise(stay):
        assert all(is_told(times, values, place, left, right, bound) for place in range(left + 1, right))


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(-9, 9)), min_size=1, max_size=80))
def test_it_goes_on_as_long_as_one_line_does(steps_and_values):
    """Whole numbers, short times and a bound that no line between them meets exactly: rounding decides nothing."""
    times, values = columns(steps_and_values)
    bound = 1.00010001
    stay, place = [0], 0
    while place < len(times) - 1:
        reach = place + 1
        while reach + 1 < len(times) and all(
            is_told(times, values, one, place, reach + 1, bound) for one in range(place + 1, reach + 1)
        ):
            reach += 1
        stay.append(place := reach)
    assert swinging_door(times, values, bound) == stay


@given(st.lists(st.tuples(steps, st.sampled_from(["", "a", "b"])), max_size=40))
def test_of_what_has_no_line_only_repetitions_go(steps_and_values):
    times, values = columns(steps_and_values)
    stay = changes(times, values)
    assert stay == sorted(set(stay))
    assert stay[:1] + stay[-1:] == ([0, len(times) - 1] if times else [])
    for left, right in pairwise(stay):
        if right > left + 1:
            assert len(set(values[left : right + 1])) == 1
            assert times[left : right + 1] == sorted(set(times[left : right + 1]))


def test_a_ramp_is_two_readings_and_a_step_four():
    times = [NOW_NS + second * 10**9 for second in range(100)]
    assert swinging_door(times, [0.37 * second for second in range(100)], 0.001) == [0, 99]
    assert swinging_door(times, [5.0] * 50 + [9.0] * 50, 0.1) == [0, 49, 50, 99]
    assert swinging_door(times, [7.0] * 100, 0.0) == [0, 99]


def test_a_long_walk_comes_close_to_the_bound_and_never_beyond():
    """Doors shut at random slopes here: one that opened a hundredth too far would let something out."""
    walk, times, values, bound = Random(7), [], [], 0.25
    for second in range(20_000):
        times.append(NOW_NS + second * 10**9 + walk.randrange(10**8))
        values.append((values[-1] if values else 0.0) + walk.gauss(0.0, 0.05))
    stay = swinging_door(times, values, bound)
    assert len(stay) < 2_000
    furthest = max(
        abs(
            Fraction(values[left])
            + Fraction(times[place] - times[left], times[right] - times[left])
            * (Fraction(values[right]) - Fraction(values[left]))
            - Fraction(values[place])
        )
        for left, right in pairwise(stay)
        for place in range(left + 1, right)
    )
    assert 0.99 * bound < furthest <= Fraction(bound)
