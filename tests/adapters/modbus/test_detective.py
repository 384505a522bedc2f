"""The ranking: what registers hold is found among all the ways to read them."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.modbus.detective import Candidate, rank
from tests.adapters.modbus.test_decode import FORMATS, ORDERS

NUMBERS = ["uint16", "int16", "float32", "uint32", "int32", "float64", "uint64", "int64", "bcd16", "bcd32"]


def registers(type_: str, order: str, value: float) -> list[int]:
    size = struct.calcsize(FORMATS[type_])
    raw = int(str(value), 16) if type_.startswith("bcd") else value
    straight = struct.pack(f">{FORMATS[type_]}", raw)
    wire = bytes(straight["ABCDEFGH".index(letter)] for letter in ORDERS[order][size])
    return [int.from_bytes(wire[i : i + 2], "big") for i in range(0, size, 2)]


def names(order: str, size: int) -> str:
    """The order's name among those of its width."""
    letters = ORDERS[order][size]
    return letters if len(letters) == size else order


def of(ranking: Sequence[Candidate], type_: str, order: str) -> Candidate:
    return next(one for one in ranking if (one.type, one.byte_order, one.offset) == (type_, order, 0))


@st.composite
def measured(draw: st.DrawFn) -> tuple[str, str, list[float]]:
    """A measurement of 100 to 1,000 that moves a little, in some type and order."""
    type_ = draw(st.sampled_from(NUMBERS))
    size = struct.calcsize(FORMATS[type_])
    order = draw(st.sampled_from(sorted({names(order, size) for order in ORDERS if size in ORDERS[order]})))
    base = draw(st.floats(110, 900))
    values = [base + draw(st.floats(-3, 3)) for _ in range(5)]
    return type_, order, values if type_.startswith("float") else [float(round(value)) for value in values]


@given(measured())
def test_the_truth_is_never_behind_where_the_range_is_known(case: tuple[str, str, list[float]]) -> None:
    type_, order, values = case
    whole = not type_.startswith("float")
    ranking = rank([registers(type_, order, int(v) if whole else v) for v in values], low=100, high=1_000)
    truth = of(ranking, type_, order)
    assert [float(v) for v in truth.values if v is not None] == pytest.approx(values, rel=1e-6)
    # BCD is believed last: each of its values is a plausible integer, too.
    best = ranking[0].score
    assert truth.score == best or (type_.startswith("bcd") and truth.score >= 0.5)
    assert "in range" in truth.why


@given(st.sampled_from(["ABCD", "CDAB", "BADC", "DCBA"]), st.floats(20, 5_000))
def test_a_float_that_moves_is_found_without_a_range(order: str, base: float) -> None:
    reads = [registers("float32", order, base * (1 + 0.001 * math.sin(i))) for i in range(6)]
    ranking = rank(reads)
    assert of(ranking, "float32", order).score == ranking[0].score


@given(
    st.integers(1, 8).flatmap(
        lambda n: st.lists(st.lists(st.integers(0, 65_535), min_size=n, max_size=n), min_size=1, max_size=4)
    )
)
def test_any_registers_can_be_ranked(reads: list[list[int]]) -> None:
    ranking = rank(reads)
    assert all(0 <= one.score <= 1 for one in ranking)
    assert [one.score for one in ranking] == sorted((one.score for one in ranking), reverse=True)
    assert all(len(one.values) == len(reads) for one in ranking)
    kinds = {(one.type, one.byte_order, one.offset) for one in ranking}
    assert len(kinds) == len(ranking)
    count = len(reads[0])
    # Each type in each of its orders, at each place where it fits.
    assert sum(one.type == "float32" for one in ranking) == 4 * (count // 2)
    assert sum(one.type == "int64" for one in ranking) == 4 * (count // 4)


def test_what_is_no_number_comes_last() -> None:
    ranking = rank([[0x7FC0, 0x0000]])
    assert of(ranking, "float32", "ABCD").score == 0
    assert of(ranking, "float32", "ABCD").why == ("not a finite number",)
    assert of(ranking, "bcd32", "ABCD").score == 0


def test_an_integer_may_lie_in_the_range_times_a_power_of_ten() -> None:
    best = rank([[2305]], low=200, high=250)[0]
    assert (best.type, best.byte_order, best.scale) == ("uint16", "AB", 0.1)
    assert "in range, times 0.1" in best.why


def test_a_leap_between_reads_speaks_against_an_order() -> None:
    reads = [registers("uint32", "CDAB", value) for value in (65_530, 65_540, 65_550)]
    ranking = rank(reads)
    assert (ranking[0].type, ranking[0].byte_order) == ("uint32", "CDAB")
    assert "leaps" in " ".join(of(ranking, "uint32", "ABCD").why) or of(ranking, "uint32", "ABCD").score < 0.5


def test_a_text_is_found() -> None:
    best = rank([[0x5055, 0x4D50, 0x2D37, 0]])[0]
    assert (best.type, best.values) == ("string", ("PUMP-7",))
