"""What variables are and hold right now, as text for a person who chooses tags.

All variables of a list are read in one Read request, or in as few as the server takes. The names of data types that
the server itself defines take one more, the first time they are met.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from asyncua import ua

from adapters.opcua.failures import status_name
from adapters.opcua.read import as_reading, attribute, read
from adapters.opcua.session import Session
from adapters.opcua.spread import MOST_ELEMENTS
from adapters.opcua.structures import Types, encodings_in, with_names
from adapters.opcua.texts import NodeKey
from adapters.opcua.types import Teacher
from adapters.opcua.wire import ARRAY, I32
from gateway.batch import Reading, is_bad

__all__ = ["Look", "Variables", "elements_in", "may_be_written", "type_names"]

_LONGEST_TEXT: Final = 64
_ATTRIBUTES: Final = (
    ua.AttributeIds.Value,
    ua.AttributeIds.DataType,
    ua.AttributeIds.ValueRank,
    ua.AttributeIds.AccessLevel,
    ua.AttributeIds.UserAccessLevel,
)
_WRITE_BIT: Final = 1 << ua.AccessLevel.CurrentWrite
_STRUCTURE: Final = 22


class Look(NamedTuple):
    """One variable as it is now: type and value as text, whether we may write it, and how a tag takes it apart."""

    type: str
    value: str
    writable: bool
    keys: Mapping[str, object] = MappingProxyType({})


def may_be_written(access: object, user_access: object) -> bool:
    """Whether the access levels allow this user to write the value (OPC 10000-3, 8.57).

    Args:
        access: attribute AccessLevel; None where the server did not tell.
        user_access: attribute UserAccessLevel, likewise.
    """
    levels = [level for level in (access, user_access) if isinstance(level, int)]
    return bool(levels) and all(level & _WRITE_BIT for level in levels)


class Variables:
    """Looks at the variables of one server.

    Args:
        session: where to ask.
        namespaces: the server's namespace URIs by index.
    """

    def __init__(self, session: Session, namespaces: Sequence[str]) -> None:
        self._session = session
        self._type_names: dict[ua.NodeId, str] = {}
        self._types = Types()
        self._teacher = Teacher(session, self._types, namespaces)

    async def look_at(self, nodes: Sequence[ua.NodeId]) -> list[Look]:
        """Reads what these variables are and hold: one result each.

        Raises:
            SourceLost: there was no answer, or none that can be understood.
        """
        wanted = [(node, number) for node in nodes for number in _ATTRIBUTES]
        answers = await read(self._session, wanted, doing=f"looking at {len(nodes)} variables")
        rows = [answers[at : at + len(_ATTRIBUTES)] for at in range(0, len(answers), len(_ATTRIBUTES))]
        types = [attribute(row[1]) for row in rows]
        await self._name(data_type for data_type in types if isinstance(data_type, ua.NodeId))
        shapes = [_shape(row[0]) for row in rows]
        await self._teacher.learn_encodings(key for shape in shapes for key in shape.encodings)
        return [
            _look(
                row,
                self._type_names.get(data_type, "") if isinstance(data_type, ua.NodeId) else "",
                self._keys(shape),
            )
            for row, data_type, shape in zip(rows, types, shapes, strict=True)
        ]

    def _keys(self, shape: _Shape) -> dict[str, object]:
        """The keys of a tag that reads all of a variable, where it is more than one value."""
        keys: dict[str, object] = {}
        if shape.elements is not None:
            keys["elements"] = min(max(1, shape.elements), MOST_ELEMENTS)
        data_types = {self._types.encodings.get(key) for key in shape.encodings}
        if len(data_types) == 1 and (data_type := data_types.pop()) is not None:
            keys["fields"] = with_names(self._types.layouts, data_type)
        return keys

    async def _name(self, types: Iterable[ua.NodeId]) -> None:
        """Learns the names of these data types."""
        unknown = [*dict.fromkeys(data_type for data_type in types if data_type not in self._type_names)]
        self._type_names |= await type_names(self._session, unknown)


async def type_names(session: Session, types: Iterable[ua.NodeId]) -> dict[ua.NodeId, str]:
    """The names of data types: the standard's by themselves, others as the server tells them.

    Raises:
        SourceLost: there was no answer, or none that can be understood.
    """
    named: dict[ua.NodeId, str] = {}
    foreign: list[ua.NodeId] = []
    for data_type in types:
        known = ua.ObjectIdNames.get(data_type.Identifier) if data_type.NamespaceIndex == 0 else None
        if known:
            named[data_type] = known
        else:
            foreign.append(data_type)
    names = await read(
        session,
        [(data_type, ua.AttributeIds.BrowseName) for data_type in foreign],
        doing=f"looking at {len(foreign)} data types",
    )
    for data_type, answer in zip(foreign, names, strict=True):
        name = attribute(answer)
        named[data_type] = name.Name if isinstance(name, ua.QualifiedName) and name.Name else data_type.to_string()
    return named


class _Shape(NamedTuple):
    """How many elements a value has, None where it is no array, and the encodings of the structures in it."""

    elements: int | None
    encodings: tuple[NodeKey, ...]


def _shape(data_value: bytes) -> _Shape:
    encodings = dict.fromkeys(encodings_in(data_value, 1)) if data_value[0] & 0x01 else ()
    return _Shape(elements_in(data_value), tuple(encodings))


def elements_in(data_value: bytes) -> int | None:
    """How many elements the value has, those of a matrix together; None where it is no array."""
    if not data_value[0] & 0x01 or not data_value[1] & ARRAY:
        return None
    return max(0, int(I32.unpack_from(data_value, 2)[0]))


def _look(row: Sequence[bytes], type_name: str, keys: Mapping[str, object]) -> Look:
    value, _, rank, access, user_access = row
    dimensions = attribute(rank)
    is_array = isinstance(dimensions, int) and dimensions >= 0
    return Look(
        type_name + "[]" * is_array,
        _text(value, single=type_name == "Float"),
        may_be_written(attribute(access), attribute(user_access)),
        keys,
    )


def _text(data_value: bytes, *, single: bool) -> str:
    """A value in a few words."""
    reading = as_reading(data_value, point=0, kind=None, now_ns=0)
    if is_bad(reading.status):
        return _what_it_is(data_value) or status_name(reading.status << 16)
    return _short(_plain(reading, single=single))


def _plain(reading: Reading, *, single: bool) -> str:
    value = reading.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value[:_LONGEST_TEXT].hex(" ")
    if isinstance(value, float) and single:
        # Seven digits are all that a Float has; the others come from its being kept as a double.
        return f"{value:.7g}"
    return str(value)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _what_it_is(data_value: bytes) -> str:
    """What a good value is that makes no reading; empty where it is not good, or simply missing."""
    if attribute(data_value) is None or not data_value[0] & 0x01:
        return ""
    encoding = data_value[1]
    if encoding & ARRAY:
        return f"array of {max(0, I32.unpack_from(data_value, 2)[0])}"
    return "structure" if encoding == _STRUCTURE else ""
