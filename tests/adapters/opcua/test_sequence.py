from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.opcua.sequence import LAST, following, missing, step

NUMBERS = st.integers(1, LAST) | st.sampled_from([1, 2, LAST - 1, LAST])


@pytest.mark.parametrize(
    ("expected", "number", "ahead"),
    [(5, 5, 0), (5, 8, 3), (5, 4, -1), (LAST, 1, 1), (1, LAST, -1), (LAST - 1, 2, 3), (1, 1, 0)],
)
def test_step(expected: int, number: int, ahead: int) -> None:
    assert step(expected, number) == ahead


def test_the_last_number_is_followed_by_one() -> None:
    assert following(LAST) == 1
    assert following(1) == 2


@given(NUMBERS, st.integers(0, 300))
def test_missing_numbers_lead_up_to_the_one_that_came(expected: int, ahead: int) -> None:
    number = expected
    for _ in range(ahead):
        number = following(number)
    assert step(expected, number) == ahead
    holes = [*missing(expected, ahead, most=1000), number]
    assert len(holes) == ahead + 1
    assert holes[0] == expected
    assert all(following(one) == other for one, other in pairwise(holes))


@given(NUMBERS, st.integers(1, LAST // 2), st.integers(0, 20))
def test_no_more_are_named_than_asked_for_and_these_are_the_newest(expected: int, ahead: int, most: int) -> None:
    holes = [*missing(expected, ahead, most)]
    assert len(holes) == min(ahead, most)
    if holes:
        assert step(expected, following(holes[-1])) == ahead
