"""Sends the batches of a carried file, oldest first, with a window of messages that the broker has not answered yet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from msgspec import structs
from paho.mqtt.reasoncodes import ReasonCode

from gateway import __version__
from gateway.batch import Batch
from gateway.config.models import UplinkSettings
from gateway.errors import UplinkError
from gateway.spool.carry.reader import CarryReader
from gateway.spool.rows import Row
from gateway.together import until_one_ends
from gateway.uplink.contract import Message
from gateway.uplink.forward.progress import Progress, Ranges
from gateway.uplink.json_format import JsonFormat
from gateway.uplink.packets import too_large
from gateway.uplink.rate import TokenBucket, burst_of
from gateway.uplink.session import Session, client_id
from gateway.uplink.topics import Topics
from gateway.uplink.troubles import refusal
from gateway.uplink.window import Delivery, Flight, Window

__all__ = ["Forwarded", "Planned", "forward", "plan"]

_LEAVING_S: Final = 2.0
_CAREFUL_ROWS: Final = 100
_PAUSE_S: Final = 0.5
_BREATH_ROWS: Final = 16
"""Rows handed over between two turns of the event loop, at which the broker's answers are taken."""


@dataclass(slots=True)
class Forwarded:
    """What came of it.

    Attributes:
        batches: acknowledged by the broker, in this run.
        readings: their readings.
        skipped: batches that it had already.
        refused: why, by device, the broker does not take it.
        refused_readings: readings that it did not take, or that were not offered to it any more.
    """

    batches: int = 0
    readings: int = 0
    skipped: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    refused_readings: int = 0


@dataclass(slots=True)
class Planned:
    """What would be sent to one topic.

    Attributes:
        batches: batches.
        readings: their readings.
        first_ns: source time of the oldest reading, UTC ns.
        last_ns: of the newest.
    """

    batches: int = 0
    readings: int = 0
    first_ns: int = (1 << 63) - 1
    last_ns: int = -(1 << 63)

    def add(self, batch: Batch) -> None:
        """One more batch."""
        times = batch.ts_ns()
        self.batches += 1
        self.readings += len(batch)
        self.first_ns = min(self.first_ns, *times)
        self.last_ns = max(self.last_ns, *times)

    def told(self) -> dict[str, Any]:
        """The same as plain data; times in seconds since 1970."""
        span = {"first_at": self.first_ns / 1e9, "last_at": self.last_ns / 1e9}
        return {"batches": self.batches, "readings": self.readings, **span}


def plan(carried: CarryReader, delivered: Ranges) -> dict[str, Planned]:
    """What would be sent, by topic.

    Args:
        carried: the file.
        delivered: numbers that the broker has.
    """
    topics = Topics(carried.header.topic, gateway_id=carried.header.gateway)
    planned: dict[str, Planned] = {}
    for row in carried.rows():
        if row.seq not in delivered:
            planned.setdefault(topics.data(row.device), Planned()).add(row.batch)
    return planned


async def forward(
    carried: CarryReader,
    settings: UplinkSettings,
    *,
    progress: Progress,
    rate: float,
    clock: Callable[[], float] = time.monotonic,
) -> Forwarded:
    """Sends what the broker has not got yet. Ends when all of it was answered.

    Args:
        carried: the file.
        settings: the broker and how to speak to it. Topics and messages are as the file says.
        progress: what this broker has; it is kept up to date.
        rate: most readings a second.
        clock: seconds of a steady clock.

    Raises:
        UplinkError: the broker cannot be reached, refused us, or went away; what it acknowledged is noted.
        SpoolError: the file cannot be read any more.
    """
    return await _Forwarder(carried, settings, progress, rate, clock).run()


class _Forwarder:
    def __init__(
        self,
        carried: CarryReader,
        settings: UplinkSettings,
        progress: Progress,
        rate: float,
        clock: Callable[[], float],
    ) -> None:
        self._carried = carried
        self._progress = progress
        self._had_before = progress.delivered.copy()
        self._clock = clock
        self._bucket = TokenBucket(rate=rate, burst=burst_of(rate), now_s=clock())
        self._answer = asyncio.Event()
        self._careful_rows = 0
        self._befores: dict[int, int] = {}
        self._done = Forwarded()
        self._settings = settings
        self._topics = Topics(carried.header.topic, gateway_id=carried.header.gateway)

    async def run(self) -> Forwarded:
        while True:
            before = (self._done.batches, len(self._done.refused))
            try:
                await self._connection()
                return self._done
            except UplinkError:
                # Some brokers end the connection with a refusal, and of many messages under way it is not even told
                # which one that was. So the next ones go one by one, until it is clear; and where that is no better,
                # there is something else in the way.
                if self._careful_rows and before == (self._done.batches, len(self._done.refused)):
                    raise
                self._careful_rows = _CAREFUL_ROWS
            finally:
                self._progress.save()
            await asyncio.sleep(_PAUSE_S)

    async def _connection(self) -> None:
        """Sends all that is due and not refused, over one connection."""
        self._had = self._progress.delivered.copy()
        self._befores.clear()
        self._done.refused_readings = 0
        self._session = self._new_session()
        try:
            await self._session.open()
            self._window = Window(self._session.window)
            await until_one_ends(
                "forward",
                lost=self._session.lost(),
                send=self._send(),
                silence=self._session.silent(lambda: self._window.oldest_s, clock=self._clock),
            )
            await self._session.leave(_LEAVING_S)
        finally:
            await self._session.close()

    def _new_session(self) -> Session:
        gateway = self._carried.header.gateway
        own_id = client_id(self._settings, gateway_id=gateway)
        return Session(
            structs.replace(self._settings, client_id=f"{own_id}-carried"),
            gateway_id=gateway,
            version=__version__,
            topics=self._topics,
            now_ns=time.time_ns,
            on_answer=self._answered,
            stands_for_gateway=False,
        )

    async def _send(self) -> None:
        header = self._carried.header
        fmt = JsonFormat(
            gateway_id=header.gateway,
            topics=self._topics,
            points=self._carried.points,
            max_payload_bytes=header.max_message_bytes,
            max_packet_bytes=self._session.maximum_packet_bytes,
        )
        rows = self._due()
        while some := await _next(rows):
            for row, before in some:
                await self._bucket.pace(row.readings, self._clock)
                await self._deliver(row, before, fmt)
                self._progress.save_if_due()
        while len(self._window):
            await self._wait()

    def _due(self) -> Iterator[tuple[Row, int]]:
        """What the broker has not got, each with the number of the batch before it in the file."""
        before = skipped = 0
        for row in self._carried.rows():
            if row.seq not in self._had:
                yield row, before
            skipped += row.seq in self._had_before
            before = row.seq
        self._done.skipped = skipped

    async def _deliver(self, row: Row, before: int, fmt: JsonFormat) -> None:
        delivery = Delivery(row, replayed=False, messages=fmt.messages(row, replayed=True))
        self._befores[row.seq] = before
        while not delivery.refused:
            if row.device in self._done.refused:
                delivery.refused = True
                break
            message = delivery.next_message()
            if message is None:
                break
            while not self._has_room():
                await self._wait()
            self._hand_over(delivery, message)
        if delivery.settled:
            self._settle(delivery)

    def _has_room(self) -> bool:
        return not len(self._window) if self._careful_rows else self._window.has_room(replayed=False)

    def _hand_over(self, delivery: Delivery, message: Message) -> None:
        packet_bytes = too_large(message.topic, message.payload, maximum_bytes=self._session.maximum_packet_bytes)
        if packet_bytes:
            delivery.refused = True
            self._done.refused[delivery.row.device] = f"a message of {packet_bytes} bytes is more than it takes"
            return
        packet_id = self._session.send(message.topic, message.payload)
        delivery.in_flight += 1
        self._window.sent(packet_id, Flight(delivery, message, self._clock()))

    def _answered(self, packet_id: int, reason: ReasonCode) -> None:
        flight = self._window.answered(packet_id)
        if flight is None:
            return
        delivery = flight.delivery
        delivery.in_flight -= 1
        refused = refusal(reason)
        if refused:
            delivery.refused = True
            self._done.refused.setdefault(delivery.row.device, refused)
        if delivery.settled:
            self._settle(delivery)
        self._answer.set()

    def _settle(self, delivery: Delivery) -> None:
        """A row's fate is known. May be told twice of the same row: the last answer, and the end of its parts."""
        seq = delivery.row.seq
        before = self._befores.pop(seq, None)
        if before is None:
            return
        readings = len(delivery.row.batch)
        if delivery.refused:
            self._done.refused_readings += readings
        else:
            self._careful_rows = max(0, self._careful_rows - 1)
            self._done.batches += 1
            self._done.readings += readings
            self._progress.add(before + 1, seq)

    async def _wait(self) -> None:
        self._answer.clear()
        await self._answer.wait()


async def _next(rows: Iterator[tuple[Row, int]]) -> list[tuple[Row, int]]:
    """The next few rows; none: there are no more.

    Opening a block takes tens of milliseconds: in a thread, so that answers and pings are not kept waiting. It is
    waited for also where the connection is lost meanwhile: the next one reads the same open file.
    """
    reading = asyncio.ensure_future(asyncio.to_thread(lambda: list(islice(rows, _BREATH_ROWS))))
    try:
        return await asyncio.shield(reading)
    finally:
        await asyncio.wait({reading})
