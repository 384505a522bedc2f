"""Notification messages as they come in publish and republish responses (OPC 10000-4, 5.14.5, 5.14.6, 7.26).

The bodies inside are handed on raw: a data change is decoded whole (`decode`), and one odd value in it cannot spoil
the message around it.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from adapters.opcua.values import TICKS_1970
from adapters.opcua.wire import DAMAGE, U32, Malformed, count, extension_object

__all__ = ["Message", "ns_since_1970", "read_message", "read_publish_result"]

_I64: Final = struct.Struct("<q")
_DATA_CHANGE: Final = 811
_STATUS_CHANGE: Final = 820
"""Numbers of the binary encodings of DataChangeNotification and StatusChangeNotification."""


class Message(NamedTuple):
    """One notification message.

    Attributes:
        number: its sequence number; of a keep-alive, the number that the next message will have.
        is_keep_alive: it carries nothing and is not to be acknowledged.
        changes: bodies of its data-change notifications.
        status: StatusCode of the subscription, where the message says that it changed.
        sent_ns: when it was first sent, by the server's clock, UTC ns since 1970; None where the server does not say.
    """

    number: int
    is_keep_alive: bool
    changes: tuple[bytes, ...]
    status: int | None
    sent_ns: int | None = None


def read_publish_result(body: bytes) -> tuple[int, Message]:
    """Reads what follows the header of a PublishResponse.

    Returns:
        Subscription id and message.

    Raises:
        Malformed: it does not keep the encoding.
    """
    try:
        subscription = U32.unpack_from(body, 0)[0]
        available, at = count(body, 4, 4)
        # The numbers available for republishing are not used: asking is simpler, and right with servers that leave
        # the list empty. One byte follows them, saying whether more notifications wait.
        return subscription, _message(body, at + 4 * available + 1)
    except DAMAGE as error:
        raise Malformed(f"publish response of {len(body)} bytes: {error}") from None


def read_message(body: bytes) -> Message:
    """Reads what follows the header of a RepublishResponse.

    Raises:
        Malformed: it does not keep the encoding.
    """
    try:
        return _message(body, 0)
    except DAMAGE as error:
        raise Malformed(f"republish response of {len(body)} bytes: {error}") from None


def _message(body: bytes, at: int) -> Message:
    number = U32.unpack_from(body, at)[0]
    ticks = _I64.unpack_from(body, at + 4)[0]
    parts, at = count(body, at + 12, 3)  # behind the number and the publish time
    changes: list[bytes] = []
    status = None
    for _ in range(parts):
        type_id, content, at = extension_object(body, at)
        if type_id == _DATA_CHANGE:
            changes.append(content)
        elif type_id == _STATUS_CHANGE:
            status = U32.unpack_from(content, 0)[0]
    return Message(number, not parts, tuple(changes), status, ns_since_1970(ticks))


def ns_since_1970(ticks: int) -> int | None:
    """A DateTime as UTC ns since 1970; None for a time before that, which is what a clock that was never set says."""
    return (ticks - TICKS_1970) * 100 if ticks >= TICKS_1970 else None
