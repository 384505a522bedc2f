"""A tap on the line to the broker: which messages the broker has acknowledged, whatever becomes of it afterwards.

A broker that is killed forgets messages which it has acknowledged and not delivered. That is its own loss; what counts
here is that the gateway gave it everything. MQTT 5 only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from tests.bad_line import BadLine

__all__ = ["Tap", "TappedLine"]

PUBLISH = 3
PUBACK = 4
REFUSED = 0x80


class Tap:
    """One connection.

    Args:
        taken: called with the payload of each message that the broker has acknowledged.
    """

    def __init__(self, taken: Callable[[bytes], None]) -> None:
        self._taken = taken
        self._rest = {False: b"", True: b""}
        self._waiting: dict[int, bytes] = {}

    def feed(self, piece: bytes, *, from_broker: bool) -> None:
        """Takes the next bytes of one direction."""
        data = self._rest[from_broker] + piece
        at = 0
        while (packet := _packet(data, at)) is not None:
            kind, body, at = packet
            if from_broker and kind >> 4 == PUBACK:
                payload = self._waiting.pop(int.from_bytes(body[:2], "big"), None)
                if payload is not None and (len(body) < 3 or body[2] < REFUSED):
                    self._taken(payload)
            elif not from_broker and kind >> 4 == PUBLISH and kind & 6:
                after_topic = 2 + int.from_bytes(body[:2], "big")
                size, start = _varint(body, after_topic + 2) or (0, len(body))
                self._waiting[int.from_bytes(body[after_topic : after_topic + 2], "big")] = body[start + size :]
        self._rest[from_broker] = data[at:]


class TappedLine(BadLine):
    """A line of which each connection is tapped.

    Args:
        target_port: the broker's.
        taken: see `Tap`.
        delay_s: see `BadLine`.
    """

    def __init__(self, target_port: int, *, taken: Callable[[bytes], None], delay_s: float = 0.0) -> None:
        super().__init__(target_port, delay_s=delay_s)
        self._taken = taken
        self._tap: ContextVar[Tap] = ContextVar("tap")

    async def _join(self, *ends: Any) -> None:
        self._tap.set(Tap(self._taken))  # each connection is a task of its own
        await super()._join(*ends)

    async def _carry(self, source: asyncio.StreamReader, sink: Any, *, from_target: bool) -> None:
        tee: Any = _Tee(sink, self._tap.get(), from_broker=from_target)
        await super()._carry(source, tee, from_target=from_target)


class _Tee:
    """A writer that shows a tap what it writes."""

    def __init__(self, sink: asyncio.StreamWriter, tap: Tap, *, from_broker: bool) -> None:
        self._sink = sink
        self._tap = tap
        self._from_broker = from_broker
        self.drain = sink.drain
        self.write_eof = sink.write_eof

    def write(self, piece: bytes) -> None:
        self._tap.feed(piece, from_broker=self._from_broker)
        self._sink.write(piece)


def _packet(data: bytes, at: int) -> tuple[int, bytes, int] | None:
    """First byte and body of the packet that begins there, and where the next one does; None while it is not whole."""
    found = _varint(data, at + 1)
    if found is None:
        return None
    size, start = found
    return (data[at], data[start : start + size], start + size) if start + size <= len(data) else None


def _varint(data: bytes, at: int) -> tuple[int, int] | None:
    """A variable byte integer (MQTT 5, 1.5.5), and where it ends."""
    value = 0
    for place in range(4):
        if at + place >= len(data):
            return None
        value |= (data[at + place] & 0x7F) << 7 * place
        if data[at + place] < 0x80:
            return value, at + place + 1
    return None
