"""Reading tags at an interval, where the server cannot monitor them.

A round reads in requests that the server takes and gives the bodies of notifications, so that what was polled becomes
readings by the rules of the subscription. Only what has changed, value or status, is in them: as with a subscription.
A tag that is not there any more has changed too: it becomes bad, and is looked for again in each round.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from asyncua import ua

from adapters.opcua.places import Places
from adapters.opcua.read import attribute, notification, values_of
from adapters.opcua.session import Session, time_ns
from adapters.opcua.wire import DAMAGE, U32, skip_variant
from gateway.config.words import many

__all__ = ["Poller", "Round"]

_CLOCK: Final = -1
_TIME: Final = ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime)
_VALUE: Final = 0x01
_STATUS: Final = 0x02
_STATUS_BYTES: Final = 4
_GONE: Final = frozenset(
    {
        ua.StatusCodes.BadNodeIdUnknown,
        ua.StatusCodes.BadNodeIdInvalid,
        ua.StatusCodes.BadNoMatch,
        ua.StatusCodes.BadTooManyMatches,
    }
)
"""What `places` and servers say of a node that is not there."""


class Round(NamedTuple):
    """What one round gave.

    Attributes:
        body: of a data-change notification of the tags that have changed.
        sent_ns: the server's time, UTC ns since 1970; None where it does not tell.
    """

    body: bytes
    sent_ns: int | None


class Poller:
    """Polls over one session.

    Args:
        session: where to ask.
        places: where each tag is, by handle.
    """

    def __init__(self, session: Session, places: Places) -> None:
        self._session = session
        self._places = places
        self._last: dict[int, bytes] = {}

    async def round(self, handles: Iterable[int]) -> Round:
        """Reads these tags once.

        Raises:
            SourceLost: the server does not answer.
        """
        found = await self._places.find(handles)
        doing = f"reading {many(len(found), 'tag')} that cannot be monitored"
        values = await values_of(self._session, {**found, _CLOCK: _TIME}, doing=doing)
        clock = values.pop(_CLOCK)
        contents = {handle: content_of(value) for handle, value in values.items()}
        self._places.forget(handle for handle, content in contents.items() if _is_gone(content))
        changed = {handle: value for handle, value in values.items() if self._last.get(handle) != contents[handle]}
        self._last |= contents
        return Round(notification(changed), time_ns(attribute(clock)))


def _is_gone(content: bytes) -> bool:
    """Whether a value is none because nothing is at its place any more."""
    return bool(content[0] & _STATUS) and U32.unpack(content[-_STATUS_BYTES:])[0] in _GONE


def content_of(data_value: bytes) -> bytes:
    """Value and status of an encoded DataValue, without its times (OPC 10000-6, 5.2.2.17)."""
    mask = data_value[0]
    try:
        end = skip_variant(data_value, 1) if mask & _VALUE else 1
    except DAMAGE:
        return data_value
    if mask & _STATUS:
        end += _STATUS_BYTES
    return bytes((mask & (_VALUE | _STATUS),)) + data_value[1:end]
