"""Topic names. Pure; the head of every topic is the configuration's, with {gateway} filled in."""

from __future__ import annotations

__all__ = ["Topics"]


class Topics:
    """The topics of one gateway.

    Args:
        head: `uplink.topic`; every `{gateway}` in it stands for the gateway's id.
        gateway_id: name of this gateway.
    """

    __slots__ = ("_commands", "_data", "commands", "gaps", "status")

    def __init__(self, head: str, *, gateway_id: str) -> None:
        filled = head.replace("{gateway}", gateway_id).rstrip("/")
        self._data = f"{filled}/data/"
        self._commands = f"{filled}/cmd/"
        self.commands = f"{self._commands}+/+/set"
        self.gaps = f"{filled}/gaps"
        self.status = f"{filled}/status"

    def data(self, device: str) -> str:
        """Where a device's readings go."""
        return self._data + device

    def command_target(self, topic: str) -> tuple[str, str] | None:
        """The device and tag that a command's topic names; None where it is not one of `commands`."""
        levels = topic.removeprefix(self._commands).split("/")
        if not topic.startswith(self._commands) or len(levels) != 3 or levels[2] != "set":
            return None
        return levels[0], levels[1]

    def command_result(self, device: str, tag: str) -> str:
        """Where the reply to a command goes."""
        return f"{self._commands}{device}/{tag}/result"
