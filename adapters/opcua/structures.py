"""Values as trees: arrays by their elements, structures by their fields (OPC 10000-6, 5.2.6 to 5.2.8).

Pure. How a structure is laid out comes from the server's own description of its type (`types`); one that is not known
is stepped over, since an extension object says how long it is, and becomes a leaf that says so.

Invariants
- Nothing is made up: an absent field, a null and an unknown type are leaves without a value, each with its status.
- Structures nested too deeply, and counts that the body cannot hold, are `Malformed`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

from adapters.opcua.texts import NodeKey, WireNode, read_node
from adapters.opcua.values import FIXED, Scalar, read_plain, read_scalar
from adapters.opcua.wire import ARRAY, FIXED_BYTES, U32, Malformed, count, extension_object
from gateway.batch import Kind

__all__ = [
    "BAD_DATA_TYPE_ID_UNKNOWN",
    "BAD_DECODING",
    "BAD_NOT_SUPPORTED",
    "BAD_NO_DATA",
    "Form",
    "Layout",
    "Leaf",
    "Member",
    "Tree",
    "Types",
    "encodings_in",
    "read_tree",
    "with_names",
]

BAD_DECODING: Final = 0x8007
BAD_DATA_TYPE_ID_UNKNOWN: Final = 0x8011
BAD_NOT_SUPPORTED: Final = 0x803D
BAD_NO_DATA: Final = 0x809B
"""Upper halves of the StatusCodes (OPC 10000-6, A.2) given to what is no reading."""

_EXTENSION_OBJECT: Final = 22
_VARIANT: Final = 24
_DIMENSIONS: Final = 0x40
_TYPE_BITS: Final = 0x3F
_MOST_UNKNOWN: Final = 1_000
_DEEPEST: Final = 50
"""Structures inside each other; the standard's own reach a handful."""


class Leaf(NamedTuple):
    """A value that has nothing below it, or the reason why there is none: a status that is not 0."""

    kind: Kind | None
    value: Scalar | None
    status: int = 0


Tree: TypeAlias = "Leaf | list[Tree] | dict[str, Tree]"

_NOTHING: Final = Leaf(None, None, BAD_NO_DATA)
_UNKNOWN: Final = Leaf(None, None, BAD_DATA_TYPE_ID_UNKNOWN)
_UNSUPPORTED: Final = Leaf(None, None, BAD_NOT_SUPPORTED)


class Form(Enum):
    """How a structure is encoded (OPC 10000-3, 8.49)."""

    PLAIN = 0
    OPTIONAL_FIELDS = 1
    UNION = 2


class Member(NamedTuple):
    """One field of a structure.

    Attributes:
        name: its name.
        type: id of a built-in type, or the data type of a structure.
        rank: 0 a single value, 1 an array, above that a matrix of so many dimensions.
        optional: it may be absent.
    """

    name: str
    type: int | NodeKey
    rank: int = 0
    optional: bool = False


class Layout(NamedTuple):
    """A structure as it is encoded: its fields in their order."""

    form: Form
    members: tuple[Member, ...]


@dataclass(slots=True)
class Types:
    """The structures of one server, learned as they are needed.

    Attributes:
        layouts: by data type.
        encodings: data types by the id of their binary encoding.
        unknown: ids of encodings that were met and not known, and the tags that hold them.
        news: whether that has become more since somebody last looked.
    """

    layouts: dict[NodeKey, Layout] = field(default_factory=dict)
    encodings: dict[NodeKey, NodeKey] = field(default_factory=dict)
    unknown: dict[NodeKey, set[int]] = field(default_factory=dict)
    news: bool = False
    _met: set[NodeKey] = field(default_factory=set)

    def meet(self, encoding: NodeKey) -> None:
        """Notes that an encoding is not known; `note` says later whose value it was."""
        self._met.add(encoding)

    def note(self, handle: int) -> None:
        """Notes that all unknown encodings since the last note are a tag's."""
        for encoding in self._met:
            # A server that makes up encodings must not take all memory.
            if encoding in self.unknown or len(self.unknown) < _MOST_UNKNOWN:
                holders = self.unknown.setdefault(encoding, set())
                self.news |= handle not in holders
                holders.add(handle)
        self._met.clear()

    def become(self, taught: Types) -> set[int]:
        """Knows from now on what another one knows at this moment, and nothing of what it may be learning.

        Returns:
            The tags that hold what was unknown before and is known now.
        """
        self.layouts, self.encodings = {**taught.layouts}, {**taught.encodings}
        learned = self.unknown.keys() & self.encodings.keys()
        return {handle for encoding in learned for handle in self.unknown.pop(encoding)}


def read_tree(body: bytes, at: int, types: Types, depth: int = 0) -> tuple[Tree, int]:
    """Reads the Variant at this position as a tree, and gives the position behind it.

    Args:
        body: the message.
        at: where the Variant stands.
        types: what is known of structures; is told of an unknown one.
        depth: structures and variants that this one is inside of.

    Raises:
        one of `wire.DAMAGE`: the body does not keep the encoding.
    """
    if depth > _DEEPEST:
        raise Malformed("values nested too deeply")
    encoding = body[at]
    type_id = encoding & _TYPE_BITS
    if not encoding & ARRAY:
        if type_id == _EXTENSION_OBJECT:
            return _extension(body, at + 1, types, depth)
        if type_id == _VARIANT:
            return read_tree(body, at + 1, types, depth + 1)
        return _leaf(*read_scalar(body, at))
    number, at = count(body, at + 1, FIXED_BYTES.get(type_id, 1))
    elements, at = _elements(body, at, type_id, number, types, depth)
    if encoding & _DIMENSIONS:
        dimensions, at = count(body, at, 4)
        at += 4 * dimensions
    return elements, at


def encodings_in(body: bytes, at: int) -> Iterator[NodeKey]:
    """Ids of the encodings of the structures in the Variant at this position, as far as they can be seen outside.

    Raises:
        one of `wire.DAMAGE`: the body does not keep the encoding.
    """
    encoding = body[at]
    if encoding & _TYPE_BITS != _EXTENSION_OBJECT:
        return
    number, at = count(body, at + 1, 3) if encoding & ARRAY else (1, at + 1)
    for _ in range(number):
        node, _ = read_node(body, at)
        if node.key != (0, 0):
            yield node.key
        _, _, at = extension_object(body, at)


def _leaf(kind: Kind | None, value: Scalar | None, at: int) -> tuple[Leaf, int]:
    if kind is None:
        return _NOTHING, at
    return (_UNSUPPORTED if value is None else Leaf(kind, value)), at


def _elements(
    body: bytes, at: int, type_id: int | NodeKey, number: int, types: Types, depth: int
) -> tuple[list[Tree], int]:
    fixed = FIXED.get(type_id) if isinstance(type_id, int) else None
    if fixed is not None:
        reader = struct.Struct(f"<{number}{fixed.code}")
        values = reader.unpack_from(body, at)
        return [Leaf(fixed.kind, value) for value in values], at + reader.size
    elements: list[Tree] = []
    for _ in range(number):
        element, at = _one(body, at, type_id, types, depth)
        elements.append(element)
    return elements, at


def _one(body: bytes, at: int, type_id: int | NodeKey, types: Types, depth: int) -> tuple[Tree, int]:
    """Reads one value of a type that is known from outside."""
    if not isinstance(type_id, int):
        return _structure(body, at, types.layouts[type_id], types, depth + 1)
    if type_id == _EXTENSION_OBJECT:
        return _extension(body, at, types, depth)
    if type_id == _VARIANT:
        return read_tree(body, at, types, depth + 1)
    try:
        return _leaf(*read_plain(body, at, type_id))
    except KeyError:
        raise Malformed(f"a value of unknown type {type_id}") from None


def _extension(body: bytes, at: int, types: Types, depth: int) -> tuple[Tree, int]:
    """Reads an extension object. What is wrong inside it stays inside it."""
    node, behind = read_node(body, at)
    encoding = body[behind]
    _, content, end = extension_object(body, at)
    if encoding == 0:
        return _NOTHING, end
    layout = _layout(node, types) if encoding == 1 else None
    if layout is None:
        return _UNKNOWN, end
    try:
        tree, _ = _structure(content, 0, layout, types, depth + 1)
    except (struct.error, IndexError, Malformed):
        return Leaf(None, None, BAD_DECODING), end
    return tree, end


def _layout(node: WireNode, types: Types) -> Layout | None:
    data_type = types.encodings.get(node.key)
    if data_type is None or node.server or node.uri:
        types.meet(node.key)
        return None
    return types.layouts[data_type]


def _structure(body: bytes, at: int, layout: Layout, types: Types, depth: int) -> tuple[Tree, int]:
    if depth > _DEEPEST:
        raise Malformed("structures nested too deeply")
    if layout.form is Form.UNION:
        return _union(body, at, layout, types, depth)
    present = -1
    if layout.form is Form.OPTIONAL_FIELDS:
        present = U32.unpack_from(body, at)[0]
        at += 4
    tree: dict[str, Tree] = {}
    bit = 1
    for member in layout.members:
        if member.optional:
            absent = not present & bit
            bit <<= 1
            if absent:
                tree[member.name] = _NOTHING
                continue
        tree[member.name], at = _member(body, at, member, types, depth)
    return tree, at


def _union(body: bytes, at: int, layout: Layout, types: Types, depth: int) -> tuple[Tree, int]:
    """A number from 1 says which of the fields follows; 0 is a union that has none."""
    chosen = U32.unpack_from(body, at)[0]
    at += 4
    if chosen > len(layout.members):
        raise Malformed(f"field {chosen} of a union that has {len(layout.members)}")
    tree: dict[str, Tree] = {member.name: _NOTHING for member in layout.members}
    if chosen:
        member = layout.members[chosen - 1]
        tree[member.name], at = _member(body, at, member, types, depth)
    return tree, at


def _member(body: bytes, at: int, member: Member, types: Types, depth: int) -> tuple[Tree, int]:
    if not member.rank:
        return _one(body, at, member.type, types, depth)
    least = FIXED_BYTES.get(member.type, 1) if isinstance(member.type, int) else 1
    number, at = count(body, at, 4 if member.rank > 1 else least)
    if member.rank > 1:
        # A matrix: its dimensions, then its elements row by row (5.2.5).
        dimensions = struct.unpack_from(f"<{number}i", body, at)
        at += 4 * number
        number = math.prod(max(0, size) for size in dimensions) if dimensions else 0
        if number * least > len(body) - at:
            raise Malformed(f"{number} elements where {len(body) - at} bytes are left")
    return _elements(body, at, member.type, number, types, depth)


def with_names(layouts: Mapping[NodeKey, Layout], data_type: NodeKey) -> list[str]:
    """The names of all single values in a structure, nested ones joined by dots; arrays are left out."""
    return [*_names(layouts, data_type, (data_type,))]


def _names(layouts: Mapping[NodeKey, Layout], data_type: NodeKey, inside: tuple[NodeKey, ...]) -> Iterator[str]:
    for member in layouts[data_type].members:
        if member.rank:
            continue
        if isinstance(member.type, int):
            yield member.name
        elif member.type in layouts and member.type not in inside:
            for name in _names(layouts, member.type, (*inside, member.type)):
                yield f"{member.name}.{name}"
