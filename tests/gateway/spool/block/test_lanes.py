from hypothesis import given
from hypothesis import strategies as st

from gateway.spool.block.lanes import WORD_MASK, differences, pack, shift_right, sums, unzigzag, zigzag

words = st.lists(st.integers(0, WORD_MASK) | st.integers(0, 5) | st.integers(WORD_MASK - 5, WORD_MASK))
signed = st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3))


@given(words)
def test_sums_of_differences_are_the_column(column):
    assert sums(differences(pack(column))) == column


@given(signed)
def test_zigzag_gives_small_numbers_for_small_ones_and_comes_back(numbers):
    column = zigzag(pack(numbers))
    assert memoryview(column).cast("Q").tolist() == [abs(n) * 2 - (n < 0) for n in numbers]
    assert unzigzag(column) == numbers


@given(words)
def test_differences_are_those_of_neighbours_modulo_the_word(column):
    plain = unzigzag(differences(pack(column)))
    assert [n & WORD_MASK for n in plain] == [
        (after - before) & WORD_MASK for before, after in zip([0, *column], column, strict=False)
    ]


@given(st.lists(st.integers(0, 2**35 - 1)), st.sampled_from([0, 16, 29]))
def test_zeros_at_the_low_end_are_shifted_out(numbers, bits):
    column = pack(number << bits for number in numbers)
    assert memoryview(shift_right(column, bits)).cast("Q").tolist() == numbers
