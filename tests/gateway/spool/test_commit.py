from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.spool.commit import FIRST_RETRY_S, LONGEST_RETRY_S, ranges, retry_after_s


@given(st.lists(st.integers(1, 60)))
def test_ranges_cover_each_number_once_and_nothing_else(seqs):
    runs = ranges(seqs)
    assert [seq for first, last in runs for seq in range(first, last + 1)] == sorted(set(seqs))
    assert all(before[1] + 1 < after[0] for before, after in pairwise(runs))


@pytest.mark.parametrize(
    ("failures", "jitter", "expected_s"),
    [(1, 1.0, FIRST_RETRY_S), (1, 0.0, FIRST_RETRY_S / 2), (3, 1.0, FIRST_RETRY_S * 4), (5000, 1.0, LONGEST_RETRY_S)],
)
def test_the_pause_grows_to_its_cap(failures, jitter, expected_s):
    assert retry_after_s(failures, jitter=jitter) == pytest.approx(expected_s)
