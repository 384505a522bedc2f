"""Learning a server's structures: what its variables hold, and how that is encoded (OPC 10000-3, 8.48 to 8.50).

The description is the attribute DataTypeDefinition of the data type, which servers have had since OPC UA 1.04. Without
it, the standard's own types are taken from asyncua's copy of it, and others from a type dictionary of OPC UA 1.03. What
nobody describes stays unknown: its values are bad readings, counted and named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from asyncua import ua

from adapters.opcua.browse import SUBTYPE, browse
from adapters.opcua.dictionaries import Dictionaries
from adapters.opcua.read import attribute, read
from adapters.opcua.session import Session
from adapters.opcua.standard import key_of, learn_standard
from adapters.opcua.structures import Form, Layout, Member, Types, encodings_in
from adapters.opcua.targets import targets
from adapters.opcua.texts import NodeKey
from adapters.opcua.wire import DAMAGE
from gateway.config.words import many

__all__ = ["VARIANT", "Teacher", "built_in_type"]

VARIANT: Final = 24
"""A built-in type that may hold any other, and says which."""
_STRUCTURE: Final = 22
_INT32: Final = 6
_ENUMERATION: Final = 29
_ABSTRACT: Final = frozenset({0, VARIANT, 26, 27, 28})
"""None at all, BaseDataType, Number, Integer, UInteger: they are sent as a Variant."""
_HAS_ENCODING: Final = ua.NodeId(ua.ObjectIds.HasEncoding)
_BINARY: Final = "Default Binary"
_MOST_TYPES: Final = 2_000
_MOST_SUPERTYPES: Final = 16
_FORMS: Final = {
    ua.StructureType.Structure: Form.PLAIN,
    ua.StructureType.StructureWithSubtypedValues: Form.PLAIN,
    ua.StructureType.StructureWithOptionalFields: Form.OPTIONAL_FIELDS,
    ua.StructureType.Union: Form.UNION,
    ua.StructureType.UnionWithSubtypedValues: Form.UNION,
}
_SUBTYPED: Final = (ua.StructureType.StructureWithSubtypedValues, ua.StructureType.UnionWithSubtypedValues)


async def built_in_type(
    session: Session,
    node: ua.NodeId,
    namespaces: Sequence[str],
    *,
    doing: str,
    known: Callable[[NodeKey], int | None] = lambda _key: None,
) -> int | None:
    """The built-in type that a data type is a kind of, by its supertypes.

    Args:
        session: where to ask.
        node: the data type; it may be an alias, an enumeration, a structure, or abstract.
        namespaces: the server's namespace URIs by index.
        doing: what this is for, as an error would say it.
        known: built-in types of data types that need not be asked about.

    Returns:
        Its id; `VARIANT` where only a value says which it is; None where it is a kind of none.

    Raises:
        SourceLost: there was no answer, or none that can be understood.
    """
    for _ in range(_MOST_SUPERTYPES):
        key = key_of(node)
        number = known(key)
        if number is None:
            number = _standing_for(key)
        if number is not None:
            return number
        (above,) = await browse(session, [node], doing=doing, most=1, types=SUBTYPE, inverse=True)
        parent = next((target.node for target in targets(above.references, namespaces)), None)
        if parent is None:
            return None
        node = parent
    return None


class Teacher:
    """Learns types over one session.

    Args:
        session: where to ask.
        types: what is learned; read by the decoder.
        namespaces: the server's namespace URIs by index.
    """

    def __init__(self, session: Session, types: Types, namespaces: Sequence[str]) -> None:
        self._session = session
        self._types = types
        self._namespaces = namespaces
        self._dictionaries = Dictionaries(session, types, namespaces)
        self._built_in: dict[NodeKey, int | None] = {}
        self._hopeless: set[NodeKey] = set()

    async def learn_variables(self, nodes: Sequence[ua.NodeId]) -> None:
        """Learns the structures that these variables are declared to hold, or hold now.

        Raises:
            SourceLost: there was no answer, or none that can be understood.
        """
        if not nodes:
            return
        doing = f"learning the types of {many(len(nodes), 'variable')}"
        answers = await read(self._session, [(node, ua.AttributeIds.DataType) for node in nodes], doing=doing)
        types = [one if isinstance(one, ua.NodeId) else ua.NodeId() for one in map(attribute, answers)]
        await self._learn({key_of(one): one for one in types})
        # A value may be large, and is asked for only where the declared type leaves open what it is.
        open_ones = [node for node, one in zip(nodes, types, strict=True) if self._leaves_open(key_of(one))]
        values = await read(self._session, [(node, ua.AttributeIds.Value) for node in open_ones], doing=doing)
        await self.learn_encodings(_seen(values))

    def _leaves_open(self, key: NodeKey) -> bool:
        """Whether values of a data type may be structures that are not known by it."""
        if key in self._types.layouts:
            return False
        number = _standing_for(key)
        if number is None:
            number = self._built_in.get(key)
        return number in (None, _STRUCTURE, VARIANT)

    async def learn_types(self, nodes: Iterable[ua.NodeId]) -> None:
        """Learns these data types, as far as they are structures.

        Raises:
            SourceLost: there was no answer, or none that can be understood.
        """
        await self._learn({key_of(node): node for node in nodes})

    def hope(self) -> None:
        """Asks again, when it is next time for it, about what the server did not describe: it may do so by now."""
        self._hopeless.clear()

    async def learn_encodings(self, keys: Iterable[NodeKey]) -> bool:
        """Learns the structures that these binary encodings belong to; tells whether any of them is new.

        Raises:
            SourceLost: there was no answer, or none that can be understood.
        """
        new = [key for key in dict.fromkeys(keys) if key not in self._types.encodings and key not in self._hopeless]
        if not new:
            return False
        self._hopeless.update(new)
        places = [_node(key) for key in new]
        levels = await browse(
            self._session, places, doing="looking for types", most=10, types=_HAS_ENCODING, inverse=True
        )
        data_types: dict[NodeKey, ua.NodeId] = {}
        for key, place, level in zip(new, places, levels, strict=True):
            target = next((one.node for one in targets(level.references, self._namespaces)), None)
            if target is None:
                learn_standard(place, self._types)
                if key not in self._types.encodings:
                    await self._look_up(place, key)
            else:
                data_types[key_of(target)] = target
                self._types.encodings[key] = key_of(target)
        await self._learn(data_types)
        known = False
        for key in new:
            if self._types.encodings.get(key) in self._types.layouts:
                self._hopeless.discard(key)
                known = True
            else:
                self._types.encodings.pop(key, None)
        return known

    async def _learn(self, data_types: dict[NodeKey, ua.NodeId]) -> None:
        """Learns these data types and all those that they are made of, level by level."""
        waiting = {key: node for key, node in data_types.items() if not self._is_known(key)}
        while waiting and len(self._types.layouts) < _MOST_TYPES:
            doing = f"learning {many(len(waiting), 'type')}"
            answers = await read(
                self._session, [(node, ua.AttributeIds.DataTypeDefinition) for node in waiting.values()], doing=doing
            )
            definitions = dict(zip(waiting, map(attribute, answers), strict=True))
            fields = [
                field.DataType
                for definition in definitions.values()
                if isinstance(definition, ua.StructureDefinition)
                for field in definition.Fields or ()
            ]
            for key, node in waiting.items():
                definition = definitions[key]
                if not isinstance(definition, ua.StructureDefinition):
                    self._built_in[key] = await self._undescribed(node)
            below = {key_of(one): one for one in fields}
            unread = {key: node for key, node in below.items() if not self._is_known(key) and key not in waiting}
            for key, definition in definitions.items():
                if isinstance(definition, ua.StructureDefinition):
                    await self._keep(key, waiting[key], definition)
            waiting = unread
        self._drop_incomplete()

    async def _keep(self, key: NodeKey, node: ua.NodeId, definition: ua.StructureDefinition) -> None:
        form = _FORMS.get(definition.StructureType)
        if form is None:
            return
        subtyped = definition.StructureType in _SUBTYPED
        members: list[Member] = []
        for field in definition.Fields or ():
            rank = max(0, int(field.ValueRank)) if field.ValueRank is not None else 0
            if subtyped and field.IsOptional:
                # It may hold any subtype and so is sent with its type (OPC 10000-6, 5.2.6).
                is_structure = await self._climb(field.DataType) == _STRUCTURE
                members.append(Member(field.Name, _STRUCTURE if is_structure else VARIANT, rank))
            else:
                optional = bool(field.IsOptional) and form is Form.OPTIONAL_FIELDS
                members.append(Member(field.Name, key_of(field.DataType), rank, optional))
        self._types.layouts[key] = Layout(form, tuple(members))
        encoding = definition.DefaultEncodingId
        if encoding is None or encoding.is_null():
            encoding = await self._encoding_of(node)
        if encoding is not None:
            self._types.encodings[key_of(encoding)] = key

    async def _undescribed(self, node: ua.NodeId) -> int | None:
        """What a data type without a description is sent as; None where it is a structure, known or not."""
        number = await self._climb(node)
        if number != _STRUCTURE:
            return number
        learn_standard(node, self._types)
        if key_of(node) in self._types.layouts or await self._look_up(await self._encoding_of(node), key_of(node)):
            return None
        (answer,) = await read(self._session, [(node, ua.AttributeIds.IsAbstract)], doing="learning a type")
        # Of an abstract one there are only subtypes, each of which says itself what it is.
        return _STRUCTURE if attribute(answer) is True else None

    async def _encoding_of(self, node: ua.NodeId) -> ua.NodeId | None:
        """The binary encoding of a data type."""
        (level,) = await browse(self._session, [node], doing="looking for an encoding", most=10, types=_HAS_ENCODING)
        found = targets(level.references, self._namespaces)
        return next((one.node for one in found if one.browse_name == _BINARY), None)

    async def _look_up(self, encoding: ua.NodeId | None, data_type: NodeKey) -> bool:
        """Learns a structure from a dictionary, under the key of its data type; tells whether it is there."""
        found = None if encoding is None else await self._dictionaries.find(encoding)
        if encoding is None or found is None:
            return False
        self._types.layouts[data_type] = self._types.layouts[found]
        self._types.encodings[key_of(encoding)] = data_type
        return True

    async def _climb(self, node: ua.NodeId) -> int | None:
        """The built-in type that a data type is a kind of; None where it is none."""
        return await built_in_type(
            self._session, node, self._namespaces, doing="looking for a type", known=self._known_as
        )

    def _known_as(self, key: NodeKey) -> int | None:
        """The built-in type of a data type that was looked at before; None of others."""
        if key in self._types.layouts:
            return _STRUCTURE
        if key not in self._built_in:
            return None
        number = self._built_in[key]
        return _STRUCTURE if number is None else number

    def _is_known(self, key: NodeKey) -> bool:
        return key in self._types.layouts or key in self._built_in or _standing_for(key) is not None

    def _drop_incomplete(self) -> None:
        """Puts built-in types in the place of their aliases, and drops what holds a type that nobody described."""
        layouts = self._types.layouts
        for key, layout in [*layouts.items()]:
            layouts[key] = layout._replace(members=tuple(self._settled(member) for member in layout.members))
        while True:
            broken = [
                key
                for key, layout in layouts.items()
                if any(not isinstance(one.type, int) and one.type not in layouts for one in layout.members)
            ]
            if not broken:
                break
            for key in broken:
                del layouts[key]
        for encoding, key in [*self._types.encodings.items()]:
            if key not in layouts:
                del self._types.encodings[encoding]

    def _settled(self, member: Member) -> Member:
        if isinstance(member.type, int):
            return member
        built_in = self._built_in.get(member.type)
        if built_in is None:
            built_in = _standing_for(member.type)
        return member if built_in is None else member._replace(type=built_in)


def _seen(values: Sequence[bytes]) -> list[NodeKey]:
    """Encodings of the structures in these DataValues."""
    found: list[NodeKey] = []
    for value in values:
        if value[:1] and value[0] & 0x01:
            try:
                found += encodings_in(value, 1)
            except DAMAGE:
                continue
    return found


def _standing_for(key: NodeKey) -> int | None:
    """The built-in type that a value of one of the first 29 data types is sent as; None for any other."""
    namespace, number = key
    if namespace != 0 or not isinstance(number, int) or number > _ENUMERATION:
        return None
    if number == _ENUMERATION:
        return _INT32
    return VARIANT if number in _ABSTRACT else number


def _node(key: NodeKey) -> ua.NodeId:
    return ua.NodeId(key[1], key[0])
