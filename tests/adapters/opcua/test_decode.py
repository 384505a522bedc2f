"""The decoder against asyncua's encoder, against bytes that asyncua cannot write, and against damage."""

import struct
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from hypothesis import given
from hypothesis import strategies as st

from adapters.opcua.decode import BAD_NO_DATA, BAD_NOT_SUPPORTED, BAD_TYPE_MISMATCH, Decoded, Items, decode
from adapters.opcua.values import TICKS_1970
from gateway.batch import Flag, Kind, Reading

V = ua.VariantType
NOW_NS = 1_800_000_000_000_000_000
TIME = datetime(2026, 1, 31, 7, 0, 0, 123456, tzinfo=UTC)
TIME_NS = 1_769_842_800_123_456_000
TICKS = TIME_NS // 100 + TICKS_1970
PLAIN = Items(range(1, 1001), {})


def items(*values: Any, handles: list[int] | None = None) -> bytes:
    """The body of a notification of these values, as asyncua writes it."""
    notifications = [
        ua.MonitoredItemNotification(
            handle, value if isinstance(value, ua.DataValue) else ua.DataValue(value, SourceTimestamp=TIME)
        )
        for handle, value in zip(handles or range(len(values)), values, strict=True)
    ]
    return struct_to_binary(ua.DataChangeNotification(notifications))


def raw(*parts: bytes, number: int = 1) -> bytes:
    return struct.pack("<i", number) + b"".join(parts) + b"\xff\xff\xff\xff"


def read(body: bytes, lost: set[int] | None = None, known: Items = PLAIN) -> Decoded:
    return decode(body, known, now_ns=NOW_NS, lost=set() if lost is None else lost)


def only(body: bytes, **arguments: Any) -> Reading:
    (reading,) = read(body, **arguments).batch
    return reading


@pytest.mark.parametrize(
    ("variant", "kind", "value"),
    [
        (ua.Variant(True, V.Boolean), Kind.BOOL, True),
        (ua.Variant(-128, V.SByte), Kind.I64, -128),
        (ua.Variant(255, V.Byte), Kind.U64, 255),
        (ua.Variant(-32768, V.Int16), Kind.I64, -32768),
        (ua.Variant(65535, V.UInt16), Kind.U64, 65535),
        (ua.Variant(-(2**31), V.Int32), Kind.I64, -(2**31)),
        (ua.Variant(2**32 - 1, V.UInt32), Kind.U64, 2**32 - 1),
        (ua.Variant(-(2**63), V.Int64), Kind.I64, -(2**63)),
        (ua.Variant(2**64 - 1, V.UInt64), Kind.U64, 2**64 - 1),
        (ua.Variant(1.5, V.Float), Kind.F64, 1.5),
        (ua.Variant(0.1, V.Double), Kind.F64, 0.1),
        (ua.Variant("Grüße", V.String), Kind.STR, "Grüße"),
        (ua.Variant("", V.String), Kind.STR, ""),
        (ua.Variant(None, V.String), Kind.STR, ""),
        (ua.Variant(b"\x00\xff", V.ByteString), Kind.BYTES, b"\x00\xff"),
        (ua.Variant(ua.LocalizedText("Ein", "de"), V.LocalizedText), Kind.STR, "Ein"),
        (ua.Variant(ua.LocalizedText(None, "de"), V.LocalizedText), Kind.STR, ""),
        (ua.Variant(TIME, V.DateTime), Kind.STR, "2026-01-31T07:00:00.1234560Z"),
        (
            ua.Variant(uuid.UUID("09087e75-8e5e-499b-954f-f2a9603db28a"), V.Guid),
            Kind.STR,
            "09087e75-8e5e-499b-954f-f2a9603db28a",
        ),
        (ua.Variant(ua.ServerState.Suspended, V.Int32), Kind.I64, 3),
        (ua.Variant(ua.StatusCode(0x80340000), V.StatusCode), Kind.U64, 0x80340000),
        (ua.Variant(ua.NodeId("x", 2), V.NodeId), Kind.STR, "ns=2;s=x"),
        (ua.Variant(ua.NodeId(85), V.NodeId), Kind.STR, "i=85"),
        (ua.Variant(ua.NodeId(70000, 3), V.NodeId), Kind.STR, "ns=3;i=70000"),
        (ua.Variant(ua.NodeId(b"b", 1), V.NodeId), Kind.STR, "ns=1;b=Yg=="),
        (
            ua.Variant(ua.NodeId(uuid.UUID("09087e75-8e5e-499b-954f-f2a9603db28a"), 2), V.NodeId),
            Kind.STR,
            "ns=2;g=09087e75-8e5e-499b-954f-f2a9603db28a",
        ),
        (
            ua.Variant(ua.ExpandedNodeId("x", 2, NamespaceUri="urn:a;b%", ServerIndex=3), V.ExpandedNodeId),
            Kind.STR,
            "svr=3;nsu=urn:a%3Bb%25;s=x",
        ),
        (ua.Variant(ua.QualifiedName("Größe", 2), V.QualifiedName), Kind.STR, "2:Größe"),
        (ua.Variant(ua.QualifiedName("x", 0), V.QualifiedName), Kind.STR, "x"),
        (ua.Variant(ua.DataValue(ua.Variant(7, V.Int16), SourceTimestamp=TIME), V.DataValue), Kind.I64, 7),
        (
            ua.Variant(
                ua.DiagnosticInfo(
                    SymbolicId=1,
                    AdditionalInfo="x",
                    InnerStatusCode=ua.StatusCode(5),
                ),
                V.DiagnosticInfo,
            ),
            Kind.STR,
            '{"symbolicId": 1, "additionalInfo": "x", "innerStatusCode": 5}',
        ),
    ],
)
def test_every_scalar_type_keeps_its_value(variant: ua.Variant, kind: Kind, value: object) -> None:
    decoded = read(items(variant))
    assert [*decoded.batch] == [Reading(TIME_NS, value, 1, 0, kind, 0)]
    assert not decoded.odd
    assert decoded.complete


UNSUPPORTED = [
    ua.Variant([1.0, 2.0], V.Double),
    ua.Variant([], V.Int32),
    ua.Variant(["a", "b"], V.String),
    ua.Variant([[1, 2], [3, 4]], V.Int32),
    ua.Variant([ua.LocalizedText("a", "b")], V.LocalizedText),
    ua.Variant([ua.Variant(1, V.Int32), ua.Variant(["x"], V.String)], V.Variant),
    ua.Variant([ua.NodeId(1), ua.NodeId(70000, 3), ua.NodeId(300, 1), ua.NodeId(b"b", 1)], V.NodeId),
    ua.Variant(ua.Argument(Name="a"), V.ExtensionObject),
    ua.Variant(None, V.ExtensionObject),
    ua.Variant(ua.DataValue(ua.Variant([1], V.Int32), SourceTimestamp=TIME, ServerTimestamp=TIME), V.DataValue),
]


@pytest.mark.parametrize("variant", UNSUPPORTED, ids=lambda variant: f"{variant.VariantType.name}-{variant.is_array}")
def test_what_is_no_reading_is_bad_and_spoils_nothing_around_it(variant: ua.Variant) -> None:
    decoded = read(items(ua.Variant(1.0), variant, ua.Variant(2.0)))
    assert [*decoded.batch] == [
        Reading(TIME_NS, 1.0, 1),
        Reading(TIME_NS, None, 2, BAD_NOT_SUPPORTED),
        Reading(TIME_NS, 2.0, 3),
    ]
    assert decoded.odd == {"unsupported_value": 1}
    assert [*decoded.strange] == [1]
    assert decoded.complete


def test_no_value_is_bad_and_never_a_zero() -> None:
    decoded = read(items(ua.DataValue(ua.Variant(None), SourceTimestamp=TIME)) + b"")
    assert [*decoded.batch] == [Reading(TIME_NS, None, 1, BAD_NO_DATA)]
    no_value_field = raw(struct.pack("<IBq", 0, 0x04, TICKS))
    assert only(no_value_field) == Reading(TIME_NS, None, 1, BAD_NO_DATA)


@pytest.mark.parametrize("status", [0x80050000, 0x80340000, 0xC0000000])
def test_a_bad_status_wins_over_its_value(status: int) -> None:
    body = items(ua.DataValue(ua.Variant(7.0), ua.StatusCode(status), TIME))
    assert only(body) == Reading(TIME_NS, None, 1, status >> 16)


def test_an_uncertain_value_is_kept() -> None:
    body = items(ua.DataValue(ua.Variant(7.0), ua.StatusCode(0x40900000), TIME))
    assert only(body) == Reading(TIME_NS, 7.0, 1, 0x4090)


@pytest.mark.parametrize(
    ("low", "flagged"), [(0x0480, True), (0x0481, True), (0x0400, False), (0x0080, False), (0x0880, False)]
)
def test_the_overflow_bit_says_that_readings_were_lost(low: int, flagged: bool) -> None:
    decoded = read(items(ua.DataValue(ua.Variant(7.0), ua.StatusCode(low), TIME)))
    assert [*decoded.batch] == [Reading(TIME_NS, 7.0, 1, 0, Kind.F64, Flag.LOST_BEFORE if flagged else 0)]
    assert decoded.odd == ({"queue_overflow": 1} if flagged else {})


def test_lost_marks_go_to_the_next_reading_of_each_tag_once() -> None:
    lost = {0, 1, 5}
    decoded = read(items(ua.Variant(1.0), ua.Variant(2.0), ua.Variant(3.0), handles=[0, 0, 2]), lost)
    assert [reading.flags for reading in decoded.batch] == [Flag.LOST_BEFORE, 0, 0]
    assert lost == {1, 5}


def test_source_time_is_kept_to_the_last_tick_and_picosecond_step() -> None:
    value = struct.pack("<Bd", 11, 1.0)
    assert only(raw(struct.pack("<IB", 0, 0x05), value, struct.pack("<q", TICKS + 7))).ts_ns == TIME_NS + 700
    exact = raw(struct.pack("<IB", 0, 0x35 | 0x08), value, struct.pack("<qHqH", TICKS + 7, 4200, TICKS, 9))
    assert only(exact).ts_ns == TIME_NS + 742
    beyond = raw(struct.pack("<IB", 0, 0x15), value, struct.pack("<qH", TICKS, 65535))
    assert only(beyond).ts_ns == TIME_NS + 99


@pytest.mark.parametrize("source", [0, -1, TICKS_1970 - 1, 2**63 - 1])
def test_without_a_usable_source_time_the_server_time_counts_and_then_the_gateways(source: int) -> None:
    value = struct.pack("<Bd", 11, 1.0)
    both = raw(struct.pack("<IB", 0, 0x0D), value, struct.pack("<qq", source, TICKS))
    assert only(both) == Reading(TIME_NS, 1.0, 1)
    neither = raw(struct.pack("<IB", 0, 0x05), value, struct.pack("<q", source))
    assert only(neither) == Reading(NOW_NS, 1.0, 1, flags=Flag.GATEWAY_TIME)
    assert only(raw(struct.pack("<IB", 0, 0x01), value)) == Reading(NOW_NS, 1.0, 1, flags=Flag.GATEWAY_TIME)


@pytest.mark.parametrize(
    ("declared", "variant", "value"),
    [
        (Kind.F64, ua.Variant(7, V.Int32), 7.0),
        (Kind.F64, ua.Variant(2**53 + 1, V.Int64), None),
        (Kind.F64, ua.Variant(True), None),
        (Kind.I64, ua.Variant(7, V.UInt16), 7),
        (Kind.I64, ua.Variant(2**63, V.UInt64), None),
        (Kind.I64, ua.Variant(7.0), None),
        (Kind.U64, ua.Variant(7, V.Int16), 7),
        (Kind.U64, ua.Variant(-1, V.Int16), None),
        (Kind.BOOL, ua.Variant(1, V.Byte), None),
        (Kind.STR, ua.Variant(7, V.Int16), None),
        (Kind.BYTES, ua.Variant("x"), None),
    ],
)
def test_a_declared_kind_is_kept_or_the_reading_is_bad(declared: Kind, variant: ua.Variant, value: object) -> None:
    decoded = read(items(variant), known=Items((9,), {0: declared}))
    status, kind = (0, declared) if value is not None else (BAD_TYPE_MISMATCH, Kind.F64)
    assert [*decoded.batch] == [Reading(TIME_NS, value, 9, status, kind)]
    assert decoded.odd == ({} if value is not None else {"type_mismatch": 1})


def test_an_xml_element_is_text() -> None:
    assert only(raw(struct.pack("<IBBi", 0, 0x01, 16, 4), b"<a/>")).value == "<a/>"


def test_diagnostics_inside_diagnostics() -> None:
    body = raw(struct.pack("<IBBBBi", 0, 0x01, 25, 0x40, 0x08, 2))
    assert only(body).value == '{"innerDiagnosticInfo": {"locale": 2}}'


def test_a_bad_status_inside_a_data_value_leaves_no_value() -> None:
    inner = ua.DataValue(ua.Variant(7), ua.StatusCode(0x80050000))
    assert only(items(ua.Variant(inner, V.DataValue))) == Reading(TIME_NS, None, 1, BAD_NO_DATA)


def test_text_that_is_no_utf8_is_repaired() -> None:
    body = raw(struct.pack("<IBBi", 0, 0x01, 12, 3), b"a\xffb")
    assert only(body).value == "a\ufffdb"


def test_items_that_nobody_asked_for_are_counted_and_left_out() -> None:
    decoded = read(items(ua.Variant(1.0), ua.Variant(2.0), handles=[4_000_000_000, 0]))
    assert [*decoded.batch] == [Reading(TIME_NS, 2.0, 1)]
    assert decoded.odd == {"unknown_item": 1}


SCALARS = (
    st.builds(lambda value: ua.Variant(value, V.Double), st.floats(allow_nan=False))
    | st.builds(lambda value: ua.Variant(value, V.Int32), st.integers(-(2**31), 2**31 - 1))
    | st.builds(lambda value: ua.Variant(value, V.UInt64), st.integers(0, 2**64 - 1))
    | st.builds(ua.Variant, st.booleans())
    | st.builds(ua.Variant, st.text(st.characters(codec="utf-8")))
    | st.builds(ua.Variant, st.binary())
)
STATUSES = st.sampled_from([0, 0x40000000, 0x80050000, 0x00000480])
VALUES = st.builds(
    lambda variant, status, us, server: ua.DataValue(
        variant,
        None if status is None else ua.StatusCode(status),
        datetime(1980, 1, 1, tzinfo=UTC) + timedelta(microseconds=us),
        TIME if server else None,
    ),
    SCALARS,
    STATUSES | st.none(),
    st.integers(0, 10**15),
    st.booleans(),
)


@given(st.lists(VALUES, max_size=8))
def test_any_mix_reads_as_asyncua_wrote_it(values: list[ua.DataValue]) -> None:
    readings = [*read(items(*values)).batch]
    assert len(readings) == len(values)
    for index, (reading, value) in enumerate(zip(readings, values, strict=True)):
        code = value.StatusCode.value if value.StatusCode else 0
        assert reading.point == index + 1
        assert reading.status == code >> 16
        assert reading.value == (None if code >= 0x80000000 else value.Value.Value)
        assert (
            reading.ts_ns
            == (value.SourceTimestamp - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
        )


@given(
    st.sampled_from([V.Double, V.Float, V.Int16, V.UInt32, V.Int64, V.Boolean, V.Byte]),
    st.integers(1, 50),
    st.booleans(),
    st.booleans(),
)
def test_whole_columns_read_the_same_as_item_by_item(kind: V, number: int, status: bool, server: bool) -> None:
    values = [
        ua.DataValue(
            ua.Variant(bool(n % 2) if kind is V.Boolean else n, kind),
            ua.StatusCode() if status else None,
            TIME + timedelta(microseconds=n),
            TIME if server else None,
        )
        for n in range(number)
    ]
    body = items(*values)
    # A mark on the first item sends the same bytes down the other path.
    first, *others = read(body, {0}).batch
    assert first.flags == Flag.LOST_BEFORE
    assert [*read(body).batch] == [first._replace(flags=0), *others]
    assert [*read(body, {999}).batch] == [first._replace(flags=0), *others]


@given(st.lists(VALUES, min_size=1, max_size=4), st.data())
def test_damage_never_raises_and_keeps_what_came_before_it(values: list[ua.DataValue], data: st.DataObject) -> None:
    body = items(*values)
    whole = [*read(body).batch]
    short = read(body[: data.draw(st.integers(0, len(body) - 5))])
    assert not short.complete
    assert short.odd["damaged_notification"] == 1
    assert [*short.batch] == whole[: len(short.batch)]


@given(st.binary(max_size=200), st.integers(-1, 5))
def test_random_bytes_never_raise(junk: bytes, number: int) -> None:
    read(struct.pack("<i", number) + junk).batch.check()


@pytest.mark.parametrize(
    "value",
    [
        bytes([0x80]) + struct.pack("<i", 2**31 - 1),
        bytes([0x8B]) + struct.pack("<i", 2**31 - 1),
        bytes([24]) * 5000,
        bytes([25]) + bytes([0x40]) * 5000,
        bytes([12]) + struct.pack("<i", 2**31 - 1),
        bytes([23, 1]) * 5000,
        bytes([17, 6]) + bytes(50),
        bytes([0x98]) + (struct.pack("<i", 1) + bytes([0x98])) * 500,
    ],
    ids=[
        "array of nothing",
        "huge array",
        "deep variant",
        "deep diagnostics",
        "huge text",
        "deep data values",
        "odd node id",
        "deep arrays",
    ],
)
def test_hostile_values_are_damage(value: bytes) -> None:
    decoded = read(raw(struct.pack("<IB", 0, 0x01), value))
    assert not decoded.complete
    assert decoded.odd == {"damaged_notification": 1}


def test_an_empty_notification_is_nothing() -> None:
    assert read(raw(number=0)) == Decoded(read(raw(number=-1)).batch, {}, complete=True)
