"""The Browse and BrowseNext services (OPC 10000-4, 5.9.2, 5.9.3).

Invariants
- What the server holds open for us is given back: each continuation point is used up or released.
- A node that cannot be browsed gets its status as its result, and harms none beside it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple

from asyncua import ua

from adapters.opcua.ask import as_many, in_parts, or_lost, results_of
from adapters.opcua.session import Session

__all__ = ["HIERARCHICAL", "SUBTYPE", "Found", "browse", "browse_on"]

_NODES_PER_REQUEST: Final = 100
_REFERENCES_PER_ANSWER: Final = 1_000
_REFERENCES_TOGETHER: Final = 5_000
"""References of all nodes of one request, where any number of them may come: what one answer takes in memory."""
_POINTS_PER_REQUEST: Final = 10
_NO_POINTS: Final = int(ua.StatusCodes.BadNoContinuationPoints)
_LEAST_RESULT_BYTES: Final = 12

HIERARCHICAL: Final = ua.NodeId(ua.ObjectIds.HierarchicalReferences)
SUBTYPE: Final = ua.NodeId(ua.ObjectIds.HasSubtype)


class Found(NamedTuple):
    """The references of one node.

    Attributes:
        references: as the server described them.
        complete: whether these are all.
        status: StatusCode of a refusal; 0 where there is none.
    """

    references: tuple[ua.ReferenceDescription, ...]
    complete: bool
    status: int


async def browse(
    session: Session,
    nodes: Sequence[ua.NodeId],
    *,
    doing: str,
    most: int,
    types: ua.NodeId = HIERARCHICAL,
    inverse: bool = False,
) -> list[Found]:
    """Follows the references of nodes: one result each, in the order asked for.

    Args:
        session: where to ask.
        nodes: where to start.
        doing: what this is for, as an error would say it.
        most: of one node no more than so many references.
        types: type of the references; its subtypes count as well.
        inverse: up instead of down.

    Raises:
        SourceLost: there was no answer, or none that can be understood.
    """

    async def ask(part: Sequence[ua.NodeId]) -> list[Found]:
        request = ua.BrowseRequest()
        request.Parameters.RequestedMaxReferencesPerNode = _REFERENCES_PER_ANSWER
        request.Parameters.NodesToBrowse = [_description(node, types, inverse=inverse) for node in part]
        return await _follow(session, as_many(_results(await session.call(request)), part), most)

    with or_lost(session, doing):
        found = await in_parts(nodes, _NODES_PER_REQUEST, ask, _refused)
        for at, one in enumerate(found):
            if one.status == _NO_POINTS:
                # Others of the same request had taken them all; by now these are free again.
                (found[at],) = await ask([nodes[at]])
        return found


async def browse_on(
    session: Session, nodes: Sequence[ua.NodeId], *, most: int
) -> AsyncIterator[tuple[int, Sequence[ua.ReferenceDescription], bool]]:
    """Follows what is below nodes, however much that is, and holds no more than one answer of it.

    Args:
        session: where to ask.
        nodes: where to start.
        most: nodes in one request.

    Yields:
        Index of a node, references below it, and whether these are right: not when the server refuses some.

    Raises:
        one of `failures.FAILURES`: there was no answer, or none that can be understood.
    """

    async def ask(part: Sequence[ua.NodeId]) -> list[ua.BrowseResult]:
        request = ua.BrowseRequest()
        request.Parameters.RequestedMaxReferencesPerNode = max(1, _REFERENCES_TOGETHER // len(part))
        request.Parameters.NodesToBrowse = [_description(node, HIERARCHICAL, inverse=False) for node in part]
        return as_many(_results(await session.call(request)), part)

    points: dict[int, bytes] = {}
    try:
        results = await in_parts(nodes, most, ask, lambda code: ua.BrowseResult(StatusCode=ua.StatusCode(code)))
        again = [at for at, result in enumerate(results) if int(result.StatusCode.value) == _NO_POINTS]
        points = {at: result.ContinuationPoint for at, result in enumerate(results) if result.ContinuationPoint}
        for at, result in enumerate(results):
            if at not in again:
                yield at, result.References, not result.StatusCode.is_bad()
        del results
        while points or again:
            if not points:
                at = again.pop(0)
                (one,) = await ask([nodes[at]])
                asked, answers = [at], [one]
            else:
                asked = [*points][:_POINTS_PER_REQUEST]
                answers = as_many(await _next(session, [points.pop(at) for at in asked], release=False), asked)
            for at, answer in zip(asked, answers, strict=True):
                if answer.ContinuationPoint and answer.References:
                    points[at] = answer.ContinuationPoint
                broken = answer.StatusCode.is_bad() or (answer.ContinuationPoint and not answer.References)
                yield at, answer.References, not broken
    finally:
        if points and session.connected:
            await _next(session, [*points.values()], release=True)


async def _follow(session: Session, results: Sequence[ua.BrowseResult], most: int) -> list[Found]:
    """Gets the rest of each list, up to `most`, and gives back what is not wanted."""
    gathered = [[*result.References] for result in results]
    complete = [not result.StatusCode.is_bad() for result in results]
    points = {at: result.ContinuationPoint for at, result in enumerate(results) if result.ContinuationPoint}
    while points:
        asked = [*points][:_POINTS_PER_REQUEST]
        wanted = [at for at in asked if len(gathered[at]) < most]
        if not wanted:
            for at in asked:
                complete[at] = False
            await _next(session, [points.pop(at) for at in asked], release=True)
            continue
        answers = as_many(await _next(session, [points.pop(at) for at in wanted], release=False), wanted)
        for at, answer in zip(wanted, answers, strict=True):
            gathered[at] += answer.References
            if answer.ContinuationPoint and answer.References:
                points[at] = answer.ContinuationPoint
            elif answer.ContinuationPoint or answer.StatusCode.is_bad():
                # More is promised and nothing comes, or the rest is refused: what came before stays good.
                complete[at] = False
    return [
        Found(
            tuple(references[:most]),
            whole and len(references) <= most,
            int(result.StatusCode.value) if result.StatusCode.is_bad() else 0,
        )
        for references, whole, result in zip(gathered, complete, results, strict=True)
    ]


async def _next(session: Session, points: Sequence[bytes], *, release: bool) -> list[ua.BrowseResult]:
    request = ua.BrowseNextRequest()
    request.Parameters.ReleaseContinuationPoints = release
    request.Parameters.ContinuationPoints = list(points)
    return _results(await session.call(request))


def _description(node: ua.NodeId, types: ua.NodeId, *, inverse: bool) -> ua.BrowseDescription:
    description = ua.BrowseDescription()
    description.NodeId = node
    description.BrowseDirection = ua.BrowseDirection.Inverse if inverse else ua.BrowseDirection.Forward
    description.ReferenceTypeId = types
    description.IncludeSubtypes = True
    description.ResultMask = ua.BrowseResultMask.TargetInfo
    return description


def _refused(code: int) -> Found:
    return Found((), complete=False, status=code)


def _results(body: bytes) -> list[ua.BrowseResult]:
    return results_of(body, ua.BrowseResult, _LEAST_RESULT_BYTES)
