"""Structures that a server describes in a type dictionary only, as up to OPC UA 1.03 (OPC 10000-5, annex C).

From the binary encoding of a data type a reference leads to a description, whose value is the structure's name, and
from there to the dictionary. Each dictionary is read once a session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from asyncua import ua

from adapters.opcua.browse import browse
from adapters.opcua.dictionary import read_dictionary
from adapters.opcua.read import attribute, read
from adapters.opcua.session import Session
from adapters.opcua.standard import key_of, learn_standard
from adapters.opcua.structures import Types
from adapters.opcua.targets import targets
from adapters.opcua.texts import NodeKey

__all__ = ["Dictionaries"]

_HAS_DESCRIPTION: Final = ua.NodeId(ua.ObjectIds.HasDescription)
_HAS_COMPONENT: Final = ua.NodeId(ua.ObjectIds.HasComponent)
_DOING: Final = "looking for a type's dictionary"


class Dictionaries:
    """The dictionaries of one server.

    Args:
        session: where to ask.
        types: is given the structures that are found.
        namespaces: the server's namespace URIs by index.
    """

    def __init__(self, session: Session, types: Types, namespaces: Sequence[str]) -> None:
        self._session = session
        self._types = types
        self._namespaces = namespaces
        self._numbers: dict[NodeKey, int] = {}

    async def find(self, encoding: ua.NodeId) -> NodeKey | None:
        """Learns the structure of a binary encoding, and all others of its dictionary.

        Args:
            encoding: its id.

        Returns:
            The key of the structure in `Types.layouts`; None where no dictionary describes it.

        Raises:
            SourceLost: there was no answer, or none that can be understood.
        """
        description = await self._follow(encoding, _HAS_DESCRIPTION, inverse=False)
        if description is None:
            return None
        (answer,) = await read(self._session, [(description, ua.AttributeIds.Value)], doing=_DOING)
        name = attribute(answer)
        dictionary = await self._follow(description, _HAS_COMPONENT, inverse=True)
        if dictionary is None or not isinstance(name, str):
            return None
        await self._learn(dictionary)
        key = _key(self._numbers[key_of(dictionary)], name)
        return key if key in self._types.layouts else None

    async def _follow(self, node: ua.NodeId, references: ua.NodeId, *, inverse: bool) -> ua.NodeId | None:
        (level,) = await browse(self._session, [node], doing=_DOING, most=10, types=references, inverse=inverse)
        return next((target.node for target in targets(level.references, self._namespaces)), None)

    async def _learn(self, dictionary: ua.NodeId) -> None:
        if key_of(dictionary) in self._numbers:
            return
        number = self._numbers[key_of(dictionary)] = len(self._numbers) + 1
        (answer,) = await read(self._session, [(dictionary, ua.AttributeIds.Value)], doing="reading a type dictionary")
        xml = attribute(answer)
        if not isinstance(xml, bytes):
            return
        found = read_dictionary(xml, key=lambda name: _key(number, name), standard=self._standard)
        self._types.layouts.update({_key(number, name): layout for name, layout in found.items()})

    def _standard(self, name: str) -> NodeKey | None:
        identifier = getattr(ua.ObjectIds, name, None)
        if identifier is None:
            return None
        learn_standard(ua.NodeId(identifier), self._types)
        return (0, int(identifier))


def _key(number: int, name: str) -> NodeKey:
    """No node is in a namespace below 0: the key of a structure that is known by its name in a dictionary."""
    return -number, name
