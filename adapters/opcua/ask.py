"""Asking an unknown server about many things at once, in requests that it takes.

Here a failure is `SourceLost`: whoever reads or browses may simply begin anew. Writing may not (`write`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

from asyncua import ua

from adapters.opcua.failures import FAILURES, explain
from adapters.opcua.session import Session

__all__ = ["as_many", "in_parts", "or_lost"]

_TOO_MUCH: Final = (
    ua.uaerrors.BadTooManyOperations,
    ua.uaerrors.BadRequestTooLarge,
    ua.uaerrors.BadResponseTooLarge,
    ua.uaerrors.BadEncodingLimitsExceeded,
)

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


async def in_parts(
    items: Sequence[_Item],
    most: int,
    ask: Callable[[Sequence[_Item]], Awaitable[list[_Result]]],
    refused: Callable[[int], _Result],
) -> list[_Result]:
    """Asks about all items. A request that is too much for the server is halved until it is not.

    Args:
        items: what to ask about.
        most: how many at once, at most.
        ask: sends one request; gives one result an item.
        refused: makes the result, out of a StatusCode, of an item that is too much by itself: one giant value hides
            no other.

    Returns:
        One result an item, in their order.
    """
    results: list[_Result] = []
    waiting = [items[at : at + most] for at in range(0, len(items), most)][::-1]
    while waiting:
        part = waiting.pop()
        try:
            results += await ask(part)
        except _TOO_MUCH as error:
            half = len(part) // 2
            if half:
                waiting += [part[half:], part[:half]]
            else:
                results.append(refused(int(error.code)))
    return results


@contextmanager
def or_lost(session: Session, doing: str) -> Iterator[None]:
    """Says what was tried where a request fails.

    Args:
        session: where it was sent.
        doing: what was tried, such as "reading 5 tags".

    Raises:
        SourceLost: there was no answer, or none that can be understood.
    """
    try:
        yield
    except FAILURES as error:
        raise session.lost(doing, explain(error)) from error


def as_many(results: list[_Result], asked: Sequence[object]) -> list[_Result]:
    """The results, when there is one for each thing asked about.

    Raises:
        ua.UaError: there is not.
    """
    if len(results) != len(asked):
        raise ua.UaError(f"{len(results)} results where {len(asked)} were asked for")
    return results
