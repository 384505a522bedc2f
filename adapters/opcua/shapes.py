"""The structures behind the tags that are read by elements and fields: learned for a session, and again when met.

What is being learned is apart from what the decoder knows until it is whole: messages come in between two questions.
"""

from __future__ import annotations

from collections.abc import Collection

from adapters.opcua.decode import Items
from adapters.opcua.places import Places
from adapters.opcua.read import notification, values_of
from adapters.opcua.session import Session
from adapters.opcua.structures import Types
from adapters.opcua.types import Teacher
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
        self._taught = Types()
        self._teacher = Teacher(session, self._taught, places.namespaces)
        self._asked: set[int] = set()

    async def learn(self) -> None:
        """Learns the types of all tags that are taken apart, in place of what an earlier session knew.

        Until all is learned the old types hold: what comes meanwhile, of a subscription that outlived its session, was
        sent by the same program.

        Raises:
            SourceLost: there was no answer, or none that can be understood.
        """
        await self._ask_about(self._items.spreads)
        self._items.types.become(self._taught)

    async def learn_unknown(self, *, once_more: bool) -> bytes:
        """Learns the types that were met since and not known.

        Args:
            once_more: ask also about those that the server was asked about before and did not describe.

        Returns:
            The body of a notification with the values that are to be decoded again; empty where nothing was learned.

        Raises:
            SourceLost: there was no answer, or none that can be understood.
        """
        unknown = self._items.types.unknown
        if not unknown:
            return b""
        # A tag that was refused when the session began was not asked for its type.
        await self._ask_about(set().union(*unknown.values()) - self._asked)
        if once_more:
            self._teacher.hope()
        await self._teacher.learn_encodings(unknown)
        again = self._items.types.become(self._taught)
        if not again:
            return b""
        found = await self._places.find(again)
        doing = f"reading {many(len(found), 'variable')} again"
        return notification(await values_of(self._session, found, doing=doing))

    async def _ask_about(self, handles: Collection[int]) -> None:
        """Learns what the variables of these tags are declared to hold, or hold now."""
        found = await self._places.find(handles)
        nodes = {handle: node for handle, node in found.items() if not isinstance(node, int)}
        self._asked.update(nodes)
        await self._teacher.learn_variables([*nodes.values()])
