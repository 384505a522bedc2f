"""The data engineer's side: a subscriber with a session of its own, QoS 1, straight at the broker.

MQTT 3.1.1 without a clean session, which every broker keeps: what is published while we are away is delivered later.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import aiomqtt
import msgspec

from gateway.demo.ledger import Ledger, Message

__all__ = ["Subscriber"]

_RETRY_S: Final = 0.2


class Subscriber:
    """Books every message into a ledger.

    Args:
        host: the broker's address.
        port: the broker's TCP port.
        topic: what to subscribe to.
        ledger: where messages are booked.
        now_ms: milliseconds since 1970.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        topic: str,
        ledger: Ledger,
        now_ms: Callable[[], float] = lambda: time.time_ns() / 1e6,
    ) -> None:
        self._host = host
        self._port = port
        self._topic = topic
        self._ledger = ledger
        self._now_ms = now_ms
        self._decoder = msgspec.json.Decoder(Message)
        self.subscribed = asyncio.Event()
        """Set once the broker has confirmed the subscription: nothing published from then on can be missed."""

    async def run(self) -> None:
        """Listens until cancelled; comes back when the broker does.

        Raises:
            msgspec.ValidationError: a message is not what the gateway's format says.
        """
        while True:
            try:
                await self._listen()
            except aiomqtt.MqttError:
                await asyncio.sleep(_RETRY_S)

    async def _listen(self) -> None:
        client = aiomqtt.Client(
            self._host,
            self._port,
            identifier="tidegate-demo-subscriber",
            protocol=aiomqtt.ProtocolVersion.V311,
            clean_session=False,
        )
        async with client:
            await client.subscribe(self._topic, qos=1)
            self.subscribed.set()
            async for message in client.messages:
                assert isinstance(message.payload, bytes)
                self._ledger.add(self._decoder.decode(message.payload), arrived_ms=self._now_ms())
