"""Where a device's variables are at its server right now: node ids as they stand, and browse paths looked up.

Each is looked up once a session, and again when somebody says that it may have changed: a program that was loaded
meanwhile may have brought a node, or other ids for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from asyncua import ua

from adapters.opcua.ask import as_many, in_parts, or_lost, results_of
from adapters.opcua.browse import HIERARCHICAL
from adapters.opcua.failures import status_name
from adapters.opcua.nodes import NodeAddress
from adapters.opcua.paths import BrowsePath, Place
from adapters.opcua.session import Session
from adapters.opcua.targets import here
from gateway.config.words import many

__all__ = ["Found", "Places", "node_id"]

Found: TypeAlias = "ua.NodeId | int"
"""A node's id, or the StatusCode that says why there is none."""

_PATHS_PER_REQUEST: Final = 500
_LEAST_RESULT_BYTES: Final = 8
_WHOLE_PATH: Final = 0xFFFFFFFF
_ROOT: Final = ua.NodeId(ua.ObjectIds.RootFolder)
_UNKNOWN: Final = int(ua.StatusCodes.BadNodeIdUnknown)
_NO_MATCH: Final = int(ua.StatusCodes.BadNoMatch)
_TOO_MANY: Final = int(ua.StatusCodes.BadTooManyMatches)


class Places:
    """The variables of one device.

    Args:
        session: where to ask.
        places: as the configuration says them, by handle.
        namespaces: the server's namespace URIs by index.
    """

    def __init__(self, session: Session, places: Sequence[Place], namespaces: Sequence[str]) -> None:
        self._session = session
        self._places = places
        self._namespaces = tuple(namespaces)
        self._found: dict[int, Found] = {}

    @property
    def namespaces(self) -> Sequence[str]:
        """The server's namespace URIs by index, as far as is known."""
        return self._namespaces

    def forget(self, handles: Iterable[int]) -> None:
        """Has these looked up again: they may be elsewhere by now."""
        for handle in handles:
            self._found.pop(handle, None)

    def renew(self, namespaces: Sequence[str]) -> None:
        """Takes note of what namespaces the server has now; where these are others, all is looked up again."""
        if self._namespaces != tuple(namespaces):
            self._namespaces = tuple(namespaces)
            self._found.clear()

    async def find(self, handles: Iterable[int]) -> dict[int, Found]:
        """Where these variables are now, in the order asked for.

        Raises:
            SourceLost: there was no answer, or none that can be understood.
        """
        namespaces = self._namespaces
        found: dict[int, Found] = {}
        paths: dict[int, ua.BrowsePath] = {}
        for handle in handles:
            place = self._places[handle]
            found[handle] = _NO_MATCH
            if handle in self._found:
                found[handle] = self._found[handle]
            elif isinstance(place, NodeAddress):
                node = node_id(place, self._namespaces)
                found[handle] = _UNKNOWN if node is None else node
            elif (path := _browse_path(place, self._namespaces)) is not None:
                paths[handle] = path
        if paths:
            found |= dict(zip(paths, await self._translate([*paths.values()]), strict=True))
        if self._namespaces is namespaces:  # else it is known by now that this may be wrong
            self._found |= found
        return found

    async def one(self, handle: int, *, doing: str, advice: str) -> ua.NodeId:
        """Where one variable is now.

        Args:
            handle: which.
            doing: what this is for, as an error would say it.
            advice: what the error ends with.

        Raises:
            SourceLost: there was no answer, or none that can be understood.
            TidegateError: it is not there.
        """
        found = (await self.find([handle]))[handle]
        if not isinstance(found, int):
            return found
        unknown = _unknown_namespace(self._places[handle], self._namespaces)
        if unknown is not None:
            raise self._session.refused(doing, f"the server does not know the namespace {unknown}; {advice}")
        raise self._session.refused(doing, f"the server has no such node ({status_name(found)}); {advice}")

    async def _translate(self, paths: Sequence[ua.BrowsePath]) -> list[Found]:
        async def ask(part: Sequence[ua.BrowsePath]) -> list[Found]:
            request = ua.TranslateBrowsePathsToNodeIdsRequest()
            request.Parameters.BrowsePaths = list(part)
            results = results_of(await self._session.call(request), ua.BrowsePathResult, _LEAST_RESULT_BYTES)
            return [_found(result, self._namespaces) for result in as_many(results, part)]

        with or_lost(self._session, f"looking up {many(len(paths), 'browse path')}"):
            return await in_parts(paths, _PATHS_PER_REQUEST, ask, lambda code: code)


def node_id(address: NodeAddress, namespaces: Sequence[str]) -> ua.NodeId | None:
    """The node id at this server; None where the server does not know the namespace."""
    if address.uri is None:
        return ua.NodeId(address.identifier, address.namespace)
    if address.uri not in namespaces:
        return None
    return ua.NodeId(address.identifier, namespaces.index(address.uri))


def _unknown_namespace(place: Place, namespaces: Sequence[str]) -> str | None:
    uris = [place.uri] if isinstance(place, NodeAddress) else [step.uri for step in place.steps]
    return next((uri for uri in uris if uri is not None and uri not in namespaces), None)


def _browse_path(path: BrowsePath, namespaces: Sequence[str]) -> ua.BrowsePath | None:
    """The path as the server is asked for it; None where it does not know one of the namespaces."""
    elements = []
    for step in path.steps:
        if step.uri is not None and step.uri not in namespaces:
            return None
        element = ua.RelativePathElement()
        element.ReferenceTypeId = HIERARCHICAL
        element.IsInverse = False
        element.IncludeSubtypes = True
        element.TargetName = ua.QualifiedName(
            step.name, step.namespace if step.uri is None else namespaces.index(step.uri)
        )
        elements.append(element)
    wanted = ua.BrowsePath()
    wanted.StartingNode = _ROOT
    wanted.RelativePath = ua.RelativePath(elements)
    return wanted


def _found(result: ua.BrowsePathResult, namespaces: Sequence[str]) -> Found:
    if result.StatusCode.is_bad():
        return int(result.StatusCode.value)
    whole = [target.TargetId for target in result.Targets or () if target.RemainingPathIndex == _WHOLE_PATH]
    nodes = {node.to_string(): node for target in whole if (node := here(target, namespaces)) is not None}
    if len(nodes) > 1:
        return _TOO_MANY  # which of them is meant, nobody can say
    return next(iter(nodes.values()), _NO_MATCH)
