"""All variables below a node, a few at a time: what a file of tags is made from.

Invariants
- Each node is looked at once, whatever loops the tree has. What is kept of a node is its id and its name, so that a
  server of 100,000 nodes takes tens of megabytes, and no list of references is ever held whole.
- No request asks for more than the server's OperationLimits allow; a request that is too much all the same is halved.
- What the server holds open for us is used up or given back.
- Variables come in the server's order, each after what it is below.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final, NamedTuple

from asyncua import ua

from adapters.base import Survey, Variable
from adapters.opcua.ask import or_lost
from adapters.opcua.browse import browse_on
from adapters.opcua.nodes import uri_text
from adapters.opcua.read import attribute, read
from adapters.opcua.session import Session
from adapters.opcua.spread import MOST_ELEMENTS
from adapters.opcua.standard import key_of
from adapters.opcua.structures import Types, with_names
from adapters.opcua.targets import Target, targets
from adapters.opcua.texts import NodeKey, key_text
from adapters.opcua.types import Teacher
from adapters.opcua.variables import elements_in, may_be_written, type_names
from gateway.config.tagsfile import LIST_MARK

__all__ = ["MOST_NODES", "Walk"]

MOST_NODES: Final = 1_000_000
"""Nodes that one survey looks at."""

_BROWSED_TOGETHER: Final = 100
_READ_TOGETHER: Final = 500
_UNIT: Final = "EngineeringUnits"
_SERVER: Final = (0, ua.ObjectIds.Server)
_ATTRIBUTES: Final = (
    ua.AttributeIds.DataType,
    ua.AttributeIds.ValueRank,
    ua.AttributeIds.ArrayDimensions,
    ua.AttributeIds.AccessLevel,
    ua.AttributeIds.UserAccessLevel,
)
_LIMITS: Final = (
    ua.NodeId(ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse),
    ua.NodeId(ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead),
)


class _Place(NamedTuple):
    """One node that is still to be looked at."""

    key: NodeKey
    above: str
    name: str
    is_variable: bool
    unit: NodeKey | None = None
    is_leaf: bool = False

    @property
    def path(self) -> str:
        return f"{self.above}/{self.name}" if self.above else self.name

    @property
    def node(self) -> ua.NodeId:
        return ua.NodeId(self.key[1], self.key[0])


class Walk:
    """One walk through a server's tree.

    Args:
        session: where to ask.
        namespaces: the server's namespace URIs by index.
        asked: what is to be listed.

    Attributes:
        complete: whether all was looked at.
    """

    def __init__(self, session: Session, namespaces: Sequence[str], asked: Survey) -> None:
        self.complete = True
        self._session = session
        self._namespaces = namespaces
        self._asked = asked
        self._seen: set[NodeKey] = set()
        self._waiting: list[_Place] = []
        self._types = Types()
        self._teacher = Teacher(session, self._types, namespaces)
        self._type_names: dict[ua.NodeId, str] = {}
        self._browsed = _BROWSED_TOGETHER
        self._read = _READ_TOGETHER

    async def variables(self, root: ua.NodeId, path: str, *, is_variable: bool) -> AsyncIterator[list[Variable]]:
        """The variables from a node on, some at a time.

        Args:
            root: where to begin.
            path: the names from Objects to it, joined by slashes.
            is_variable: whether it is a variable itself.

        Raises:
            SourceLost: there was no answer, or none that can be understood.
        """
        await self._ask_limits()
        above, _, name = path.rpartition("/")
        self._seen.add(key_of(root))
        self._waiting.append(_Place(key_of(root), above, name, is_variable))
        while self._waiting:
            places = [self._waiting.pop() for _ in range(min(self._browsed, len(self._waiting)))]
            below = await self._look_below(places)
            self._waiting += below[::-1]
            listed = [place for place in places if place.is_variable and self._asked.wanted(place.path)]
            for at in range(0, len(listed), self._read_at_once):
                yield await self._describe(listed[at : at + self._read_at_once])

    @property
    def _read_at_once(self) -> int:
        return max(1, self._read // len(_ATTRIBUTES))

    async def _ask_limits(self) -> None:
        limits = [(node, ua.AttributeIds.Value) for node in _LIMITS]
        answers = await read(self._session, limits, doing="asking for the server's limits")
        browsed, taken = [value if isinstance(value, int) and value > 0 else 0 for value in map(attribute, answers)]
        self._browsed = min(_BROWSED_TOGETHER, browsed or _BROWSED_TOGETHER)
        self._read = min(_READ_TOGETHER, taken or _READ_TOGETHER)

    async def _look_below(self, places: list[_Place]) -> list[_Place]:
        """What is below these, in their order; notes the unit of each of them that has one."""
        found: list[list[_Place]] = [[] for _ in places]
        asked = [at for at, place in enumerate(places) if not place.is_leaf]
        doing = f"looking below {places[0].path} and {len(places) - 1} others"
        with or_lost(self._session, doing):
            async for at, references, whole in browse_on(
                self._session, [places[place].node for place in asked], most=self._browsed
            ):
                self.complete &= whole
                place = asked[at]
                path = places[place].path  # one text, shared by all that is below
                for target in targets(references, self._namespaces):
                    if target.browse_name == _UNIT and target.leaf:
                        places[place] = places[place]._replace(unit=key_of(target.node))
                    if below := self._step(target, path):
                        found[place].append(below)
        return [below for level in found for below in level]

    def _step(self, target: Target, above: str) -> _Place | None:
        """The place of a target that is to be looked at; None where it is not."""
        key = key_of(target.node)
        if key in self._seen or key == _SERVER or target.kind == "method" or target.kind.endswith("type"):
            return None
        if target.leaf and not self._asked.properties:
            return None
        place = _Place(key, above, target.browse_name, target.is_variable, None, target.leaf)
        if not self._asked.enter(place.path):
            return None
        if len(self._seen) >= MOST_NODES:
            self.complete = False
            return None
        self._seen.add(key)
        return place

    async def _describe(self, places: Sequence[_Place]) -> list[Variable]:
        """What a tag needs to know of these variables."""
        wanted = [(place.node, number) for place in places for number in _ATTRIBUTES]
        answers = [attribute(one) for one in await self._read_all(wanted)]
        rows = [answers[at : at + len(_ATTRIBUTES)] for at in range(0, len(answers), len(_ATTRIBUTES))]
        units = await self._units(places)
        lengths = await self._lengths(places, rows)
        data_types = [row[0] if isinstance(row[0], ua.NodeId) else ua.NodeId() for row in rows]
        await self._learn(data_types)
        described: list[Variable] = []
        for place, row, data_type, length in zip(places, rows, data_types, lengths, strict=True):
            keys = {"node": self._node_text(place.key)}
            if unit := units.get(place.key, ""):
                keys["unit"] = unit
            if length is not None:
                keys["elements"] = str(length)
            if key_of(data_type) in self._types.layouts:
                keys["fields"] = LIST_MARK.join(with_names(self._types.layouts, key_of(data_type)))
            described.append(
                Variable(
                    place.path,
                    keys,
                    self._type_names.get(data_type, "") + "[]" * (length is not None),
                    may_be_written(row[3], row[4]),
                )
            )
        return described

    async def _read_all(self, wanted: Sequence[tuple[ua.NodeId, ua.AttributeIds]]) -> list[bytes]:
        answers: list[bytes] = []
        for at in range(0, len(wanted), self._read):
            part = wanted[at : at + self._read]
            answers += await read(self._session, part, doing=f"reading {len(part)} attributes")
        return answers

    async def _units(self, places: Iterable[_Place]) -> dict[NodeKey, str]:
        """The engineering units of those that have one, as text."""
        units = {place.key: place.unit for place in places if place.unit is not None}
        wanted = [(ua.NodeId(key[1], key[0]), ua.AttributeIds.Value) for key in units.values()]
        texts: dict[NodeKey, str] = {}
        for key, answer in zip(units, await self._read_all(wanted), strict=True):
            unit = attribute(answer)
            if isinstance(unit, ua.EUInformation) and unit.DisplayName.Text:
                texts[key] = unit.DisplayName.Text[:32]
        return texts

    async def _lengths(self, places: Sequence[_Place], rows: Sequence[Sequence[object]]) -> list[int | None]:
        """How many elements each has: None where it is no array, by its dimensions, else by the value it has now."""
        lengths = [_length(row[1], row[2]) for row in rows]
        unsure = [at for at, length in enumerate(lengths) if length == 0]
        values = await self._read_all([(places[at].node, ua.AttributeIds.Value) for at in unsure])
        for at, value in zip(unsure, values, strict=True):
            lengths[at] = elements_in(value)
        return [None if length is None else min(max(1, length), MOST_ELEMENTS) for length in lengths]

    async def _learn(self, data_types: Sequence[ua.NodeId]) -> None:
        """Learns the names of types, and the fields of those that are structures."""
        new = [one for one in dict.fromkeys(data_types) if one not in self._type_names]
        self._type_names |= await type_names(self._session, new)
        await self._teacher.learn_types([one for one in new if not one.is_null()])

    def _node_text(self, key: NodeKey) -> str:
        namespace = key[0]
        if not self._asked.by_uri or not 0 < namespace < len(self._namespaces):
            return key_text(key)
        return f"nsu={uri_text(self._namespaces[namespace])};{key_text((0, key[1]))}"


def _length(rank: object, dimensions: object) -> int | None:
    """None for no array; 0 where only the value can tell."""
    if not isinstance(rank, int) or rank == -1:
        return None
    length = 1
    for size in dimensions if isinstance(dimensions, list) else ():
        length *= size
    if rank >= 0:
        return length if isinstance(dimensions, list) and dimensions else 0
    return 0  # it may be a single value or an array (-2, -3)
