"""The structures behind the tags that are read by elements and fields: learned for a session, and again when met."""

from __future__ import annotations

from collections.abc import Sequence

from asyncua import ua

from adapters.opcua.decode import Items
from adapters.opcua.places import Places
from adapters.opcua.read import read
from adapters.opcua.session import Session
from adapters.opcua.structures import Types
from adapters.opcua.types import Teacher
from adapters.opcua.wire import U32
from gateway.config.words import many

__all__ = ["Shapes"]


class Shapes:
    """What one session knows of its structures.

    Args:
        session: where to ask.
        items: whose types are learned.
        places: where their variables are.
    """

    def __init__(self, session: Session, items: Items, places: Places) -> None:
        self._session = session
        self._items = items
        self._places = places
        self._nodes: dict[int, ua.NodeId] = {}
        self._teacher: Teacher | None = None

    async def learn(self, namespaces: Sequence[str]) -> None:
        """Learns the types of all tags that are taken apart, in place of what an earlier session knew.

        Until all is learned the old types hold: what comes meanwhile, of a subscription that outlived its session, was
        sent by the same program.

        Args:
            namespaces: the server's namespace URIs by index.

        Raises:
            SourceLost: there was no answer, or none that can be understood.
        """
        fresh = Types()
        found = await self._places.find(self._items.spreads, namespaces)
        self._nodes = {handle: node for handle, node in found.items() if not isinstance(node, int)}
        self._teacher = Teacher(self._session, fresh, namespaces)
        await self._teacher.learn_variables([*self._nodes.values()])
        self._items.types.become(fresh)

    async def learn_unknown(self) -> bytes:
        """Learns the types that were met since and not known.

        Returns:
            The body of a notification with the values that are to be decoded again; empty where nothing was learned.

        Raises:
            SourceLost: there was no answer, or none that can be understood.
        """
        if self._teacher is None or not await self._teacher.learn_encodings(self._items.types.unknown):
            return b""
        nodes = self._nodes
        doing = f"reading {many(len(nodes), 'variable')} again"
        values = await read(self._session, [(node, ua.AttributeIds.Value) for node in nodes.values()], doing=doing)
        return U32.pack(len(nodes)) + b"".join(
            U32.pack(handle) + value for handle, value in zip(nodes, values, strict=True)
        )
