"""Asking an unknown server about many things at once, in requests that it takes.

Here a failure is `SourceLost`: whoever reads or browses may simply begin anew. Writing may not (`write`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

from asyncua import ua
from asyncua.common.utils import Buffer

from adapters.opcua.binary import read_struct
from adapters.opcua.failures import FAILURES, explain
from adapters.opcua.session import Session
from adapters.opcua.wire import DAMAGE, Malformed, count

__all__ = ["as_many", "in_parts", "or_lost", "results_of"]

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

    What is too much of a request is so for all that follow; what is too much of an answer may be one giant value.

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
    at, size = 0, most
    while at < len(items):
        part = items[at : at + size]
        try:
            results += await ask(part)
        except _TOO_MUCH as error:
            if len(part) > 1:
                size = len(part) // 2
                if not isinstance(error, ua.uaerrors.BadResponseTooLarge):
                    most = size
                continue
            results.append(refused(int(error.code)))
        at += len(part)
        size = min(most, 2 * size)
    return results


def results_of(body: bytes, kind: type[_Result], least_bytes: int) -> list[_Result]:
    """The results that follow the header of a response, one behind the other.

    Args:
        body: what follows the header.
        kind: asyncua's class of one of them.
        least_bytes: what one takes at least.

    Raises:
        one of `failures.FAILURES`: it does not keep the encoding.
    """
    try:
        number, at = count(body, 0, least_bytes)
    except DAMAGE as error:
        raise Malformed(f"response of {len(body)} bytes: {error}") from None
    rest = Buffer(body[at:])
    return [read_struct(kind, rest) for _ in range(number)]


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
