"""Topic names. Pure; the head of every topic is the configuration's, with {gateway} filled in."""

from __future__ import annotations

__all__ = ["Topics"]


class Topics:
    """The topics of one gateway.

    Args:
        head: `uplink.topic`; every `{gateway}` in it stands for the gateway's id.
        gateway_id: name of this gateway.
    """

    __slots__ = ("_data", "status")

    def __init__(self, head: str, *, gateway_id: str) -> None:
        filled = head.replace("{gateway}", gateway_id).rstrip("/")
        self._data = f"{filled}/data/"
        self.status = f"{filled}/status"

    def data(self, device: str) -> str:
        """Where a device's readings go."""
        return self._data + device
