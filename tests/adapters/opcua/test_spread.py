"""Arrays and structures taken apart: against asyncua's encoder, bytes that it cannot write, and damage."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary, variant_to_binary
from hypothesis import given
from hypothesis import strategies as st

from adapters.opcua import oddities
from adapters.opcua.decode import BAD_NO_DATA, BAD_NOT_SUPPORTED, BAD_TYPE_MISMATCH, Decoded, Items, decode
from adapters.opcua.spread import BAD_INDEX_RANGE_NO_DATA, BAD_NO_MATCH, Spread, parse_field, selectors, suffix
from adapters.opcua.structures import (
    BAD_DATA_TYPE_ID_UNKNOWN,
    BAD_DECODING,
    Form,
    Layout,
    Leaf,
    Member,
    Types,
    read_tree,
    with_names,
)
from adapters.opcua.wire import DAMAGE, skip_variant
from gateway.batch import Flag, Kind, Reading

V = ua.VariantType
NOW_NS = 1_800_000_000_000_000_000
TIME = datetime(2026, 1, 31, 7, 0, 0, 123456, tzinfo=UTC)
TIME_NS = 1_769_842_800_123_456_000


def spread_items(
    elements: int | None, fields: Sequence[str] = (), *, types: Types | None = None, kind: Kind | None = None
) -> Items:
    """A single tag before and behind one that is taken apart: handles 0, 1, 2."""
    ways = selectors(elements, fields)
    points = [*range(11, 11 + len(ways))]
    return Items(
        (1, points[0], 2),
        {} if kind is None else {1: kind},
        {1: Spread(points, ways, elements or 0)},
        types or Types(),
    )


def body(*values: Any) -> bytes:
    return struct_to_binary(
        ua.DataChangeNotification(
            [
                ua.MonitoredItemNotification(
                    handle, value if isinstance(value, ua.DataValue) else ua.DataValue(value, SourceTimestamp=TIME)
                )
                for handle, value in enumerate(values)
            ]
        )
    )


def read(known: Items, variant: Any, lost: set[int] | None = None) -> Decoded:
    return decode(body(ua.Variant(0.5), variant, ua.Variant(0.25)), known, now_ns=NOW_NS, lost=lost or set())


def between(decoded: Decoded) -> list[Reading]:
    """The readings of the middle tag; the single values around it must be untouched."""
    first, *rest, last = decoded.batch.check()
    assert (first.value, first.point, last.value, last.point) == (0.5, 1, 0.25, 2)
    assert decoded.complete
    return rest


@pytest.mark.parametrize(
    ("variant", "kind"),
    [
        (ua.Variant([True, False, True], V.Boolean), Kind.BOOL),
        (ua.Variant([-128, 0, 127], V.SByte), Kind.I64),
        (ua.Variant([0, 1, 255], V.Byte), Kind.U64),
        (ua.Variant([-1, 0, 1], V.Int16), Kind.I64),
        (ua.Variant([0, 1, 65535], V.UInt16), Kind.U64),
        (ua.Variant([-(2**31), 0, 1], V.Int32), Kind.I64),
        (ua.Variant([0, 1, 2**32 - 1], V.UInt32), Kind.U64),
        (ua.Variant([-(2**63), 0, 1], V.Int64), Kind.I64),
        (ua.Variant([0, 1, 2**64 - 1], V.UInt64), Kind.U64),
        (ua.Variant([1.5, 0.0, -1.5], V.Float), Kind.F64),
        (ua.Variant([0.1, 0.0, -1e300], V.Double), Kind.F64),
        (ua.Variant(["a", "", "Grüße"], V.String), Kind.STR),
        (ua.Variant([b"a", b"", b"\xff"], V.ByteString), Kind.BYTES),
    ],
    ids=lambda value: value.VariantType.name if isinstance(value, ua.Variant) else None,
)
def test_the_elements_of_an_array_are_points(variant: ua.Variant, kind: Kind) -> None:
    decoded = read(spread_items(3), variant)
    assert between(decoded) == [
        Reading(TIME_NS, value, 11 + index, 0, kind) for index, value in enumerate(variant.Value)
    ]
    assert not decoded.odd


def test_texts_of_other_types_in_an_array() -> None:
    values = [ua.LocalizedText("Ein", "de"), ua.LocalizedText("Aus", "de")]
    assert [one.value for one in between(read(spread_items(2), ua.Variant(values, V.LocalizedText)))] == ["Ein", "Aus"]
    nodes = ua.Variant([ua.NodeId(85), ua.NodeId("x", 2)], V.NodeId)
    assert [one.value for one in between(read(spread_items(2), nodes))] == ["i=85", "ns=2;s=x"]
    times = ua.Variant([TIME, TIME], V.DateTime)
    assert [one.value for one in between(read(spread_items(2), times))] == ["2026-01-31T07:00:00.1234560Z"] * 2


def test_an_array_of_variants_may_hold_anything() -> None:
    values = [ua.Variant(1, V.Int32), ua.Variant("x"), ua.Variant([1.0], V.Double), ua.Variant(None)]
    readings = between(read(spread_items(4), ua.Variant(values, V.Variant)))
    assert [(one.value, one.status) for one in readings] == [
        (1, 0),
        ("x", 0),
        (None, BAD_NOT_SUPPORTED),
        (None, BAD_NO_DATA),
    ]


def test_a_matrix_counts_row_by_row() -> None:
    matrix = ua.Variant([[1, 2, 3], [4, 5, 6]], V.Int16)
    assert [one.value for one in between(read(spread_items(6), matrix))] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("values", [[1.0], [], [1.0, 2.0]])
def test_elements_that_are_missing_are_bad_and_counted(values: list[float]) -> None:
    decoded = read(spread_items(3), ua.Variant(values, V.Double))
    missing = 3 - len(values)
    assert [(one.value, one.status) for one in between(decoded)] == [(value, 0) for value in values] + [
        (None, BAD_INDEX_RANGE_NO_DATA)
    ] * missing
    assert decoded.odd == {"missing_element": missing}


@pytest.mark.parametrize("variant", [ua.Variant([1, 2, 3, 4, 5], V.Int16), ua.Variant(["a"] * 5, V.String)])
def test_elements_that_nobody_reads_are_counted_and_named(variant: ua.Variant) -> None:
    decoded = read(spread_items(2), variant)
    assert [one.value for one in between(decoded)] == variant.Value[:2]
    assert decoded.odd == {"element_beyond": 3}
    assert decoded.strange == {1: "the array has 3 more than the 2 elements that are read"}


@pytest.mark.parametrize(
    ("value", "status", "cause"),
    [
        (ua.Variant(1.0), BAD_TYPE_MISMATCH, "type_mismatch"),
        (ua.Variant(None), BAD_NO_DATA, "no_value"),
        (ua.DataValue(None, SourceTimestamp=TIME), BAD_NO_DATA, "no_value"),
        (ua.DataValue(ua.Variant([1.0, 2.0]), ua.StatusCode(0x80050000), TIME), 0x8005, None),
    ],
)
def test_what_is_no_array_makes_every_point_bad(value: Any, status: int, cause: str | None) -> None:
    decoded = read(spread_items(2), value)
    assert [(one.value, one.status) for one in between(decoded)] == [(None, status)] * 2
    assert decoded.odd == ({cause: 2} if cause else {})


def test_status_time_and_marks_are_those_of_the_whole() -> None:
    value = ua.DataValue(ua.Variant([1.0, 2.0]), ua.StatusCode(0x40900480), TIME)
    decoded = read(spread_items(2), value)
    assert between(decoded) == [
        Reading(TIME_NS, 1.0, 11, 0x4090, flags=Flag.LOST_BEFORE),
        Reading(TIME_NS, 2.0, 12, 0x4090, flags=Flag.LOST_BEFORE),
    ]
    assert decoded.odd == {"queue_overflow": 1}
    lost = {1}
    marked = between(read(spread_items(2), ua.Variant([1.0, 2.0]), lost))
    assert [one.flags for one in marked] == [Flag.LOST_BEFORE] * 2
    assert not lost
    timeless = between(read(spread_items(2), ua.DataValue(ua.Variant([1.0, 2.0]))))
    assert [(one.ts_ns, one.flags) for one in timeless] == [(NOW_NS, Flag.GATEWAY_TIME)] * 2


def test_a_declared_kind_holds_for_each_element() -> None:
    decoded = read(spread_items(2, kind=Kind.F64), ua.Variant([3, 2**53 + 1], V.Int64))
    assert [(one.value, one.status) for one in between(decoded)] == [(3.0, 0), (None, BAD_TYPE_MISMATCH)]


def test_a_few_bytes_do_not_become_readings_without_end() -> None:
    number = 100_000
    known = Items((1,), {}, {0: Spread(range(1, 1001), selectors(1000, None), 1000)})
    decoded = decode(struct.pack("<i", number) + bytes(5 * number), known, now_ns=NOW_NS, lost=set())
    assert not decoded.complete
    assert decoded.odd["damaged_notification"] == 1
    assert 2_000_000 <= len(decoded.batch) <= 2_001_000


def test_a_single_value_where_elements_are_read_is_not_taken_for_a_column() -> None:
    known = spread_items(2)
    decoded = decode(body(*[ua.Variant(1.0)] * 3), known, now_ns=NOW_NS, lost=set())
    assert [one.point for one in decoded.batch] == [1, 11, 12, 2]


NUMBERS = {
    V.Boolean: st.booleans(),
    V.SByte: st.integers(-128, 127),
    V.Byte: st.integers(0, 255),
    V.Int16: st.integers(-(2**15), 2**15 - 1),
    V.UInt16: st.integers(0, 2**16 - 1),
    V.Int32: st.integers(-(2**31), 2**31 - 1),
    V.UInt32: st.integers(0, 2**32 - 1),
    V.Int64: st.integers(-(2**63), 2**63 - 1),
    V.UInt64: st.integers(0, 2**64 - 1),
    V.Float: st.floats(width=32, allow_nan=False),
    V.Double: st.floats(allow_nan=False),
    V.String: st.text(st.characters(codec="utf-8")),
    V.ByteString: st.binary(),
    V.Guid: st.uuids(),
    V.NodeId: st.builds(ua.NodeId, st.integers(0, 2**32 - 1) | st.text(min_size=1), st.integers(0, 65535)),
    V.QualifiedName: st.builds(ua.QualifiedName, st.text(), st.integers(0, 32767)),
    V.LocalizedText: st.builds(ua.LocalizedText, st.text(), st.text()),
    V.ExpandedNodeId: st.builds(ua.ExpandedNodeId, st.text(min_size=1), st.integers(0, 65535)),
    V.DateTime: st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    V.StatusCode: st.builds(ua.StatusCode, st.integers(0, 2**32 - 1)),
}


def shown(value: Any) -> Any:
    """A value of asyncua's as a reading has it."""
    if isinstance(value, ua.NodeId):
        text = value.to_string()
        return text if value.NamespaceIndex else text.removeprefix("ns=0;")
    if isinstance(value, ua.QualifiedName):
        return f"{value.NamespaceIndex}:{value.Name}" if value.NamespaceIndex else value.Name
    if isinstance(value, ua.LocalizedText):
        return value.Text
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S.%f}0Z"
    return (
        value.value
        if isinstance(value, ua.StatusCode)
        else value
        if isinstance(value, (int, float, str, bytes))
        else str(value)
    )


@given(st.data(), st.sampled_from([*NUMBERS]), st.integers(1, 6))
def test_arrays_of_every_type_read_as_asyncua_wrote_them(data: st.DataObject, kind: V, elements: int) -> None:
    values = data.draw(st.lists(NUMBERS[kind], max_size=8))
    readings = between(read(spread_items(elements), ua.Variant(values, kind, is_array=True)))
    expected = [shown(value) for value in values[:elements]]
    assert [one.value for one in readings] == expected + [None] * (elements - len(expected))
    assert [one.status for one in readings] == [0] * len(expected) + [BAD_INDEX_RANGE_NO_DATA] * (
        elements - len(expected)
    )


@given(st.data(), st.sampled_from([*NUMBERS]))
def test_single_values_of_every_type_read_as_asyncua_wrote_them(data: st.DataObject, kind: V) -> None:
    value = data.draw(NUMBERS[kind])
    (reading,) = decode(body(ua.Variant(value, kind)), Items((1,), {}), now_ns=NOW_NS, lost=set()).batch
    assert (reading.value, reading.status, reading.ts_ns) == (shown(value), 0, TIME_NS)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("Speed", ("Speed",)),
        ("Position.X", ("Position", "X")),
        ("Samples[2]", ("Samples", 2)),
        ("Axes[0].Position.X", ("Axes", 0, "Position", "X")),
        ("M[1][2]", ("M", 1, 2)),
        ("Größe in mm", ("Größe in mm",)),
    ],
)
def test_names_of_fields(text: str, steps: tuple[str | int, ...]) -> None:
    assert parse_field(text) == steps
    assert suffix(steps) == "." + text


@pytest.mark.parametrize("text", ["", ".", "A.", ".A", "A..B", "A[", "A[x]", "A[1]B", "A[-1]", "[1].", "A]"])
def test_what_is_no_name_of_a_field(text: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a field"):
        parse_field(text)


# ---- Structures --------------------------------------------------------------------------------------------------

POINT, SHAPE, CHOICE, TREE = (2, 3001), (2, 3002), (2, 3003), (2, 3004)


@dataclass
class Point:
    X: ua.Double = 0.0
    Y: ua.Double = 0.0

    data_type = ua.NodeId(3001, 2)


@dataclass
class Shape:
    Name: ua.String = ""
    Origin: Point = field(default_factory=Point)
    Corners: list[Point] = field(default_factory=list)
    Samples: list[ua.Int16] = field(default_factory=list)
    State: ua.Int32 = 0
    Any: ua.Variant = field(default_factory=ua.Variant)

    data_type = ua.NodeId(3002, 2)


ua.register_extension_object("TestPoint", ua.NodeId(4001, 2), Point)
ua.register_extension_object("TestShape", ua.NodeId(4002, 2), Shape)


def known() -> Types:
    return Types(
        layouts={
            POINT: Layout(Form.PLAIN, (Member("X", 11), Member("Y", 11))),
            SHAPE: Layout(
                Form.PLAIN,
                (
                    Member("Name", 12),
                    Member("Origin", POINT),
                    Member("Corners", POINT, 1),
                    Member("Samples", 4, 1),
                    Member("State", 6),
                    Member("Any", 24),
                ),
            ),
            CHOICE: Layout(Form.UNION, (Member("Number", 6), Member("Text", 12))),
            TREE: Layout(
                Form.OPTIONAL_FIELDS, (Member("Id", 6), Member("Note", 12, 0, True), Member("Left", TREE, 0, True))
            ),
        },
        encodings={(2, 4001): POINT, (2, 4002): SHAPE, (2, 4003): CHOICE, (2, 4004): TREE},
    )


def extension(number: int, content: bytes, encoding: int = 1) -> bytes:
    """A Variant of an extension object whose encoding has this number in namespace 2."""
    return struct.pack("<BBBHBi", 22, 1, 2, number, encoding, len(content)) + content


SHAPE_FIELDS = ("Name", "Origin.X", "Corners[1].Y", "Corners[2].Y", "Samples[0]", "State", "Any", "Origin", "Nobody")


def test_the_fields_of_a_structure_are_points() -> None:
    shape = Shape("plate", Point(1.5, 2.5), [Point(1, 2), Point(3, 4)], [7, 8], 3, ua.Variant("x"))
    decoded = read(spread_items(None, SHAPE_FIELDS, types=known()), ua.Variant(shape, V.ExtensionObject))
    assert [(one.value, one.kind, one.status) for one in between(decoded)] == [
        ("plate", Kind.STR, 0),
        (1.5, Kind.F64, 0),
        (4.0, Kind.F64, 0),
        (None, Kind.F64, BAD_INDEX_RANGE_NO_DATA),
        (7, Kind.I64, 0),
        (3, Kind.I64, 0),
        ("x", Kind.STR, 0),
        (None, Kind.F64, BAD_NOT_SUPPORTED),
        (None, Kind.F64, BAD_NO_MATCH),
    ]
    assert decoded.odd == {"missing_element": 1, "unsupported_value": 1, "no_such_field": 1}
    assert "no such field" in decoded.strange[1]


def test_an_array_of_structures() -> None:
    variant = ua.Variant([Point(1, 2), Point(3, 4)], V.ExtensionObject)
    decoded = read(spread_items(2, ["X", "Y"], types=known()), variant)
    assert [one.value for one in between(decoded)] == [1, 2, 3, 4]
    assert not decoded.odd


def test_an_array_of_numbers_where_fields_are_read_is_no_column_of_them() -> None:
    """As many points as elements, and yet not the elements themselves."""
    decoded = read(spread_items(2, ["X"], types=known()), ua.Variant([1.5, 2.5], V.Double))
    assert [(one.value, one.status) for one in between(decoded)] == [(None, BAD_TYPE_MISMATCH)] * 2
    assert decoded.odd == {"type_mismatch": 2}


def test_a_long_array_of_an_unknown_type_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for the words at each of its points took seconds, in which nothing else ran."""
    looked: list[int] = []
    encodings_in = oddities.encodings_in

    def counted(content: bytes, at: int) -> Iterator[tuple[int, Any]]:
        looked.append(at)
        return encodings_in(content, at)

    monkeypatch.setattr(oddities, "encodings_in", counted)
    variant = ua.Variant([Point(1, 2)] * 300, V.ExtensionObject)
    decoded = read(spread_items(300, ["X", "Y"], types=Types()), variant)
    assert decoded.odd == {"unknown_type": 600}
    assert "ns=2;i=4001" in decoded.strange[1]
    assert len(looked) == 1


def test_a_server_that_makes_up_encodings_does_not_take_all_memory() -> None:
    types = Types()
    for number in range(2_000):
        types.meet((3, number))
        types.note(number % 7)
    assert len(types.unknown) == 1_000
    types.meet((3, 0))
    types.note(99)
    assert types.unknown[(3, 0)] == {0, 99}


def test_a_structure_of_an_unknown_type_is_bad_counted_and_named() -> None:
    types = Types()
    decoded = read(spread_items(None, ["X"], types=types), ua.Variant(Point(1, 2), V.ExtensionObject))
    assert [(one.value, one.status) for one in between(decoded)] == [(None, BAD_DATA_TYPE_ID_UNKNOWN)]
    assert decoded.odd == {"unknown_type": 1}
    assert "ns=2;i=4001" in decoded.strange[1]
    assert types.unknown == {(2, 4001): {1}}


def test_a_structure_nobody_takes_apart_says_what_to_do() -> None:
    decoded = decode(body(ua.Variant(Point(), V.ExtensionObject)), Items((1,), {}), now_ns=NOW_NS, lost=set())
    assert decoded.strange == {0: "a structure of type ns=2;i=4001; give the tag fields"}
    decoded = decode(body(ua.Variant([1, 2, 3], V.Int16)), Items((1,), {}), now_ns=NOW_NS, lost=set())
    assert decoded.strange == {0: "an array of 3 values; give the tag elements = 3"}


@pytest.mark.parametrize(
    ("content", "number", "text"),
    [
        (struct.pack("<Ii", 1, -5), Leaf(Kind.I64, -5), None),
        (struct.pack("<Ii1s", 2, 1, b"x"), None, Leaf(Kind.STR, b"x")),
        (struct.pack("<I", 0), None, None),
    ],
)
def test_a_union_has_the_field_it_says(content: bytes, number: Leaf | None, text: Leaf | None) -> None:
    absent = Leaf(None, None, BAD_NO_DATA)
    variant = extension(4003, content)
    assert read_tree(variant, 0, known()) == ({"Number": number or absent, "Text": text or absent}, len(variant))


def test_optional_fields_and_a_type_that_holds_itself() -> None:
    leaf = struct.pack("<Ii", 0, 2)
    content = struct.pack("<Iii1s", 3, 1, 1, b"n") + leaf
    variant = extension(4004, content)
    absent = Leaf(None, None, BAD_NO_DATA)
    assert read_tree(variant, 0, known())[0] == {
        "Id": Leaf(Kind.I64, 1),
        "Note": Leaf(Kind.STR, b"n"),
        "Left": {"Id": Leaf(Kind.I64, 2), "Note": absent, "Left": absent},
    }


def test_a_matrix_inside_a_structure() -> None:
    types = Types({POINT: Layout(Form.PLAIN, (Member("M", 4, 2), Member("Z", 6)))}, {(2, 4001): POINT})
    content = struct.pack("<iii4hi", 2, 2, 2, 1, 2, 3, 4, 9)
    tree, _ = read_tree(extension(4001, content), 0, types)
    assert isinstance(tree, dict)
    assert tree["M"] == [Leaf(Kind.I64, value) for value in (1, 2, 3, 4)]
    assert tree["Z"] == Leaf(Kind.I64, 9)


@pytest.mark.parametrize(
    ("variant", "status"),
    [
        (extension(4001, struct.pack("<d", 1.0)), BAD_DECODING),
        (extension(4003, struct.pack("<I", 99)), BAD_DECODING),
        (extension(4004, struct.pack("<Ii", 2, 1) * 500), BAD_DECODING),
        (extension(4002, struct.pack("<i", 2**31 - 1)), BAD_DECODING),
        (extension(4001, b"<X/>", encoding=2), BAD_DATA_TYPE_ID_UNKNOWN),
        (extension(4999, b""), BAD_DATA_TYPE_ID_UNKNOWN),
        (struct.pack("<BBBB", 22, 0, 0, 0), BAD_NO_DATA),
    ],
    ids=["short", "no such choice", "deep", "huge text", "XML", "unknown", "null"],
)
def test_what_is_wrong_inside_a_structure_stays_inside_it(variant: bytes, status: int) -> None:
    item = struct.pack("<IB", 1, 0x01) + variant
    good = struct.pack("<IBBd", 0, 0x01, 11, 0.5)
    decoded = decode(
        struct.pack("<i", 3) + good + item + good,
        spread_items(None, ["X"], types=known()),
        now_ns=NOW_NS,
        lost=set(),
    )
    assert [(one.value, one.status) for one in decoded.batch] == [(0.5, 0), (None, status), (0.5, 0)]
    assert decoded.complete


POINTS = st.builds(Point, NUMBERS[V.Double], NUMBERS[V.Double])
SHAPES = st.builds(
    Shape,
    NUMBERS[V.String],
    POINTS,
    st.lists(POINTS, max_size=3),
    st.lists(NUMBERS[V.Int16], max_size=3),
    NUMBERS[V.Int32],
    st.builds(ua.Variant, st.text() | st.booleans() | NUMBERS[V.Double]),
)


def as_tree(value: Any) -> Any:
    """asyncua's object as plain values, field by field."""
    if isinstance(value, (Point, Shape)):
        return {name: as_tree(inner) for name, inner in vars(value).items()}
    if isinstance(value, list):
        return [as_tree(one) for one in value]
    return as_tree(value.Value) if isinstance(value, ua.Variant) else value


def plain(tree: Any) -> Any:
    if isinstance(tree, Leaf):
        assert not tree.status
        return tree.value.decode() if isinstance(tree.value, bytes) else tree.value
    if isinstance(tree, list):
        return [plain(one) for one in tree]
    return {name: plain(inner) for name, inner in tree.items()}


@given(SHAPES | st.lists(SHAPES, max_size=3))
def test_structures_read_as_asyncua_wrote_them(value: Any) -> None:
    variant = ua.Variant(value, V.ExtensionObject, is_array=isinstance(value, list))
    written = variant_to_binary(variant)
    tree, end = read_tree(written, 0, known())
    assert plain(tree) == as_tree(value)
    assert end == len(written)


@given(SHAPES, st.data())
def test_a_structure_with_a_byte_changed_never_raises(shape: Shape, data: st.DataObject) -> None:
    whole = bytearray(body(ua.Variant(0.5), ua.Variant(shape, V.ExtensionObject), ua.Variant(0.25)))
    whole[data.draw(st.integers(4, len(whole) - 1))] = data.draw(st.integers(0, 255))
    decode(bytes(whole), spread_items(None, SHAPE_FIELDS, types=known()), now_ns=NOW_NS, lost=set()).batch.check()


@given(st.binary(max_size=200), st.sampled_from([4001, 4002, 4003, 4004]), st.integers(0, 2))
def test_random_bytes_in_a_structure_never_raise(junk: bytes, number: int, elements: int) -> None:
    variant = extension(number, junk)
    try:
        _, end = read_tree(variant, 0, known())
    except DAMAGE:
        return
    assert end == skip_variant(variant, 0)


@given(st.binary(max_size=200))
def test_random_variants_are_stepped_over_as_they_are_read(junk: bytes) -> None:
    """The reader and the stepper agree on where a value ends."""
    try:
        end = skip_variant(junk, 0)
        _, behind = read_tree(junk, 0, known())
    except DAMAGE:
        return
    assert behind == end


def test_names_of_the_single_values_in_a_structure() -> None:
    assert with_names(known().layouts, SHAPE) == ["Name", "Origin.X", "Origin.Y", "State", "Any"]
    assert with_names(known().layouts, TREE) == ["Id", "Note"]
