"""Looking at a server: its tree level by level, a search through it, and one reading of each tag.

Invariants
- A connection of its own: exploring neither needs a running adapter nor disturbs one.
- Everything is bounded, and what was left out is said: a long level ends with an entry of kind `note`, a search says
  whether it found all there is.
- The tree is a graph, and may have loops: a search looks at each node once.

Meant to live for minutes: a server gives up a session that says nothing for two of them, and the next call then raises
`SourceLost`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from asyncua import ua

from adapters.base import NOWHERE, Node, Site, Survey, Variable
from adapters.opcua.browse import Found, browse
from adapters.opcua.failures import status_name
from adapters.opcua.paths import parse_place
from adapters.opcua.places import Places
from adapters.opcua.plan import items_of
from adapters.opcua.read import as_readings, attribute, read, refusal, values_of
from adapters.opcua.session import Session
from adapters.opcua.settings import OpcuaSettings
from adapters.opcua.shapes import Shapes
from adapters.opcua.survey import MOST_NODES, Walk
from adapters.opcua.targets import OBJECTS, Target, targets
from adapters.opcua.variables import Look, Variables
from gateway.batch import Reading
from gateway.config.words import many

__all__ = ["MOST_CHILDREN", "MOST_VISITED", "NOTE", "SEARCH_S", "OpcuaExplorer", "explore"]

MOST_CHILDREN: Final = 5_000
"""Nodes of one level that are listed."""
MOST_VISITED: Final = 20_000
"""Nodes that one search looks at."""
SEARCH_S: Final = 10.0
"""Time after which a search asks no more, in seconds."""
NOTE: Final = "note"
"""Kind of an entry that is no node, but says what is missing from a list."""

_BROWSED_TOGETHER: Final = 50
_HIGHEST: Final = 50
"""Levels that are climbed to find out where a node is."""
_MOST_PARENTS: Final = 20
_MOST_PATHS: Final = 50_000
_ROOT: Final = "Objects"
_NOTHING: Final = Look("", "", writable=False)


@asynccontextmanager
async def explore(settings: OpcuaSettings, site: Site = NOWHERE) -> AsyncIterator[OpcuaExplorer]:
    """A connection to look at a server with.

    Args:
        settings: the device, checked; its tags matter to `read` only.
        site: where the certificates are, for a device that is secured.

    Raises:
        SourceLost: the server cannot be reached or does not let us in.
    """
    session = Session(settings, site)
    try:
        await session.open()
        limits = await session.limits()
        yield OpcuaExplorer(settings, session, limits.namespaces)
    finally:
        await session.close()


class OpcuaExplorer:
    """Looks at one server over an open session.

    Args:
        settings: the device, checked.
        session: where to ask.
        namespaces: the server's namespace URIs by index.
        clock: monotonic seconds.
        now_ns: UTC nanoseconds since 1970.
    """

    def __init__(
        self,
        settings: OpcuaSettings,
        session: Session,
        namespaces: Sequence[str],
        *,
        clock: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._settings = settings
        self._session = session
        self._namespaces = namespaces
        self._clock = clock
        self._now_ns = now_ns
        self._variables = Variables(session, namespaces)
        self._paths = {OBJECTS.to_string(): _ROOT}

    async def browse(self, node: str | None) -> list[Node]:
        """What is right below a node, as the server orders it.

        Args:
            node: its id; None is the Objects folder.

        Returns:
            At most `MOST_CHILDREN` nodes, and an entry of kind `NOTE` behind them where there are more.

        Raises:
            SourceLost: the server went away.
            TidegateError: there is no such node, or the server does not show what is below it.
        """
        doing = f"listing what is below {node or _ROOT}"
        parent = await self._find(node, doing)
        (found,) = await browse(self._session, [parent], doing=doing, most=MOST_CHILDREN)
        if found.status:
            raise self._session.refused(doing, f"the server answered {status_name(found.status)}; browse from Objects")
        path = await self._path_of(parent)
        children = [*targets(found.references, self._namespaces)]
        nodes = await self._show([(child, f"{path}/{child.browse_name}") for child in children])
        if not found.complete:
            nodes.append(_note(len(children), path))
        return nodes

    async def search(self, text: str, limit: int) -> tuple[list[Node], bool]:
        """Nodes below Objects with the text in their name, browse name or id, whatever its case; nearest first.

        Args:
            text: what to look for.
            limit: most nodes to return.

        Returns:
            The nodes, and whether they are all: not when there are more than `limit`, more than `MOST_VISITED` to look
            at, more than `MOST_CHILDREN` on a level, or when `SEARCH_S` were not enough.

        Raises:
            SourceLost: the server went away.
        """
        hunt = _Hunt(text, limit)
        ends_s = self._clock() + SEARCH_S
        while (places := hunt.next_places()) and not hunt.over:
            if self._clock() >= ends_s:
                hunt.complete = False
                break
            levels = await browse(
                self._session, [node for node, _ in places], doing=f"searching for {text!r}", most=MOST_CHILDREN
            )
            for (_, path), level in zip(places, levels, strict=True):
                hunt.take(path, level, self._namespaces)
        return await self._show(hunt.found), hunt.complete

    async def read(self) -> list[tuple[str, Reading]]:
        """Every tag of the settings, read once now. A tag's point is its place in the settings, counted from 0.

        Raises:
            SourceLost: the server went away.
        """
        tags = self._settings.tags
        names = [tag.point_names for tag in tags]
        items = items_of(tags, range(sum(map(len, names))))
        places = Places(self._session, [parse_place(tag.node) for tag in tags], self._namespaces)
        await Shapes(self._session, items, places).learn()
        found = await places.find(range(len(tags)))
        values = await values_of(self._session, found, doing=f"reading {many(len(tags), 'tag')}")
        now_ns = self._now_ns()
        return [
            named
            for handle, value in values.items()
            for named in zip(names[handle], as_readings(value, handle, items, now_ns=now_ns), strict=True)
        ]

    async def survey(self, asked: Survey) -> AsyncIterator[list[Variable]]:
        """All variables from a node on, some at a time; the Server object is left out unless it is the root.

        Args:
            asked: what is to be listed.

        Raises:
            SourceLost: the server went away.
            TidegateError: there is no such node, or the server did not show all of it.
        """
        doing = f"listing the variables below {asked.root or _ROOT}"
        root = await self._find(asked.root, doing)
        (answer,) = await read(self._session, [(root, ua.AttributeIds.NodeClass)], doing=doing)
        if code := refusal(answer):
            raise self._session.refused(doing, f"the server answered {status_name(code)}; browse from Objects")
        walk = Walk(self._session, self._namespaces, asked)
        is_variable = attribute(answer) == ua.NodeClass.Variable
        async for some in walk.variables(root, await self._path_of(root), is_variable=is_variable):
            yield some
        if not walk.complete:
            raise self._session.refused(
                doing,
                f"the server did not show all that is there, or there are more than {MOST_NODES} nodes; "
                "list it in parts",
            )

    async def _find(self, node: str | None, doing: str) -> ua.NodeId:
        if node is None:
            return OBJECTS
        try:
            place = parse_place(node)
        except ValueError as error:
            raise self._session.refused(doing, str(error)) from None
        places = Places(self._session, [place], self._namespaces)
        return await places.one(0, doing=doing, advice="browse from Objects")

    async def _show(self, found: Sequence[tuple[Target, str]]) -> list[Node]:
        """The nodes with all that is to be known about them."""
        variables = [target for target, _ in found if target.is_variable]
        looks = iter(await self._variables.look_at([target.node for target in variables]))
        parents = await self._parents(variables)
        nodes: list[Node] = []
        for target, path in found:
            look = next(looks) if target.is_variable else _NOTHING
            children = target.id in parents if target.is_variable else not target.leaf
            nodes.append(
                Node(
                    target.id, target.name, path, target.kind, look.type, look.value, look.writable, children, look.keys
                )
            )
            if children:
                self._remember(target.id, path)
        return nodes

    async def _parents(self, variables: Sequence[Target]) -> set[str]:
        """Those variables that have something below them, or may have."""
        asked = [variable for variable in variables if not variable.leaf]
        levels = await browse(
            self._session,
            [variable.node for variable in asked],
            doing=f"looking below {len(asked)} variables",
            most=1,
        )
        return {variable.id for variable, level in zip(asked, levels, strict=True) if level.references or level.status}

    def _remember(self, node: str, path: str) -> None:
        if len(self._paths) < _MOST_PATHS:
            self._paths[node] = path

    async def _path_of(self, node: ua.NodeId) -> str:
        """The browse names from Objects down to a node; where no way up leads to Objects, as much as there is."""
        known = self._paths.get(node.to_string())
        if known is not None:
            return known
        (answer,) = await read(
            self._session, [(node, ua.AttributeIds.BrowseName)], doing=f"looking for {node.to_string()}"
        )
        name = attribute(answer)
        own = name.Name if isinstance(name, ua.QualifiedName) and name.Name else node.to_string()
        path = await self._climb(node, own)
        self._remember(node.to_string(), path)
        return path

    async def _climb(self, node: ua.NodeId, own: str) -> str:
        seen = {node.to_string()}
        places = [(node, own)]
        for _ in range(_HIGHEST):
            levels = await browse(
                self._session,
                [place for place, _ in places],
                doing=f"looking for {node.to_string()}",
                most=_MOST_PARENTS,
                inverse=True,
            )
            above: list[tuple[ua.NodeId, str]] = []
            for (_, trail), level in zip(places, levels, strict=True):
                for parent in targets(level.references, self._namespaces):
                    known = self._paths.get(parent.id)
                    if known is not None:
                        return f"{known}/{trail}"
                    if parent.id not in seen:
                        seen.add(parent.id)
                        above.append((parent.node, f"{parent.browse_name}/{trail}"))
            places = above[:_MOST_PARENTS]
            if not places:
                break
        return own


class _Hunt:
    """The bookkeeping of one search, without any input or output.

    Objects are looked into before variables: what is below a variable is seldom what is looked for, and every variable
    costs as much to look into as a folder.

    Args:
        text: what to look for.
        limit: most nodes to find.
    """

    def __init__(self, text: str, limit: int) -> None:
        self.found: list[tuple[Target, str]] = []
        self.complete = True
        self.over = False
        self._text = text.casefold()
        self._limit = limit
        self._seen = {OBJECTS.to_string()}
        self._objects: deque[tuple[ua.NodeId, str]] = deque([(OBJECTS, _ROOT)])
        self._variables: deque[tuple[ua.NodeId, str]] = deque()

    def next_places(self) -> list[tuple[ua.NodeId, str]]:
        """Where to look next, as nodes and their paths; empty when there is nowhere left."""
        waiting = self._objects or self._variables
        return [waiting.popleft() for _ in range(min(_BROWSED_TOGETHER, len(waiting)))]

    def take(self, path: str, level: Found, namespaces: Sequence[str]) -> None:
        """Looks at what is below one place."""
        self.complete &= level.complete
        for target in targets(level.references, namespaces):
            if self.over:
                return
            if target.id not in self._seen:
                self._look_at(target, f"{path}/{target.browse_name}")

    def _look_at(self, target: Target, path: str) -> None:
        matches = any(self._text in name.casefold() for name in (target.name, target.browse_name, target.id))
        if len(self._seen) > MOST_VISITED or (matches and len(self.found) >= self._limit):
            self.over = True
            self.complete = False
            return
        self._seen.add(target.id)
        if matches:
            self.found.append((target, path))
        if not target.leaf:
            (self._variables if target.is_variable else self._objects).append((target.node, path))


def _note(shown: int, path: str) -> Node:
    text = f"only the first {shown} are shown; search for the others by name"
    return Node("", text, path, NOTE, "", "", writable=False, children=False)
