"""Reading tags at an interval, where the server cannot monitor them.

A round reads in requests that the server takes and gives the bodies of notifications, so that what was polled becomes
readings by the rules of the subscription. Only what has changed, value or status, is in them: as with a subscription.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from asyncua import ua

from adapters.opcua.places import Places
from adapters.opcua.read import read
from adapters.opcua.session import Session
from adapters.opcua.wire import DAMAGE, U32, skip_variant
from gateway.config.words import many

__all__ = ["Poller"]

_VALUE: Final = 0x01
_STATUS: Final = 0x02
_STATUS_BYTES: Final = 4


class Poller:
    """Polls over one session.

    Args:
        session: where to ask.
        places: where each tag is, by handle.
        namespaces: the server's namespace URIs, by index.
    """

    def __init__(self, session: Session, places: Places, namespaces: Sequence[str]) -> None:
        self._session = session
        self._places = places
        self.namespaces = namespaces
        self._last: dict[int, bytes] = {}

    async def round(self, handles: Iterable[int]) -> bytes:
        """Reads these tags once: the body of a data-change notification of those that have changed.

        Raises:
            SourceLost: the server does not answer.
        """
        found = await self._places.find(handles, self.namespaces)
        wanted = [(handle, node) for handle, node in found.items() if not isinstance(node, int)]
        if not wanted:
            return U32.pack(0)
        values = await read(
            self._session,
            [(node, ua.AttributeIds.Value) for _, node in wanted],
            doing=f"reading {many(len(wanted), 'tag')} that cannot be monitored",
        )
        changed: list[bytes] = []
        for (handle, _), value in zip(wanted, values, strict=True):
            content = content_of(value)
            if self._last.get(handle) != content:
                self._last[handle] = content
                changed += (U32.pack(handle), value)
        return U32.pack(len(changed) // 2) + b"".join(changed)


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
