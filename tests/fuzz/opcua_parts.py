"""Arrays and structures taken apart, single Variants, and type dictionaries of OPC UA 1.03."""

from __future__ import annotations

import struct
from random import Random
from typing import Any

from asyncua import ua
from asyncua.ua.ua_binary import variant_to_binary

from adapters.opcua.decode import Items, decode
from adapters.opcua.dictionary import read_dictionary
from adapters.opcua.spread import Spread, column, leaves, selectors
from adapters.opcua.structures import Form, Layout, Member, Types, read_tree
from adapters.opcua.wire import DAMAGE, skip_variant
from gateway.batch import GOOD, is_bad
from tests.adapters.opcua.test_dictionary import END, HEAD, OPTIONAL, PLAIN, UNION
from tests.fuzz.opcua import NOW_NS, body
from tests.fuzz.targets import Target

_V = ua.VariantType
_POINT, _SHAPE, _CHOICE, _TREE = (2, 3001), (2, 3002), (2, 3003), (2, 3004)
_TYPES = Types(
    {
        _POINT: Layout(Form.PLAIN, (Member("X", 11), Member("Y", 10))),
        _SHAPE: Layout(
            Form.PLAIN, (Member("Name", 12), Member("At", _POINT), Member("All", _POINT, 1), Member("Any", 24))
        ),
        _CHOICE: Layout(Form.UNION, (Member("Number", 6), Member("Text", 12))),
        _TREE: Layout(Form.OPTIONAL_FIELDS, (Member("M", 4, 2), Member("Left", _TREE, 0, optional=True))),
    },
    {(2, 4001): _POINT, (2, 4002): _SHAPE, (2, 4003): _CHOICE, (2, 4004): _TREE},
)
_FIELDS = ["X", "Name", "At.Y", "All[1].X", "Any", "Number", "Left.Left", "M[2]"]


def _items() -> Items:
    """A single value, an array of five, a structure, and an array of three structures: points 1 to 38."""
    spreads: dict[int, Spread] = {}
    first, at = [1], 2
    for handle, (elements, fields) in enumerate([(5, None), (None, _FIELDS), (3, _FIELDS)], start=1):
        ways = selectors(elements, fields)
        first.append(at)
        spreads[handle] = Spread(range(at, at + len(ways)), ways, elements or 0)
        at += len(ways)
    return Items(first, {}, spreads, Types(_TYPES.layouts, _TYPES.encodings))


_ITEMS = _items()


def _structure(number: int, content: bytes) -> Any:
    return ua.ExtensionObject(TypeId=ua.NodeId(number, 2), Body=content)


_AT = struct.pack("<df", 1.5, 2.5)
_WHOLE = struct.pack("<i3s", 3, b"abc") + _AT + struct.pack("<i", 2) + _AT + _AT + variant_to_binary(ua.Variant(7))
_STRUCTURES = [
    _structure(4001, _AT),
    _structure(4002, _WHOLE),
    _structure(4003, struct.pack("<Ii1s", 2, 1, b"x")),
    _structure(4004, struct.pack("<Iiii2h", 1, 2, 1, 2, 5, 6) + struct.pack("<Iiii", 0, 2, 0, 0)),
    _structure(4999, b"unknown"),
]
_VARIANTS = [
    ua.Variant([1.0, 2.0, 3.0], _V.Double),
    ua.Variant([1, 2, 3, 4, 5, 6], _V.UInt16),
    ua.Variant([[1, 2], [3, 4]], _V.Int32),
    ua.Variant(["a", "bc"], _V.String),
    ua.Variant([ua.Variant(1), ua.Variant("x"), ua.Variant([1.0])], _V.Variant),
    ua.Variant(_STRUCTURES, _V.ExtensionObject),
    *(ua.Variant(one, _V.ExtensionObject) for one in _STRUCTURES),
]


def parts(data: bytes, _draw: Random) -> None:
    """Each tag has all of its points or none of them, and a bad one has no value."""
    decoded = decode(data, _ITEMS, now_ns=NOW_NS, lost=set())
    numbers = [0] * 40
    for reading in decoded.batch.check():
        numbers[reading.point] += 1
        if is_bad(reading.status):
            assert reading.value is None
        if reading.status == GOOD:
            assert reading.value is not None
    for spread in _ITEMS.spreads.values():
        assert len({numbers[point] for point in spread.points}) == 1


def variant(data: bytes, draw: Random) -> None:
    """Who reads a value and who steps over it agree on its end; a column and a tree agree on its elements."""
    try:
        end = skip_variant(data, 0)
    except DAMAGE:
        return
    try:
        _, behind = read_tree(data, 0, _ITEMS.types)
    except DAMAGE:
        return
    assert behind == end
    elements = draw.randrange(1, 8)
    spread = Spread(range(elements), selectors(elements, None), elements)
    whole = column(data, 0, spread, None)
    if whole is None:
        return
    found, beyond = leaves(data, 0, spread, _ITEMS.types)
    assert whole.beyond == beyond
    assert [leaf.kind for leaf in found] == [whole.kind] * whole.taken + [None] * (elements - whole.taken)


def dictionary(data: bytes, _draw: Random) -> None:
    """Whatever stands in it, it gives layouts or nothing."""
    found = read_dictionary(data, key=lambda name: (-1, name), standard=lambda _name: None)
    for layout in found.values():
        for member in layout.members:
            assert member.type in range(1, 26) if isinstance(member.type, int) else member.type[0] == -1


_DICTIONARIES = [(HEAD + text + END).encode() for text in (PLAIN, OPTIONAL, UNION)]

TARGETS = [
    Target(
        "opcua.parts",
        [
            body(ua.Variant(0.5), *_VARIANTS[:3]),
            *(body(ua.Variant(0.5), ua.Variant([1.0, 2.0]), one, _VARIANTS[5]) for one in _VARIANTS),
        ],
        parts,
    ),
    Target("opcua.variant", [variant_to_binary(one) for one in _VARIANTS], variant),
    Target("opcua.dictionary", _DICTIONARIES, dictionary),
]
