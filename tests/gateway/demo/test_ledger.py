from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.ledger import Hole, Ledger, Message, MessageReading, holes, percentile


def message(
    seq: int,
    *,
    part: int = 0,
    replayed: bool = False,
    values: tuple[object, ...] = (1,),
    tag: str = "t",
    ts: float = 0.0,
) -> Message:
    readings = [MessageReading(tag, ts, value, "good") for value in values]
    return Message("g", "d", seq, part, replayed, readings)


def test_a_duplicate_is_counted_and_changes_nothing_else() -> None:
    ledger = Ledger()
    assert ledger.add(message(1, values=(1, 2)), arrived_ms=10)
    assert not ledger.add(message(1, values=(1, 2), replayed=True), arrived_ms=999)
    assert (ledger.received, ledger.duplicates, ledger.replayed, ledger.conflicts) == (2, 2, 0, 0)
    assert ledger.latency_ms(1.0) == [10]


def test_a_duplicate_with_other_content_is_a_conflict() -> None:
    ledger = Ledger()
    ledger.add(message(1, values=(1, 2)), arrived_ms=0)
    ledger.add(message(1, values=(1,)), arrived_ms=0)
    assert ledger.conflicts == 1


def test_parts_of_one_batch_are_no_duplicates() -> None:
    ledger = Ledger()
    ledger.add(message(1, part=0), arrived_ms=0)
    ledger.add(message(1, part=1), arrived_ms=0)
    assert (ledger.received, ledger.duplicates) == (2, 0)


@given(st.sets(st.integers(1, 200), min_size=1), st.randoms(use_true_random=False))
def test_holes_are_exactly_what_is_missing_in_whatever_order(arrived: set[int], order: random.Random) -> None:
    shuffled = sorted(arrived)
    order.shuffle(shuffled)
    ledger = Ledger()
    for seq in shuffled:
        ledger.add(message(seq), arrived_ms=0)
    found = {number for hole in ledger.seq_holes(first=1, last=200) for number in range(hole.first, hole.last + 1)}
    assert found == set(range(1, 201)) - arrived


@given(st.integers(2, 98))
def test_a_planted_hole_is_found(planted: int) -> None:
    assert holes(number for number in range(1, 100) if number != planted) == [Hole(planted, planted)]


@pytest.mark.parametrize(
    ("numbers", "first", "last", "expected"),
    [
        ([], None, None, []),
        ([], 1, 3, [Hole(1, 3)]),
        ([5], None, None, []),
        ([5], 1, 5, [Hole(1, 4)]),
        ([3, 1, 1], 1, 4, [Hole(2, 2), Hole(4, 4)]),
        ([0, 1, 9], 1, 2, [Hole(2, 2)]),
    ],
)
def test_holes_between_limits(numbers: list[int], first: int | None, last: int | None, expected: list[Hole]) -> None:
    assert holes(numbers, first=first, last=last) == expected


def test_a_counter_that_skips_tells_what_and_when() -> None:
    ledger = Ledger()
    for seq, count in enumerate((4, 1, 2, 7), start=1):
        ledger.add(message(seq, tag="Load.0001", values=(count,), ts=count * 100.0), arrived_ms=1000)
    assert ledger.counters == 1
    assert ledger.counter_holes() == {"Load.0001": [Hole(3, 3, 200.0, 400.0), Hole(5, 6, 400.0, 700.0)]}
    assert [hole.size for hole in ledger.counter_holes()["Load.0001"]] == [1, 2]


def test_other_tags_are_no_counters() -> None:
    ledger = Ledger()
    ledger.add(message(1, tag="force", values=(1, 5, 9)), arrived_ms=0)
    assert ledger.counter_holes() == {}


def test_the_newest_value_stays_whatever_arrives_later() -> None:
    ledger = Ledger()
    ledger.add(message(2, values=("new",), ts=20.0), arrived_ms=0)
    ledger.add(message(1, values=("old",), ts=10.0, replayed=True), arrived_ms=0)
    assert ledger.last["d", "t"].value == "new"


def test_latency_is_of_live_readings_only() -> None:
    ledger = Ledger()
    assert math.isnan(ledger.latency_ms(0.5)[0])
    ledger.add(message(1, ts=100.0), arrived_ms=130.0)
    ledger.add(message(2, ts=100.0, replayed=True), arrived_ms=99_999.0)
    assert ledger.latency_ms(0.5, 0.99) == [30.0, 30.0]


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_a_percentile_has_its_share_at_or_below_it(values: list[float], share: float) -> None:
    found = percentile(sorted(values), share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)
