"""The other direction: command messages in, replies out.

Replies are sent one at a time, each when the broker has acknowledged the one before, so that they never fill the window
that the readings need. While the broker is away a bounded number waits; beyond it the oldest is lost, as is one that
the broker refuses: whoever sends the command once more is given the same reply.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple, Protocol

from paho.mqtt.client import MQTTMessage

from gateway.errors import UplinkError
from gateway.uplink.topics import Topics

__all__ = ["CommandTraffic", "TakeCommand"]

_MOST_REPLIES: Final = 1000


class TakeCommand(Protocol):
    """Takes a command message. Never blocks and never raises."""

    def __call__(self, device: str, tag: str, payload: bytes, *, retained: bool, expiry_s: int | None) -> None:
        """Takes one.

        Args:
            device: the device in its topic.
            tag: the tag in its topic.
            payload: as it came.
            retained: whether the broker had kept it.
            expiry_s: what is left of its message expiry (MQTT 5, 3.3.2.3.3), in seconds.
        """


class _Sender(Protocol):
    def send(self, topic: str, payload: bytes) -> int: ...


class _Reply(NamedTuple):
    topic: str
    payload: bytes


class CommandTraffic:
    """Commands and replies of one gateway, over one connection after the other.

    Args:
        topics: where commands come from and replies go to.
        take: takes what comes.
    """

    def __init__(self, topics: Topics, take: TakeCommand) -> None:
        self.subscription = topics.commands
        self._topics = topics
        self._take = take
        self._session: _Sender | None = None
        self._replies: deque[_Reply] = deque(maxlen=_MOST_REPLIES)
        self._in_flight: tuple[int, _Reply] | None = None

    def received(self, message: MQTTMessage) -> None:
        """Hands a message on."""
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # No broker passes this on (MQTT 5, 1.5.4), and nothing of ours has such a name.
        target = self._topics.command_target(topic)
        if target is not None:
            expiry_s = getattr(message.properties, "MessageExpiryInterval", None)
            self._take(*target, bytes(message.payload), retained=bool(message.retain), expiry_s=expiry_s)

    def reply(self, device: str, tag: str, payload: bytes) -> None:
        """Sends a reply now, or as soon as there is a connection."""
        self._replies.append(_Reply(self._topics.command_result(device, tag), payload))
        self._send()

    def opened(self, session: _Sender) -> None:
        """There is a connection. A reply that the last one left unanswered goes again."""
        if self._in_flight is not None:
            _, reply = self._in_flight
            self._in_flight = None
            if len(self._replies) < _MOST_REPLIES:
                self._replies.appendleft(reply)
        self._session = session
        self._send()

    def closed(self) -> None:
        """The connection is gone."""
        self._session = None

    def answered(self, packet_id: int) -> bool:
        """Takes a PUBACK; whether it was one of ours."""
        if self._in_flight is None or self._in_flight[0] != packet_id:
            return False
        self._in_flight = None
        self._send()
        return True

    def _send(self) -> None:
        if self._session is None or self._in_flight is not None or not self._replies:
            return
        reply = self._replies[0]
        try:
            packet_id = self._session.send(reply.topic, reply.payload)
        except UplinkError:
            self._session = None  # Whoever runs the session learns it too; the reply waits for the next one.
            return
        self._replies.popleft()
        self._in_flight = (packet_id, reply)
