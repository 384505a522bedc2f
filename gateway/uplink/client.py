"""aiomqtt's client, with the five things the uplink needs and aiomqtt does not give.

- Why the broker answered a PUBLISH: aiomqtt takes any PUBACK for a success, also MQTT 5's "not authorised".
- A publish without a task: the answer arrives as a call, so a message costs no task, timer or event.
- What the broker said in its CONNACK: how many messages it takes at once, and how large.
- Messages as calls, with what MQTT 5 says of each (its expiry), and no queue between.
- An end that leaves nothing: after `shut`, or a failed or cancelled `connect`, there is no socket and no task.

Only this file touches private names of aiomqtt and paho; the tests with a real broker cover each of them.
One object makes one connection. There is no reconnecting, so nothing is sent twice behind our back.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.uplink.dial import dial

__all__ = ["Answer", "MqttClient"]

Answer = Callable[[int, ReasonCode], None]
"""Called with the packet id and the reason code of each PUBACK."""

# What the libraries log before they give up reaches people as our `UplinkError`, once.
_LIBRARY_LOG = logging.getLogger(f"{__name__}.library")
_LIBRARY_LOG.setLevel(logging.CRITICAL)


class MqttClient(aiomqtt.Client):
    """One connection to a broker.

    Args:
        host: name or address of the broker.
        port: TCP port.
        tls: present: the connection is encrypted.
        protocol: MQTT version.
        identifier: client id.
        username: user name, where the broker wants one.
        password: its password.
        keepalive_s: longest silence before a ping, in seconds.
        will: what the broker publishes when we go without a word; None: nothing.
        on_answer: called for each answered PUBLISH, on the event loop.
        on_message: called for each message that comes, on the event loop.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None,
        protocol: aiomqtt.ProtocolVersion,
        identifier: str,
        username: str | None,
        password: str | None,
        keepalive_s: int,
        will: aiomqtt.Will | None,
        on_answer: Answer,
        on_message: Callable[[paho.MQTTMessage], None] = lambda _message: None,
    ) -> None:
        super().__init__(
            host,
            port,
            protocol=protocol,
            identifier=identifier,
            username=username,
            password=password,
            keepalive=keepalive_s,
            will=will,
            logger=_LIBRARY_LOG,
            # No limit, so that paho never queues: what waits inside it could not be counted, reordered or given back.
            # The window is the limit. (With one of its own, paho also walks all messages at each answer.)
            max_inflight_messages=0,
        )
        self._tls = tls
        self._on_answer = on_answer
        self._hand_over = on_message
        self.receive_maximum: int | None = None
        """Messages the broker takes at once, where it told (MQTT 5, 3.2.2.3.3)."""
        self.maximum_packet_bytes: int | None = None
        """Largest packet the broker takes, where it told (MQTT 5, 3.2.2.3.6)."""

    async def connect(self) -> None:
        """Connects and waits for the CONNACK.

        Raises:
            OSError: the broker cannot be reached, or TLS failed.
            aiomqtt.MqttError: it refused us.
        """
        sock = await dial(self._hostname, self._port, tls=self._tls)
        self._client._create_socket = lambda: sock  # type: ignore[method-assign]  # noqa: SLF001
        try:
            self._client_connect()
        except BaseException:
            sock.close()
            raise
        await asyncio.wait((self._connected,))
        self._connected.result()

    def send(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Hands a message over at QoS 1; `on_answer` follows.

        Returns:
            Its packet id.

        Raises:
            aiomqtt.MqttError: the connection is gone.
        """
        info = self._client.publish(topic, payload, 1, retain)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise aiomqtt.MqttCodeError(info.rc, "Could not publish message")
        return info.mid

    async def listen(self, topic: str, *, timeout_s: float) -> ReasonCode:
        """Subscribes at QoS 1 and returns what the broker says to that. Retained messages are marked as such.

        Raises:
            aiomqtt.MqttError: the connection is gone, or no answer came.
        """
        if self._client.protocol == paho.MQTTv5:
            options = SubscribeOptions(qos=1, retainAsPublished=True)
            (reason,) = await self.subscribe(topic, options=options, timeout=timeout_s)
        else:
            (reason,) = await self.subscribe(topic, qos=1, timeout=timeout_s)
        assert isinstance(reason, ReasonCode)
        return reason

    async def lost(self) -> BaseException | None:
        """Waits until the connection is gone; returns what the library knows about why."""
        await asyncio.wait((self._disconnected,))
        return self._disconnected.exception()

    async def disconnect(self) -> None:
        """Sends DISCONNECT, after which the broker does not publish the will, and waits until it is written."""
        if self._client.disconnect() == paho.MQTT_ERR_SUCCESS:
            await self.lost()

    async def shut(self) -> None:
        """Ends the connection at once, without a word to the broker where `disconnect` has not said one."""
        try:
            # paho's registrations with the event loop are calls still to come: let them run before the socket goes.
            await asyncio.sleep(0)
        finally:
            self._client._sock_close()  # noqa: SLF001
        for outcome in (self._connected, self._disconnected):
            if outcome.done():
                outcome.exception()  # else asyncio logs that nobody looked
        if self._misc_task is not None:
            self._misc_task.cancel()
            await asyncio.wait((self._misc_task,))

    def _on_connect(
        self,
        client: paho.Client,
        userdata: object,
        flags: paho.ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self.receive_maximum = getattr(properties, "ReceiveMaximum", None)
        self.maximum_packet_bytes = getattr(properties, "MaximumPacketSize", None)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: object,
        flags: paho.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError("it closed the connection before it answered"))
            return
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _on_message(
        self,
        client: paho.Client,  # noqa: ARG002 - paho passes it
        userdata: object,  # noqa: ARG002
        message: paho.MQTTMessage,
    ) -> None:
        self._hand_over(message)

    def _on_publish(
        self, client: paho.Client, userdata: object, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        super()._on_publish(client, userdata, mid, reason_code, properties)
        self._on_answer(mid, reason_code)
