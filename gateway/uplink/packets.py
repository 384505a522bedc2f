"""How large the packet of a message is, and may be. Pure."""

from __future__ import annotations

from typing import Final

__all__ = ["PACKET_OVERHEAD_BYTES", "too_large"]

PACKET_OVERHEAD_BYTES: Final = 16
"""Most that MQTT adds to topic and payload of a PUBLISH (fixed header, lengths, packet id, no properties)."""

_LARGEST_BYTES: Final = 268_435_455  # MQTT 5, 1.5.5; paho raises at a larger payload, again in each connection


def too_large(topic: str, payload: bytes, *, maximum_bytes: int | None) -> int:
    """The bytes of the packet where the broker does not take so many; else 0.

    Args:
        topic: of the message.
        payload: of the message.
        maximum_bytes: the largest packet that the broker takes, where it told.
    """
    packet_bytes = len(payload) + len(topic.encode()) + PACKET_OVERHEAD_BYTES
    return packet_bytes if packet_bytes > (maximum_bytes or _LARGEST_BYTES) else 0
