import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.batch import (
    BAD_COMMUNICATION,
    EMPTY,
    GOOD,
    RECORD_BYTES,
    UNCERTAIN,
    Batch,
    BatchBuilder,
    Flag,
    Kind,
    Reading,
    is_bad,
    quality,
)
from gateway.errors import BadBatch

TIMES = st.integers(-(2**63), 2**63 - 1)
VALUES = st.one_of(
    st.tuples(st.just(Kind.F64), st.floats(allow_nan=False)),
    st.tuples(st.just(Kind.I64), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just(Kind.U64), st.integers(0, 2**64 - 1)),
    st.tuples(st.just(Kind.BOOL), st.booleans()),
    st.tuples(st.just(Kind.STR), st.text(max_size=40)),
    st.tuples(st.just(Kind.BYTES), st.binary(max_size=40)),
)
STATUSES = st.sampled_from([GOOD, UNCERTAIN, 0x40BF, 0x0096])


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    kind, value = draw(VALUES)
    return Reading(draw(TIMES), value, draw(st.integers(0, 2**32 - 1)), draw(STATUSES), kind, draw(st.integers(0, 7)))


BAD = st.builds(
    lambda ts, point, status: Reading(ts, None, point, status, Kind.F64),
    TIMES,
    st.integers(0, 2**32 - 1),
    st.integers(0x8000, 0xFFFF),
)


@given(st.lists(st.one_of(readings(), BAD), max_size=30))
def test_what_goes_in_comes_out(given_readings: list[Reading]) -> None:
    batch = Batch.of(given_readings)
    assert len(batch) == len(given_readings)
    assert list(batch) == given_readings
    assert batch.check() is batch


@given(st.lists(readings(), min_size=1, max_size=20), st.data())
def test_columns_agree_with_the_readings(given_readings: list[Reading], data: st.DataObject) -> None:
    batch = Batch.of(given_readings)
    row = data.draw(st.integers(0, len(given_readings) - 1))
    reading = given_readings[row]
    assert batch.ts_ns()[row] == reading.ts_ns
    assert batch.points()[row] == reading.point
    assert batch.statuses()[row] == reading.status
    assert batch.kinds()[row] == reading.kind
    assert batch.flags()[row] == reading.flags
    assert list(batch.slice(row, row + 1)) == [reading]


@given(st.binary(max_size=400))
def test_foreign_bytes_are_refused_or_readable(block: bytes) -> None:
    try:
        batch = Batch(block, b"heap").check()
    except BadBatch:
        return
    assert len(list(batch)) == len(block) // RECORD_BYTES


def test_record_is_laid_out_as_the_design_says() -> None:
    batch = Batch.of([Reading(1, 2.5, 3, 0x1234, Kind.F64, Flag.DERIVED)])
    assert batch.records == struct.pack("<qdIHBB", 1, 2.5, 3, 0x1234, 4, 4)


def test_bad_reading_carries_no_value() -> None:
    batch = Batch.of([Reading(1, 42, 3, BAD_COMMUNICATION, Kind.I64)])
    assert math.isnan(batch.values_f64()[0])
    assert list(batch) == [Reading(1, None, 3, BAD_COMMUNICATION, Kind.F64)]


def test_quality_is_the_two_top_bits() -> None:
    assert [quality(status) for status in (0x0000, 0x00BA, 0x4000, 0x8005, 0xC000)] == [
        "good",
        "good",
        "uncertain",
        "bad",
        "bad",
    ]
    assert [is_bad(status) for status in (0x0000, 0x4000, 0x8000)] == [False, False, True]


@pytest.mark.parametrize(
    ("value", "kind"),
    [(None, Kind.F64), (2**63, Kind.I64), (-1, Kind.U64), ("text", Kind.F64), (1.5, Kind.I64), (3, Kind.STR)],
)
def test_value_that_does_not_fit_is_refused(value: object, kind: Kind) -> None:
    with pytest.raises(BadBatch, match="point 7"):
        BatchBuilder().add(1, value, 7, GOOD, kind)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "records",
    [
        struct.pack("<qQIHBB", 0, 0, 1, 0, 0, 0),  # kind 0 is no kind
        struct.pack("<qQIHBB", 0, 0, 1, 0, 7, 0),  # nor is 7
        struct.pack("<qIIIHBB", 0, 0, 5, 1, 0, Kind.STR, 0),  # reaches beyond the heap of 4
        struct.pack("<qIIIHBB", 0, 0xFFFFFFFF, 0xFFFFFFFF, 1, 0, Kind.BYTES, 0),
    ],
)
def test_broken_records_are_refused(records: bytes) -> None:
    with pytest.raises(BadBatch):
        Batch(records, b"heap").check()


def test_half_a_record_is_refused() -> None:
    with pytest.raises(BadBatch, match="25 bytes"):
        Batch(bytes(25))


def test_builder_starts_anew_after_build() -> None:
    builder = BatchBuilder()
    builder.add(1, "a", 1, GOOD, Kind.STR)
    first = builder.build()
    builder.add(2, "b", 1, GOOD, Kind.STR)
    assert [reading.value for reading in first] == ["a"]
    assert [reading.value for reading in builder.build()] == ["b"]
    assert builder.build() == EMPTY
    assert not EMPTY


def test_times_can_be_put_on_the_gateway_s_clock():
    late = int(Flag.LOST_BEFORE)
    batch = Batch.of([Reading(5_000, 1.0, 1), Reading(7_000, "x", 2, kind=Kind.STR, flags=late)])
    moved = batch.on_gateway_time(3_000)
    gateway = int(Flag.GATEWAY_TIME)
    assert [*moved] == [
        Reading(2_000, 1.0, 1, flags=gateway),
        Reading(4_000, "x", 2, kind=Kind.STR, flags=late | gateway),
    ]
    assert moved.heap == batch.heap
    assert moved.on_gateway_time(3_000) == moved  # they are on it already
    mixed = Batch.of([*moved.slice(0, 1), Reading(9_000, None, 3, 0x8000)])
    assert [reading.ts_ns for reading in mixed.on_gateway_time(-1_000)] == [2_000, 10_000]
    edge = Batch.of([Reading(-(2**63), 1.0, 1), Reading(2**63 - 1, 1.0, 1)])
    assert [reading.ts_ns for reading in edge.on_gateway_time(1)] == [-(2**63), 2**63 - 2]
    assert EMPTY.on_gateway_time(5) == EMPTY
