"""The uplink: what the rest of the gateway sees of the way north.

Invariants
- `offer` never blocks and never loses: a row that memory does not take is in the spool and is sent from there. The
  one exception is asked for: with `offline.enabled = false`, what arrives while the broker is away is dropped,
  counted, and noted in the gap ledger.
- `run` is one connection. It raises when that is lost; who runs it again, and when, is not decided here.
- Nothing of a connection outlives it, but for the highest row number offered and the devices that the broker refuses:
  some brokers end the connection with a refusal, and the same device must not end each of them at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from paho.mqtt.reasoncodes import ReasonCode

from gateway import __version__
from gateway.batch import Batch
from gateway.config.models import OfflineSettings, UplinkSettings
from gateway.errors import UplinkError
from gateway.gap import gap_of
from gateway.metrics import Metrics
from gateway.points import PointTable
from gateway.uplink.commands import CommandTraffic, TakeCommand
from gateway.uplink.contract import LiveRow, Spool
from gateway.uplink.courier import Courier
from gateway.uplink.holds import Holds
from gateway.uplink.json_format import JsonFormat
from gateway.uplink.session import Session, broker_name
from gateway.uplink.topics import Topics

__all__ = ["Uplink"]

_LANDING_S: Final = 2.0
_LEAVING_S: Final = 1.0


class Uplink:
    """Publishes rows and acknowledges them to the spool.

    Args:
        settings: the broker and how to speak to it.
        offline: what to do while it is away.
        gateway_id: name of this gateway.
        spool: where rows are pending, and who takes acknowledgements.
        points: names of the tags.
        metrics: `published`, `latency_s`, `refused` and `dropped` are counted.
        now_ns: UTC nanoseconds since 1970.
        clock: seconds of a steady clock.
        live: called with True once connected, and with False when that ends.
        on_command: takes each command message; None: no commands are subscribed to.
    """

    def __init__(
        self,
        settings: UplinkSettings,
        offline: OfflineSettings,
        *,
        gateway_id: str,
        spool: Spool,
        points: PointTable,
        metrics: Metrics,
        now_ns: Callable[[], int] = time.time_ns,
        clock: Callable[[], float] = time.monotonic,
        live: Callable[[bool], None] = lambda _up: None,
        on_command: TakeCommand | None = None,
    ) -> None:
        self._settings = settings
        self._offline = offline
        self._gateway_id = gateway_id
        self._spool = spool
        self._points = points
        self._metrics = metrics
        self._now_ns = now_ns
        self._clock = clock
        self._tell_live = live
        self._topics = Topics(settings.topic, gateway_id=gateway_id)
        self._commands = None if on_command is None else CommandTraffic(self._topics, on_command)
        self._holds = Holds(offline.sync_interval)
        self._courier: Courier | None = None
        self._last: int | None = None
        self._state = "not started"
        self._since_ns = now_ns()
        self._last_error: str | None = None
        self._last_error_ns: int | None = None
        self._acknowledged_at_s: float | None = None

    def offer(self, seq: int, device: str, batch: Batch) -> None:
        """Takes a batch that was just committed; called in the order of `seq`. Never blocks.

        Args:
            seq: number of the row.
            device: name of its device.
            batch: its readings.
        """
        if self._courier is not None:
            self._courier.offer(LiveRow(seq, device, batch))
        elif not self._offline.enabled:
            self._spool.give_up({seq: gap_of(device, "offline_disabled", batch)})
            self._metrics.dropped.labels("offline_disabled").inc(len(batch))
        self._last = seq if self._last is None else max(self._last, seq)

    def offer_early(self, seq: int, device: str, batch: Batch) -> bool:
        """Takes a batch that is not committed yet, where it can be sent at once: connected, and nothing else waits.

        Args:
            seq: the number that it keeps, whatever becomes of it.
            device: name of its device.
            batch: its readings.

        Returns:
            Whether it was taken. If not it is to be offered again once it is committed.
        """
        if self._courier is None or not self._courier.offer_early(LiveRow(seq, device, batch)):
            return False
        self._last = seq if self._last is None else max(self._last, seq)
        return True

    def look_again(self, seq: int) -> None:
        """Says that rows up to this number may have been committed and never offered: their source was ended."""
        if self._last is not None:
            self._last = max(self._last, seq)
        if self._courier is not None:
            self._courier.look_again(seq)

    def came_late(self, first: int, last: int) -> None:
        """Says that rows of these numbers came in below those that were read: they were saved from a damaged file."""
        if self._courier is not None:
            self._courier.came_late(first, last)

    def reply(self, device: str, tag: str, payload: bytes) -> None:
        """Publishes the reply to a command to TOPIC/cmd/DEVICE/TAG/result, now or once connected. Never blocks.

        Args:
            device: the device in the command's topic.
            tag: the tag in it.
            payload: the reply.
        """
        if self._commands is not None:
            self._commands.reply(device, tag, payload)

    async def run(self) -> None:
        """Connects and publishes until cancelled; then finishes what is in flight, says `offline` and disconnects.

        Raises:
            UplinkError: the broker cannot be reached, refused us, or went away.
            SpoolError: the backlog cannot be read.
        """
        self._enter("connecting")
        session = Session(
            self._settings,
            gateway_id=self._gateway_id,
            version=__version__,
            topics=self._topics,
            now_ns=self._now_ns,
            on_answer=self._answered,
            commands=self._commands,
        )
        try:
            await session.open()
            await self._serve(session)
        except UplinkError as error:
            self._last_error, self._last_error_ns = str(error), self._now_ns()
            raise
        finally:
            self._enter("not connected")
            await session.close()

    async def drain(self, timeout_s: float) -> bool:
        """Waits until no live row waits and nothing is in flight; the backlog is not waited for.

        Returns:
            Whether that was reached within `timeout_s`; False also when the broker is away.
        """
        if self._courier is None:
            return False
        try:
            async with asyncio.timeout(timeout_s):
                await self._courier.quiet()
        except TimeoutError:
            return False
        return True

    @property
    def status(self) -> dict[str, Any]:
        """What the control socket shows: plain data. `since` and `last_error_at` in seconds since 1970.

        The last error stays after a reconnection: what went wrong at night is asked for in the morning. A broker that
        keeps the connection and answers nothing shows in `last_acknowledged_s`.
        """
        answered_s = self._acknowledged_at_s
        shown: dict[str, Any] = {
            "state": self._state,
            "since": self._since_ns / 1e9,
            "broker": broker_name(self._settings),
            "last_error": self._last_error,
            "last_error_at": None if self._last_error_ns is None else self._last_error_ns / 1e9,
            "last_acknowledged_s": None if answered_s is None else round(self._clock() - answered_s, 3),
        }
        return shown if self._courier is None else shown | self._courier.status()

    async def _serve(self, session: Session) -> None:
        courier = Courier(
            session,
            fmt=JsonFormat(
                gateway_id=self._gateway_id,
                topics=self._topics,
                points=self._points,
                max_payload_bytes=self._settings.max_message_bytes,
                max_packet_bytes=session.maximum_packet_bytes,
            ),
            spool=self._spool,
            gateway_id=self._gateway_id,
            topics=self._topics,
            last=self._last,
            max_live_readings=self._settings.max_live_readings,
            replay_rate=self._offline.replay_rate,
            holds=self._holds,
            metrics=self._metrics,
            now_ns=self._now_ns,
            clock=self._clock,
        )
        self._courier = courier
        if self._commands is not None:
            self._commands.opened(session)
        self._enter("connected")
        self._tell_live(True)
        try:
            await courier.run()
        except asyncio.CancelledError:
            await self._leave(courier, session)
            raise
        finally:
            self._courier = None
            if self._commands is not None:
                self._commands.closed()
            self._tell_live(False)

    async def _leave(self, courier: Courier, session: Session) -> None:
        self._enter("stopping")
        try:
            async with asyncio.timeout(_LANDING_S):
                await courier.landed()
        except TimeoutError:
            pass  # what the broker did not answer is still in the spool
        await session.leave(_LEAVING_S)

    def _answered(self, packet_id: int, reason: ReasonCode) -> None:
        self._acknowledged_at_s = self._clock()
        if self._commands is not None and self._commands.answered(packet_id):
            return
        if self._courier is not None:
            self._courier.answered(packet_id, reason)

    def _enter(self, state: str) -> None:
        self._state = state
        self._since_ns = self._now_ns()
