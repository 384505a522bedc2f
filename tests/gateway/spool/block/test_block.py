import math
import tracemalloc
from contextlib import nullcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.batch import Batch, Flag, Kind, Reading
from gateway.errors import BadBatch
from gateway.spool.block import Entry, decode_block, encode_block
from gateway.spool.block.layout import MOST_READINGS
from gateway.spool.block.texts import LARGEST_HEAPS_BYTES
from tests.gateway.spool.block.batches import entries

START_NS = 1_763_900_000_000_000_000


def decoded(given_entries):
    readings = sum(len(entry.batch) for entry in given_entries)
    return decode_block(encode_block(given_entries), batches=len(given_entries), readings=readings)


def polled(polls, *, points, value, kind=Kind.F64, step_ns=1_000_000_000):
    """What a device gives that is read in one go, again and again."""
    return [
        Entry(
            1000 + poll,
            START_NS + poll * step_ns + 3_000_000,
            "plc",
            Batch.of(
                Reading(START_NS + poll * step_ns, value(poll, point), point, kind=kind)
                for point in range(1, points + 1)
            ),
        )
        for poll in range(polls)
    ]


def bytes_per_reading(given_entries):
    return len(encode_block(given_entries)) / sum(len(entry.batch) for entry in given_entries)


@given(entries)
@settings(max_examples=60, deadline=None)
def test_a_block_reads_back_as_the_batches_it_was_made_of(given_entries):
    assert decoded(given_entries) == given_entries


def test_each_way_to_write_values_reads_back():
    waves = [
        (Kind.F64, lambda poll, point: 21.0),
        (Kind.F64, lambda poll, point: math.sin(poll / 9 + point)),
        (Kind.F64, lambda poll, point: round(math.sin(poll / 9 + point) * 50, point % 7)),
        (Kind.F64, lambda poll, point: float(poll * point) if point % 2 else -0.0 * (poll % 2)),
        (Kind.F64, lambda poll, point: math.inf if poll % 5 == point % 5 else float(poll)),
        (Kind.I64, lambda poll, point: -(2**63) if poll % 2 else 2**63 - 1),
        (Kind.U64, lambda poll, point: 2**64 - 1 - poll),
        (Kind.BOOL, lambda poll, point: poll % (point + 1) == 0),
        (Kind.STR, lambda poll, point: f"state {poll // 7}"),
        (Kind.BYTES, lambda poll, point: bytes([point]) * (poll % 4)),
    ]
    for kind, value in waves:
        given_entries = polled(40, points=9, value=value, kind=kind)
        assert decoded(given_entries) == given_entries


def test_a_point_that_turns_bad_and_back_costs_nothing_and_reads_back():
    def reading(poll, point):
        flags = Flag.LOST_BEFORE if poll == 60 else 0
        return Reading(
            START_NS + poll * 10**9, None if 50 <= poll < 60 else 7.25, point, 0x8005 * (50 <= poll < 60), flags=flags
        )

    given_entries = [
        Entry(9 + poll, START_NS, "plc", Batch.of(reading(poll, point) for point in range(1, 30)))
        for poll in range(100)
    ]
    assert decoded(given_entries) == given_entries
    assert bytes_per_reading(given_entries) < 0.3


@pytest.mark.parametrize(
    ("most_bytes", "kind", "value"),
    [
        (0.1, Kind.F64, lambda poll, point: 20.5 + point),
        (0.2, Kind.U64, lambda poll, point: poll * point),
        (1.5, Kind.F64, lambda poll, point: round(50 + 10 * math.sin(poll / 30 + point), 2)),
        (1.0, Kind.STR, lambda poll, point: "RUN" if (poll + point) % 40 else "STOP"),
    ],
)
def test_regular_signals_become_small(most_bytes, kind, value):
    assert bytes_per_reading(polled(100, points=100, value=value, kind=kind)) < most_bytes


def test_points_that_are_sampled_on_clocks_of_their_own_become_small_too():
    given_entries = [
        Entry(
            9 + poll,
            START_NS + poll * 10**9,
            "plc",
            Batch.of(Reading(START_NS + poll * 10**9 + point * point * 7_919, 1.0, point) for point in range(100)),
        )
        for poll in range(100)
    ]
    assert decoded(given_entries) == given_entries
    assert bytes_per_reading(given_entries) < 0.3


@given(entries, st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_block_is_refused_or_gives_something_bounded(given_entries, data):
    readings = sum(len(entry.batch) for entry in given_entries)
    block = bytearray(encode_block(given_entries))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(block) - 1))
        block[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del block[data.draw(st.integers(0, len(block))) :]
    try:
        found = decode_block(bytes(block), batches=len(given_entries), readings=readings)
    except BadBatch:
        return
    assert len(found) == len(given_entries)
    assert sum(len(entry.batch) for entry in found) == readings


@given(st.binary(max_size=300), st.integers(-1, 50), st.integers(-1, 50))
def test_any_bytes_are_refused(content, batches, readings):
    with pytest.raises(BadBatch):
        decode_block(content, batches=batches, readings=readings)


@pytest.mark.parametrize(("batches", "readings"), [(0, 0), (2, 1), (1, MOST_READINGS + 1), (1, 2), (2, 2)])
def test_a_block_that_does_not_hold_what_is_said_is_refused(batches, readings):
    block = encode_block([Entry(1, 2, "plc", Batch.of([Reading(3, 4.0, 5)]))])
    with pytest.raises(BadBatch):
        decode_block(block, batches=batches, readings=readings)


def _text(length):
    return Batch.of([Reading(3, "x" * length, 5, kind=Kind.STR)])


def _junk(length):
    return Batch(Batch.of([Reading(3, 1.0, 5)]).records, bytes(length))


HOSTILE = {
    "one text, said over and over again": [_text(1_000_000)] * 100,
    "a long text": [_text(LARGEST_HEAPS_BYTES + 1)],
    "a heap that nobody points into": [_junk(LARGEST_HEAPS_BYTES + 1)],
    "as much as is taken of each": [_text(LARGEST_HEAPS_BYTES), _junk(LARGEST_HEAPS_BYTES)],
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_block_cannot_ask_for_gigabytes(what):
    """A few kilobytes that unpack to a hundred megabytes and more."""
    batches = HOSTILE[what]
    block = encode_block([Entry(1 + n, 2, "plc", batch) for n, batch in enumerate(batches)])
    assert len(block) < 150_000
    tracemalloc.start()
    try:
        with nullcontext() if "taken" in what else pytest.raises(BadBatch, match=r"longer than|cannot be"):
            decode_block(block, batches=len(batches), readings=len(batches))
        assert tracemalloc.get_traced_memory()[1] < 120_000_000
    finally:
        tracemalloc.stop()
