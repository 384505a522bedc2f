"""Gaps to the broker: rows of the spool's gap ledger, one message each, to a topic of their own.

    {"gateway", "number", "device", "tag", "group", "from", "to", "readings", "cause"}

- `from` and `to` are milliseconds since 1970, as `ts` is. `device`, `tag` and `group` are null where the gap is not one
  device's, tag's or group's alone; `readings` is null where nobody knows how many are missing.
- One message is under way at a time, so that gaps never take the window from the readings. A row is told again in each
  connection until its PUBACK was noted; it then says the same under the same number.
- A broker that refuses the topic is left alone for a while, as with a device's (`holds`), and over connections.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from msgspec import Struct
from msgspec.json import Encoder

from gateway.errors import SpoolError
from gateway.gap import Gap
from gateway.uplink.holds import Holds
from gateway.uplink.topics import Topics

__all__ = ["GapTraffic", "Ledger", "gap_message"]

_INTERVAL_S: Final = 1.0
_MOST_TAKEN: Final = 50
_NS_PER_MS: Final = 1_000_000
_encode = Encoder().encode


class _Entry(Protocol):
    @property
    def number(self) -> int: ...
    @property
    def gap(self) -> Gap: ...


class Ledger(Protocol):
    """What the uplink needs of the gap ledger."""

    def due(self, but: Collection[int] = ()) -> bool:
        """Whether there is something to tell, beside these numbers."""

    async def take(self, limit: int, but: Collection[int] = ()) -> Sequence[_Entry]:
        """What is to be told now, beside these numbers. It never changes from then on.

        Raises:
            SpoolError: the disk refuses.
        """

    async def told(self, numbers: Iterable[int]) -> None:
        """The broker has these.

        Raises:
            SpoolError: the disk refuses; it may be called again.
        """


class _Payload(Struct, rename={"from_": "from"}):
    gateway: str
    number: int
    device: str | None
    tag: str | None
    group: str | None
    from_: int | float
    to: int | float
    readings: int | None
    cause: str


def gap_message(gateway_id: str, number: int, gap: Gap) -> bytes:
    """The payload that tells of a gap."""
    return _encode(
        _Payload(
            gateway=gateway_id,
            number=number,
            device=gap.device or None,
            tag=gap.tag,
            group=gap.group,
            from_=_milliseconds(gap.from_ns),
            to=_milliseconds(gap.to_ns),
            readings=gap.readings,
            cause=gap.cause,
        )
    )


class GapTraffic:
    """The gaps of one connection.

    Args:
        ledger: where they stand.
        gateway_id: name of this gateway.
        topics: where they go.
        holds: topics and devices that the broker refuses.
        clock: seconds of a steady clock.
        wake_sender: called when there is a message to send.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        gateway_id: str,
        topics: Topics,
        holds: Holds,
        clock: Callable[[], float],
        wake_sender: Callable[[], None],
    ) -> None:
        self.topic = topics.gaps
        self.sent_at_s: float | None = None
        """When the message that is under way was handed over; None where none is."""
        self._ledger = ledger
        self._gateway_id = gateway_id
        self._holds = holds
        self._clock = clock
        self._wake_sender = wake_sender
        self._ready: deque[_Entry] = deque()
        self._in_flight: tuple[int, int] | None = None
        self._accepted: list[int] = []
        self._idle = asyncio.Event()

    async def run(self) -> None:
        """Finds what is to be told, and notes what was, until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL_S)
            try:
                while await self._tell_some():
                    pass
            except SpoolError:
                continue  # The commits meet the same trouble, and say so.

    async def landed(self) -> None:
        """Notes what was told; for the end, when `run` no longer does."""
        with suppress(SpoolError):  # then it is told once more
            await self._note()

    def next_payload(self) -> bytes | None:
        """The next message; None while one is under way, or there is none."""
        if self._in_flight is not None or not self._ready:
            return None
        entry = self._ready[0]
        return gap_message(self._gateway_id, entry.number, entry.gap)

    def sent(self, packet_id: int) -> None:
        """The next message was handed over."""
        self._in_flight = (packet_id, self._ready.popleft().number)
        self.sent_at_s = self._clock()

    def answered(self, packet_id: int, refusal: str) -> bool:
        """Takes a PUBACK; whether it was one of ours.

        Args:
            packet_id: of which message.
            refusal: what the broker says against it; empty where it took it.
        """
        if self._in_flight is None or self._in_flight[0] != packet_id:
            return False
        number = self._in_flight[1]
        self._in_flight = self.sent_at_s = None
        if refusal:
            self.refused(refusal)
        else:
            self._accepted.append(number)
            self._holds.accepted(self.topic)
            if not self._ready:
                self._idle.set()
        return True

    def refused(self, reason: str) -> None:
        """The broker takes no gaps for now; those that were not sent are taken from the ledger again later."""
        self._holds.refused(self.topic, reason=reason, now_s=self._clock())
        self._ready.clear()
        self._idle.set()

    async def _tell_some(self) -> bool:
        """Tells some; whether there may be more."""
        await self._note()
        if self.topic in self._holds or not self._ledger.due():
            return False
        self._ready.extend(await self._ledger.take(_MOST_TAKEN))
        if self._ready:
            self._idle.clear()
            self._wake_sender()
            await self._idle.wait()
            await self._note()
        return self.topic not in self._holds

    async def _note(self) -> None:
        accepted = [*self._accepted]
        if accepted:
            await self._ledger.told(accepted)
        del self._accepted[: len(accepted)]


def _milliseconds(ns: int) -> int | float:
    return ns / _NS_PER_MS if ns % _NS_PER_MS else ns // _NS_PER_MS
