"""The courier: the traffic of one connection. Live rows first, the backlog and gaps beside them, acknowledgements back.

Invariants
- A row is acknowledged to the spool when, and only when, the broker has acknowledged each of its messages.
- A row is under way at most once per connection. After it, everything unacknowledged is backlog for the next courier:
  nothing here outlives the connection.
- A refused row is neither acknowledged nor lost: it stays in the spool and is tried again (see `holds`).

The only tasks are those of `run`; answers arrive as calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from paho.mqtt.reasoncodes import ReasonCode

from gateway.metrics import Metrics
from gateway.together import until_one_ends
from gateway.uplink.backlog import BacklogReader
from gateway.uplink.contract import Format, LiveRow, Message, Row, Spool
from gateway.uplink.coverage import Coverage
from gateway.uplink.gaps import GapTraffic
from gateway.uplink.holds import Holds
from gateway.uplink.live import LiveQueue
from gateway.uplink.packets import too_large
from gateway.uplink.session import Session
from gateway.uplink.topics import Topics
from gateway.uplink.troubles import refusal
from gateway.uplink.window import Delivery, Flight, Window

__all__ = ["Courier"]

_TOO_LARGE: Final = "too large for the broker"
_BREATH_READINGS: Final = 2_000  # encoded between two turns of the event loop: about two milliseconds


class Courier:
    """Carries rows over one open session.

    Args:
        session: connected.
        fmt: turns rows into messages.
        spool: where the backlog and the gap ledger are, and who takes acknowledgements.
        gateway_id: name of this gateway.
        topics: where gaps go.
        last: the highest row number offered before this connection; None when none was.
        max_live_readings: bound of the live queue.
        replay_rate: most backlog readings a second.
        holds: devices that the broker refuses.
        metrics: `published`, `latency_s` and `refused` are counted.
        now_ns: UTC nanoseconds since 1970.
        clock: seconds of a steady clock.
    """

    def __init__(
        self,
        session: Session,
        *,
        fmt: Format,
        spool: Spool,
        gateway_id: str,
        topics: Topics,
        last: int | None,
        max_live_readings: int,
        replay_rate: int,
        holds: Holds,
        metrics: Metrics,
        now_ns: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        self._session = session
        self._format = fmt
        self._spool = spool
        self._metrics = metrics
        self._now_ns = now_ns
        self._clock = clock
        self._window = Window(session.window)
        self._live = LiveQueue(max_live_readings)
        self._holds = holds
        self._coverage = Coverage(last)
        self._work = asyncio.Event()
        self._quiet = asyncio.Event()
        self._backlog = BacklogReader(
            spool,
            coverage=self._coverage,
            holds=self._holds,
            rate=replay_rate,
            clock=clock,
            wake_sender=self._work.set,
        )
        self._gaps = GapTraffic(
            spool.gaps,
            gateway_id=gateway_id,
            topics=topics,
            holds=holds,
            clock=clock,
            wake_sender=self._work.set,
        )
        self._sending: dict[bool, Delivery | None] = {False: None, True: None}
        self._published = {replayed: metrics.published.labels(str(replayed).lower()) for replayed in (False, True)}
        self._too_large_rows = 0

    def offer(self, row: LiveRow) -> None:
        """Takes a row that was just committed, or leaves it to the backlog reader."""
        if not self._coverage.offered(row.seq):
            return
        if self._live.offer(row):
            self._coverage.own(row.seq)
            self._quiet.clear()
            self._work.set()
        else:
            self._coverage.missed(row.seq)
        if self._coverage.due or self._coverage.suspicious:
            self._backlog.wake()

    def offer_early(self, row: LiveRow) -> bool:
        """Takes a row that is not committed yet, where the backlog is empty and memory has room; whether it did."""
        if self._coverage.due or row.device in self._holds or not self._live.offer(row):
            return False
        self._coverage.offered(row.seq)
        self._coverage.own(row.seq)
        self._quiet.clear()
        self._work.set()
        if self._coverage.suspicious:
            self._backlog.wake()
        return True

    def look_again(self, seq: int) -> None:
        """Has the backlog reader look for rows up to this number that nobody offered."""
        self._coverage.unoffered(seq)
        self._backlog.wake()

    def came_late(self, first: int, last: int) -> None:
        """Has the backlog reader read rows of these numbers, which may lie below those that it has read."""
        self._coverage.came_late(first, last)
        self._backlog.wake()

    async def run(self) -> None:
        """Works until the connection is lost.

        Raises:
            UplinkError: it was lost.
            SpoolError: the backlog cannot be read.
        """
        await until_one_ends(
            "uplink",
            lost=self._session.lost(),
            send=self._send(),
            backlog=self._backlog.run(),
            gaps=self._gaps.run(),
            silence=self._session.silent(self._oldest_s, clock=self._clock),
        )

    async def quiet(self) -> None:
        """Waits until no live row waits and nothing is in flight."""
        self._note_quiet()
        await self._quiet.wait()

    async def landed(self) -> None:
        """Waits until what is in flight is answered; for the end, when `run` no longer sends."""
        while len(self._window) or self._gaps.sent_at_s is not None:
            self._work.clear()
            await self._work.wait()
        for delivery in tuple(self._sending.values()):
            # A row all of whose parts were answered has told nobody so until it is asked for one more.
            if delivery is not None and delivery.next_message() is None:
                self._settle(delivery)
        await self._gaps.landed()

    def answered(self, packet_id: int, reason: ReasonCode) -> None:
        """Takes a PUBACK."""
        refused = refusal(reason)
        if self._gaps.answered(packet_id, refused):
            if refused:
                self._metrics.refused.labels(refused).inc()
                self._backlog.wake()  # it ends holds
            self._window.reserved = 0
            self._work.set()
            return
        draining = self._window.replayed > 0
        flight = self._window.answered(packet_id)
        if flight is None:
            return
        self._backlog.answered(self._clock() - flight.at_s, draining=draining)
        delivery = flight.delivery
        delivery.in_flight -= 1
        if refused:
            self._refused(delivery, refused)
        elif not delivery.replayed:
            self._metrics.latency_s.observe(max(0, self._now_ns() - flight.message.newest_ns) / 1e9)
        self._settle(delivery)
        self._work.set()
        self._note_quiet()

    def status(self) -> dict[str, Any]:
        """What the control socket shows of this connection."""
        return {
            "in_flight": len(self._window),
            "window": self._window.size,
            "live_rows": len(self._live),
            "live_readings": self._live.readings,
            "backlog": {"cursor": self._coverage.cursor, "upto": self._coverage.upto, "due": self._coverage.due},
            "drain": self._drain(),
            "refused": self._holds.reasons(),
            "too_large_rows": self._too_large_rows,
            "status_topic": self._session.status_trouble,
            "commands_topic": self._session.commands_trouble,
        }

    def _drain(self) -> dict[str, Any]:
        throttle = self._backlog.throttle
        answer_ms = None if throttle.answer_s is None else round(throttle.answer_s * 1e3, 1)
        return {"readings_per_s": round(throttle.rate), "answer_ms": answer_ms, "slowed_down": throttle.falls}

    async def _send(self) -> None:
        encoded = 0
        while True:
            self._work.clear()
            while (step := self._next()) is not None:
                delivery, message = step
                encoded += message.readings
                self._hand_over(delivery, message)
                if encoded >= _BREATH_READINGS:
                    encoded = 0
                    await asyncio.sleep(0)
            self._note_quiet()
            await self._work.wait()

    def _oldest_s(self) -> float | None:
        waiting = (self._window.oldest_s, self._gaps.sent_at_s)
        return min((at_s for at_s in waiting if at_s is not None), default=None)

    def _next(self) -> tuple[Delivery, Message] | None:
        for replayed in (False, True):
            while self._window.has_room(replayed=replayed):
                delivery = self._sending[replayed] or self._start(replayed=replayed)
                if delivery is None:
                    break
                message = delivery.next_message()
                if message is not None:
                    self._sending[replayed] = delivery
                    return delivery, message
                self._sending[replayed] = None
                self._settle(delivery)
            if not replayed:
                self._tell_gap()
        return None

    def _tell_gap(self) -> None:
        """Sends a gap where there is one to be told, and the live rows have left room."""
        if not self._window.has_room(replayed=False):
            return
        payload = self._gaps.next_payload()
        if payload is None:
            return
        if self._too_large(self._gaps.topic, payload):
            self._metrics.refused.labels(_TOO_LARGE).inc()
            self._gaps.refused(_TOO_LARGE)
            self._backlog.wake()
            return
        self._gaps.sent(self._session.send(self._gaps.topic, payload))
        self._window.reserved = 1

    def _too_large(self, topic: str, payload: bytes) -> bool:
        return bool(too_large(topic, payload, maximum_bytes=self._session.maximum_packet_bytes))

    def _start(self, *, replayed: bool) -> Delivery | None:
        while True:
            row: Row | None = self._backlog.take() if replayed else self._live.take()
            if row is None:
                return None
            if row.device not in self._holds:
                return Delivery(row, replayed=replayed, messages=self._format.messages(row, replayed=replayed))
            self._coverage.hold(row.seq)
            self._backlog.wake()

    def _hand_over(self, delivery: Delivery, message: Message) -> None:
        if self._too_large(message.topic, message.payload):
            # To send it would end the connection (MQTT 5, 3.1.2.11.4), and the next one the same way.
            self._metrics.refused.labels(_TOO_LARGE).inc()
            self._too_large_rows += not delivery.too_large
            delivery.refused = delivery.too_large = True
            self._settle(delivery)
            return
        packet_id = self._session.send(message.topic, message.payload)
        delivery.in_flight += 1
        self._window.sent(packet_id, Flight(delivery, message, self._clock()))

    def _refused(self, delivery: Delivery, reason: str) -> None:
        delivery.refused = True
        self._metrics.refused.labels(reason).inc()
        self._holds.refused(delivery.row.device, reason=reason, now_s=self._clock())

    def _settle(self, delivery: Delivery) -> None:
        if not delivery.settled:
            return
        if self._sending[delivery.replayed] is delivery:
            self._sending[delivery.replayed] = None
        seq = delivery.row.seq
        if not delivery.refused:
            self._spool.ack((seq,))
            self._coverage.settle(seq)
            self._published[delivery.replayed].inc(len(delivery.row.batch))
            self._holds.accepted(delivery.row.device)
        elif delivery.too_large:
            self._coverage.settle(seq)
        else:
            self._coverage.hold(seq)
            self._backlog.wake()

    def _note_quiet(self) -> None:
        if not len(self._window) and not len(self._live) and not any(self._sending.values()):
            self._quiet.set()
        else:
            self._quiet.clear()
