"""Where a device's variables are at its server right now: node ids as they stand, and browse paths looked up.

Asked anew in each session, and for refused tags each time they are tried again: a program that was loaded meanwhile
may have brought a node, or other ids for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary

from adapters.opcua.ask import as_many, in_parts, or_lost
from adapters.opcua.failures import status_name
from adapters.opcua.nodes import NodeAddress
from adapters.opcua.paths import BrowsePath, Place
from adapters.opcua.session import Session
from adapters.opcua.targets import here
from adapters.opcua.wire import DAMAGE, Malformed, count
from gateway.config.words import many

__all__ = ["Found", "Places", "node_id"]

Found: TypeAlias = "ua.NodeId | int"
"""A node's id, or the StatusCode that says why there is none."""

_PATHS_PER_REQUEST: Final = 500
_LEAST_RESULT_BYTES: Final = 8
_WHOLE_PATH: Final = 0xFFFFFFFF
_ROOT: Final = ua.NodeId(ua.ObjectIds.RootFolder)
_HIERARCHICAL: Final = ua.NodeId(ua.ObjectIds.HierarchicalReferences)
_UNKNOWN: Final = int(ua.StatusCodes.BadNodeIdUnknown)
_NO_MATCH: Final = int(ua.StatusCodes.BadNoMatch)
_TOO_MANY: Final = int(ua.StatusCodes.BadTooManyMatches)


class Places:
    """The variables of one device.

    Args:
        session: where to ask.
        places: as the configuration says them, by handle.
    """

    def __init__(self, session: Session, places: Sequence[Place]) -> None:
        self._session = session
        self._places = places

    async def find(self, handles: Iterable[int], namespaces: Sequence[str]) -> dict[int, Found]:
        """Where these variables are now.

        Args:
            handles: which of them.
            namespaces: the server's namespace URIs by index.

        Raises:
            SourceLost: there was no answer, or none that can be understood.
        """
        found: dict[int, Found] = {}
        paths: dict[int, ua.BrowsePath] = {}
        for handle in handles:
            place = self._places[handle]
            if isinstance(place, NodeAddress):
                node = node_id(place, namespaces)
                found[handle] = _UNKNOWN if node is None else node
            else:
                path = _browse_path(place, namespaces)
                found[handle] = _NO_MATCH
                if path is not None:
                    paths[handle] = path
        answers = await self._translate([*paths.values()], namespaces)
        return found | dict(zip(paths, answers, strict=True))

    async def one(self, handle: int, namespaces: Sequence[str], *, doing: str, advice: str) -> ua.NodeId:
        """Where one variable is now.

        Args:
            handle: which.
            namespaces: the server's namespace URIs by index.
            doing: what this is for, as an error would say it.
            advice: what the error ends with.

        Raises:
            SourceLost: there was no answer, or none that can be understood.
            TidegateError: it is not there.
        """
        found = (await self.find([handle], namespaces))[handle]
        if not isinstance(found, int):
            return found
        unknown = _unknown_namespace(self._places[handle], namespaces)
        if unknown is not None:
            raise self._session.refused(doing, f"the server does not know the namespace {unknown}; {advice}")
        raise self._session.refused(doing, f"the server has no such node ({status_name(found)}); {advice}")

    async def _translate(self, paths: Sequence[ua.BrowsePath], namespaces: Sequence[str]) -> list[Found]:
        async def ask(part: Sequence[ua.BrowsePath]) -> list[Found]:
            request = ua.TranslateBrowsePathsToNodeIdsRequest()
            request.Parameters.BrowsePaths = list(part)
            results = as_many(_results(await self._session.call(request)), part)
            return [_found(result, namespaces) for result in results]

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
        element.ReferenceTypeId = _HIERARCHICAL
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


def _results(body: bytes) -> list[ua.BrowsePathResult]:
    try:
        number, at = count(body, 0, _LEAST_RESULT_BYTES)
    except DAMAGE as error:
        raise Malformed(f"answer to browse paths of {len(body)} bytes: {error}") from None
    rest = Buffer(body[at:])
    return [struct_from_binary(ua.BrowsePathResult, rest) for _ in range(number)]
