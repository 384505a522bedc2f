"""The session: one connection to the broker, its status topic and its will.

Invariants
- The status topic is retained: `online` once connected; `offline` at a clean end, from us; else `offline` from the
  broker, which holds it as our will. A clean disconnect takes the will back.
- Each failure is an `UplinkError` that names the broker and says what came back.
- After `close` there is no socket and no task, whatever happened before.

It carries messages and knows neither rows nor formats. It does not retry.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

import aiomqtt
from aiomqtt import ProtocolVersion, Will
from msgspec import json
from paho.mqtt.client import MQTTMessage
from paho.mqtt.reasoncodes import ReasonCode

from gateway.config.certificates import tls_context
from gateway.config.models import UplinkSettings
from gateway.errors import TidegateError, UplinkError
from gateway.uplink.client import Answer, MqttClient
from gateway.uplink.commands import CommandTraffic
from gateway.uplink.topics import Topics
from gateway.uplink.troubles import connect_trouble, lost_trouble, refusal

__all__ = ["CONNECT_S", "Session", "broker_name", "broker_port", "client_id", "tls_of"]

CONNECT_S: Final = 10.0
"""Longest time for TCP, TLS and the broker's CONNACK together."""
SILENCE_S: Final = 60.0
"""A broker that acknowledges nothing for so long is left."""
_STATUS_S: Final = 5.0
_PLAIN_PORT: Final = 1883
_TLS_PORT: Final = 8883


def broker_port(settings: UplinkSettings) -> int:
    """The broker's TCP port: as configured, else the usual one."""
    return settings.port or (_PLAIN_PORT if settings.tls is None else _TLS_PORT)


async def tls_of(settings: UplinkSettings) -> ssl.SSLContext | None:
    """What the connection is encrypted with, from files that are read anew; None without TLS.

    Raises:
        UplinkError: a file is not what it should be.
    """
    if settings.tls is None:
        return None
    try:
        return await asyncio.to_thread(tls_context, settings.tls, "uplink.tls")
    except TidegateError as error:
        raise UplinkError(str(error)) from None


def broker_name(settings: UplinkSettings) -> str:
    """The broker as people write it: host:port."""
    return f"{settings.host}:{broker_port(settings)}"


def client_id(settings: UplinkSettings, *, gateway_id: str) -> str:
    """The gateway's client id: as configured, else made of its name."""
    return settings.client_id or f"tidegate-{gateway_id}"


def _trouble(topic: str, reason: ReasonCode) -> str | None:
    """What the broker says against a topic; None: nothing."""
    refused = refusal(reason)
    return f"{topic}: {refused}" if refused else None


def _ignore(_message: MQTTMessage) -> None:
    """Takes what comes where nothing was subscribed to."""


class Session:
    """One connection.

    Args:
        settings: the broker and how to speak to it.
        gateway_id: name of this gateway, for the client id and the status.
        version: version of this gateway, for the status.
        topics: where the status goes.
        now_ns: UTC nanoseconds since 1970.
        on_answer: called with packet id and reason of each PUBACK to a `send`.
        commands: takes what comes; None: nothing is subscribed to.
        stands_for_gateway: False: it says nothing on the status topic and leaves no will, for it is not the gateway.
    """

    def __init__(
        self,
        settings: UplinkSettings,
        *,
        gateway_id: str,
        version: str,
        topics: Topics,
        now_ns: Callable[[], int],
        on_answer: Answer,
        commands: CommandTraffic | None = None,
        stands_for_gateway: bool = True,
    ) -> None:
        self._stands_for_gateway = stands_for_gateway
        self._settings = settings
        self._gateway_id = gateway_id
        self._version = version
        self._topics = topics
        self._now_ns = now_ns
        self._on_answer = on_answer
        self._commands = commands
        self._statuses: dict[int, asyncio.Future[ReasonCode]] = {}
        self._client: MqttClient | None = None
        self.status_trouble: str | None = None
        """Why the broker does not take our status, where it does not."""
        self.commands_trouble: str | None = None
        """Why the broker does not give us commands, where it does not."""

    async def open(self) -> None:
        """Connects, and publishes `online` where it stands for the gateway.

        Raises:
            UplinkError: the broker cannot be reached, refused us, or went away.
        """
        settings = self._settings
        self._client = MqttClient(
            settings.host,
            broker_port(settings),
            tls=await tls_of(settings),
            on_answer=self._answered,
            on_message=_ignore if self._commands is None else self._commands.received,
            identifier=client_id(settings, gateway_id=self._gateway_id),
            protocol=ProtocolVersion.V5 if settings.protocol == "5" else ProtocolVersion.V311,
            username=settings.username,
            password=settings.password,
            keepalive_s=settings.keepalive,
            will=self._will(),
        )
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._client.connect()
        except (OSError, aiomqtt.MqttError) as error:
            raise self._error(
                connect_trouble(error, host=settings.host, timeout_s=CONNECT_S, tls=settings.tls is not None)
            ) from None
        if self._commands is not None:
            await self._listen(self._commands.subscription)
        if self._stands_for_gateway:
            await self._say("online")

    @property
    def window(self) -> int:
        """Most messages in flight: what the settings say, or less where the broker said so."""
        told = None if self._client is None else self._client.receive_maximum
        if told is None:
            return self._settings.window
        # One more may be in flight beside them: a reply to a command.
        return min(self._settings.window, told if self._commands is None else max(1, told - 1))

    @property
    def maximum_packet_bytes(self) -> int | None:
        """The largest packet the broker takes, where it told."""
        return None if self._client is None else self._client.maximum_packet_bytes

    def send(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Hands a message over at QoS 1 and returns its packet id; the answer comes to `on_answer`.

        Raises:
            UplinkError: the connection is gone.
        """
        assert self._client is not None
        try:
            return self._client.send(topic, payload, retain=retain)
        except aiomqtt.MqttError as error:
            raise self._error(lost_trouble(error)) from None

    async def lost(self) -> None:
        """Waits until the connection is gone.

        Raises:
            UplinkError: always, and says why.
        """
        assert self._client is not None
        raise self._error(lost_trouble(await self._client.lost()))

    async def silent(self, oldest_s: Callable[[], float | None], *, clock: Callable[[], float]) -> None:
        """Waits until a message has waited too long: a broker that answers pings may acknowledge nothing for ever.

        Args:
            oldest_s: when the message that waits longest was handed over, by the clock; None: none waits.
            clock: seconds of a steady clock.

        Raises:
            UplinkError: always, and says how long.
        """
        while True:
            await asyncio.sleep(SILENCE_S / 4)
            at_s = oldest_s()
            if at_s is not None and clock() - at_s > SILENCE_S:
                raise self._silent(clock() - at_s)

    async def leave(self, timeout_s: float) -> None:
        """Says `offline` and disconnects cleanly; gives up quietly at the time-out, and then the will speaks."""
        if self._client is None:
            return
        try:
            async with asyncio.timeout(timeout_s):
                if self._stands_for_gateway:
                    await self._say("offline")
                await self._client.disconnect()
        except (TimeoutError, UplinkError):
            return

    async def close(self) -> None:
        """Ends the connection at once. May be called at any time."""
        if self._client is not None:
            await self._client.shut()

    async def _listen(self, topic: str) -> None:
        """Subscribes. A broker that refuses it costs the commands, not the connection.

        Raises:
            UplinkError: the connection went away, or no answer came.
        """
        assert self._client is not None
        try:
            reason = await self._client.listen(topic, timeout_s=_STATUS_S)
        except aiomqtt.MqttError as error:
            raise self._error(lost_trouble(error)) from None
        self.commands_trouble = _trouble(topic, reason)

    def _will(self) -> Will | None:
        if not self._stands_for_gateway:
            return None
        return Will(self._topics.status, self._status("offline", since_ns=None), qos=1, retain=True)

    async def _say(self, state: str) -> None:
        """Publishes a status and waits for its answer.

        Raises:
            UplinkError: the connection went away, or no answer came.
        """
        packet_id = self.send(self._topics.status, self._status(state, since_ns=self._now_ns()), retain=True)
        answer = self._statuses[packet_id] = asyncio.get_running_loop().create_future()
        assert self._client is not None
        gone = asyncio.ensure_future(self._client.lost())
        try:
            await asyncio.wait((answer, gone), timeout=_STATUS_S, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise self._error(lost_trouble(gone.result())) if gone.done() else self._silent(_STATUS_S)
        finally:
            del self._statuses[packet_id]
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
        self.status_trouble = _trouble(self._topics.status, answer.result())

    def _answered(self, packet_id: int, reason: ReasonCode) -> None:
        status = self._statuses.get(packet_id)
        if status is None:
            self._on_answer(packet_id, reason)
        elif not status.done():
            status.set_result(reason)

    def _status(self, state: str, *, since_ns: int | None) -> bytes:
        return json.encode(
            {
                "state": state,
                "gateway": self._gateway_id,
                "version": self._version,
                # Nobody knows beforehand when a will is due: the broker's own time of publishing tells.
                "since": None if since_ns is None else since_ns // 1_000_000,
            }
        )

    def _silent(self, waited_s: float) -> UplinkError:
        """The error of a broker that keeps the connection and answers nothing."""
        return self._error(f"it has not acknowledged a message for {waited_s:.0f} s. Is it overloaded or out of disk?")

    def _error(self, text: str) -> UplinkError:
        return UplinkError(f"MQTT broker {broker_name(self._settings)}: {text}")
