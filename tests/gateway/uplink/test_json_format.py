"""The payload: what is encoded decodes to the readings, and the parts together are the batch, in order."""

from __future__ import annotations

import base64
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.batch import Batch, Flag, Kind, Reading, is_bad, quality
from gateway.points import PointTable
from gateway.uplink.contract import LiveRow
from gateway.uplink.json_format import JsonFormat, is_whole
from gateway.uplink.packets import PACKET_OVERHEAD_BYTES
from gateway.uplink.topics import Topics

TAGS = ("temperature", "ventil größe", 'quo"te', "t" * 128)
POINTS = PointTable()
for tag in TAGS:
    POINTS.intern(f"site/area/line/press/{tag}", device="press")


def json_format(**limits) -> JsonFormat:
    limits = {"max_payload_bytes": 256_000} | limits
    return JsonFormat(gateway_id="gw", topics=Topics("plant/{gateway}", gateway_id="gw"), points=POINTS, **limits)


def encode(batch: Batch, *, replayed: bool = False, **limits):
    return list(json_format(**limits).messages(LiveRow(7, "press", batch), replayed=replayed))


VALUES = {
    Kind.BOOL: st.booleans(),
    Kind.I64: st.integers(-(2**63), 2**63 - 1),
    Kind.U64: st.integers(0, 2**64 - 1),
    Kind.F64: st.floats(),
    Kind.STR: st.text(max_size=50),
    Kind.BYTES: st.binary(max_size=50),
}


@st.composite
def readings(draw) -> Reading:
    kind = draw(st.sampled_from(list(Kind)))
    status = draw(st.sampled_from([0, 0, 0x4000, 0x8005, 0xC000, 0x0001]))
    value = None if is_bad(status) else draw(VALUES[kind])
    ts_ns = draw(st.one_of(st.integers(0, 4 * 10**18), st.integers(0, 4 * 10**12).map(lambda ms: ms * 10**6)))
    return Reading(ts_ns, value, draw(st.integers(1, len(TAGS))), status, kind, int(Flag.GATEWAY_TIME))


def same_value(reading: Reading, decoded) -> bool:
    value = reading.value
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return decoded is None
    if isinstance(value, bytes):
        return base64.b64decode(decoded) == value
    return decoded == value and type(decoded) is type(value)


@given(st.lists(readings(), min_size=1, max_size=60), st.integers(1_000, 20_000), st.booleans())
def test_the_parts_decode_to_the_batch(batch_readings, limit, replayed) -> None:
    messages = encode(Batch.of(batch_readings), replayed=replayed, max_payload_bytes=limit)
    decoded = []
    for part, message in enumerate(messages):
        payload = json.loads(message.payload)
        assert list(payload) == ["gateway", "device", "seq", "part", "replayed", "readings"]
        assert (payload["gateway"], payload["device"], payload["seq"]) == ("gw", "press", 7)
        assert (payload["part"], payload["replayed"]) == (part, replayed)
        assert message.topic == "plant/gw/data/press"
        assert message.readings == len(payload["readings"]) > 0
        assert len(message.payload) <= limit or message.readings == 1
        first = len(decoded)
        decoded += payload["readings"]
        assert message.newest_ns == max(reading.ts_ns for reading in batch_readings[first : len(decoded)])
    assert len(decoded) == len(batch_readings)
    for reading, entry in zip(batch_readings, decoded, strict=True):
        assert list(entry) == ["tag", "ts", "value", "quality"]
        assert entry["tag"] == TAGS[reading.point - 1]
        assert entry["quality"] == quality(reading.status)
        assert same_value(reading, entry["value"])
        # Half a step of a double beside 4e12 is 0.25 us.
        assert abs(entry["ts"] * 10**6 - reading.ts_ns) <= 512
        assert isinstance(entry["ts"], int) == (reading.ts_ns % 10**6 == 0)


def test_a_second_attempt_is_cut_at_the_same_places() -> None:
    batch = Batch.of(Reading(1_700_000_000_000_000_000 + i, i / 7, 1) for i in range(60))
    for limit in range(1_000, 1_400):  # `true` is a byte shorter than `false`: some limit lies between
        live = encode(batch, replayed=False, max_payload_bytes=limit)
        replayed = encode(batch, replayed=True, max_payload_bytes=limit)
        assert [message.readings for message in live] == [message.readings for message in replayed]


def test_64_bit_integers_are_written_in_full() -> None:
    batch = Batch.of([Reading(0, 2**64 - 1, 1, kind=Kind.U64), Reading(0, -(2**63), 1, kind=Kind.I64)])
    [message] = encode(batch)
    assert b'"value":18446744073709551615' in message.payload
    assert b'"value":-9223372036854775808' in message.payload


def test_a_large_batch_is_cut_into_few_parts() -> None:
    batch = Batch.of(Reading(1_700_000_000_000_000_000 + i, i / 7, 1) for i in range(20_000))
    messages = encode(batch, max_payload_bytes=100_000)
    whole = sum(len(message.payload) for message in messages)
    assert len(messages) <= whole / 100_000 * 1.15 + 1
    assert all(len(message.payload) <= 100_000 for message in messages)


def test_one_reading_beyond_the_limit_goes_alone() -> None:
    small = [Reading(i, i / 3, 1) for i in range(10)]
    huge = Reading(5, "x" * 5_000, 1, kind=Kind.STR)
    messages = encode(Batch.of([*small, huge, *small]), max_payload_bytes=1_000)
    assert [m.readings for m in messages if len(m.payload) > 1_000] == [1]
    assert sum(m.readings for m in messages) == 21


@pytest.mark.parametrize("max_packet_bytes", [1_200, 2_000])
def test_the_brokers_own_limit_holds_for_the_whole_packet(max_packet_bytes) -> None:
    batch = Batch.of(Reading(i, i / 3, 1) for i in range(200))
    for message in encode(batch, max_packet_bytes=max_packet_bytes):
        assert len(message.payload) + len(message.topic) + PACKET_OVERHEAD_BYTES <= max_packet_bytes


def test_an_empty_batch_is_no_message() -> None:
    assert encode(Batch(b"")) == []


def test_points_that_came_later_are_found() -> None:
    fmt = json_format()
    list(fmt.messages(LiveRow(1, "press", Batch.of([Reading(0, 1.0, 1)])), replayed=False))
    number = POINTS.intern("site/area/line/press/late", device="press")
    [message] = fmt.messages(LiveRow(2, "press", Batch.of([Reading(0, 1.0, number)])), replayed=False)
    assert json.loads(message.payload)["readings"][0]["tag"] == "late"


def test_topics_fill_in_the_gateway() -> None:
    topics = Topics("{gateway}/a/{gateway}/", gateway_id="x{y}")
    assert topics.status == "x{y}/a/x{y}/status"
    assert topics.data("press") == "x{y}/a/x{y}/data/press"


TAG_BYTES = [0, *(len(tag.encode()) for tag in TAGS)]


@given(st.lists(readings(), min_size=1, max_size=40).map(Batch.of), st.integers(3_000, 12_000))
def test_a_batch_that_is_said_to_be_whole_is_one_message(batch, limit):
    if is_whole(batch, TAG_BYTES, max_payload_bytes=limit):
        assert len(encode(batch, max_payload_bytes=limit)) == 1


def test_usual_batches_are_whole_and_a_text_that_is_all_escapes_is_not():
    usual = Batch.of([Reading(10**18 + n, 20.123 + n, 1) for n in range(1_000)])
    assert is_whole(usual, TAG_BYTES, max_payload_bytes=256_000)
    assert not is_whole(usual, TAG_BYTES, max_payload_bytes=64_000)
    escapes = Batch.of([Reading(10**18, "\x01" * 1_000, 4, kind=Kind.STR)])
    (message,) = encode(escapes)
    assert len(message.payload) > 6_000
    assert not is_whole(escapes, TAG_BYTES, max_payload_bytes=len(message.payload))
