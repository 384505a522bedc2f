"""What is remembered of the subscriptions at a server, so that a later session, also of another process, can go on.

Pure: its form as bytes, and the decision what to do about it.

The state is kept once the subscriptions are complete; the mark says, batch by batch, up to which message of each of
them everything is durable. What cannot be read, or is another server's, is not believed: then reading begins anew.
"""

from __future__ import annotations

import enum
import hashlib
import struct
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

__all__ = ["Kept", "Next", "Subscribed", "decide", "fingerprint", "read_kept", "read_mark", "write_mark"]

_VERSION: Final = 1
_EPOCH_BYTES: Final = 8
_MOST: Final = 1e15
_PAIR: Final = struct.Struct("<II")


class Subscribed(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription as the server granted it.

    Attributes:
        id: its number at the server.
        interval_ms: how often the server publishes, in milliseconds.
        sign_of_life_s: longest time between two notifications or keep-alives, in seconds.
        lifetime_s: how long the server keeps it while nobody asks for its messages, in seconds.
    """

    id: int
    interval_ms: float
    sign_of_life_s: float
    lifetime_s: float


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The subscriptions of one device.

    Attributes:
        epoch: says which marks belong to them: ids are given again when a server restarts.
        server: which life of which server they are at; empty where it does not tell.
        layout: fingerprint of all that was asked for.
        subscriptions: in the order of the layout.
        refused: StatusCode of each tag that is not monitored, by handle.
        short: how many tags did not get what was asked for, by what that is.
        complete: whether all items were made. While some are being made nobody knows which of them are there.
        version: of this form.
    """

    epoch: bytes
    server: str
    layout: str
    subscriptions: tuple[Subscribed, ...]
    refused: dict[int, int] = {}
    short: dict[str, int] = {}
    complete: bool = False
    version: int = _VERSION

    def encode(self) -> bytes:
        """As it is kept."""
        return msgspec.msgpack.encode(self)

    @property
    def ids(self) -> list[int]:
        """The subscriptions' ids at the server."""
        return [subscription.id for subscription in self.subscriptions]


class Next(enum.Enum):
    """What to do about subscriptions that are remembered."""

    GO_ON = "take them over"
    DELETE = "take them over to delete them: they are not what is wanted any more"
    FORGET = "nothing: the server that had them is gone"


def read_kept(state: bytes) -> Kept | None:
    """What was kept; None where that is nothing, or cannot be understood."""
    try:
        kept = msgspec.msgpack.decode(state, type=Kept) if state else None
    except (msgspec.DecodeError, UnicodeDecodeError):  # the second one comes of text that is none
        return None
    return kept if kept is not None and _is_sound(kept) else None


def _is_sound(kept: Kept) -> bool:
    """Whether it is of this form, and its numbers are such as a server grants."""
    numbers = [number for one in kept.subscriptions for number in (one.interval_ms, one.sign_of_life_s, one.lifetime_s)]
    return (
        kept.version == _VERSION
        and len(kept.epoch) == _EPOCH_BYTES
        and all(0 <= number < _MOST for number in numbers)
        and all(0 <= one.id < 1 << 32 for one in kept.subscriptions)
    )


def write_mark(epoch: bytes, durable: Mapping[int, int]) -> bytes:
    """A mark.

    Args:
        epoch: of the subscriptions.
        durable: the last message of each, by its id, up to which everything is durable.
    """
    return epoch + b"".join(_PAIR.pack(*pair) for pair in durable.items())


def read_mark(mark: bytes, epoch: bytes) -> dict[int, int]:
    """The last durable message of each subscription, by its id; nothing where the mark is not of this epoch."""
    if mark[:_EPOCH_BYTES] != epoch or (len(mark) - _EPOCH_BYTES) % _PAIR.size:
        return {}
    return dict(_PAIR.iter_unpack(mark[_EPOCH_BYTES:]))


def decide(kept: Kept, *, server: str, layout: str) -> Next:
    """What to do about remembered subscriptions.

    Args:
        kept: what is remembered.
        server: which life of which server answers now.
        layout: fingerprint of what is wanted now.
    """
    if not kept.server or kept.server != server:
        # Ids of an earlier life may be somebody else's now.
        return Next.FORGET
    return Next.GO_ON if kept.complete and kept.layout == layout else Next.DELETE


def fingerprint(parts: Iterable[object]) -> str:
    """A short text that is the same only for the same parts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(part).encode(errors="backslashreplace") + b"\n")
    return digest.hexdigest()[:32]
