"""Holds: devices whose messages the broker refuses are left alone for a while. Pure; the clock is passed in.

A refusal (MQTT 5, a PUBACK with a reason code of 0x80 or more) is about a topic: an ACL, a quota. Sending the same
rows again at once would be refused again; not sending the other devices' rows would let one bad topic stop all. So
each device has a hold of its own, which doubles with each refusal that follows a try and ends with the first success.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["Holds"]

FIRST_S: Final = 1.0


@dataclass(slots=True)
class _Hold:
    until_s: float
    pause_s: float
    reason: str
    holding: bool = True


class Holds:
    """Which devices are held, and until when.

    Args:
        longest_s: no hold is longer, in seconds.
    """

    __slots__ = ("_holds", "_longest_s")

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._holds: dict[str, _Hold] = {}

    def __contains__(self, device: str) -> bool:
        hold = self._holds.get(device)
        return hold is not None and hold.holding

    def refused(self, device: str, *, reason: str, now_s: float) -> None:
        """The broker refused a message of this device. Those in flight beside it count as the same refusal."""
        hold = self._holds.get(device)
        if hold is not None and hold.holding:
            return
        pause_s = min(self._longest_s, FIRST_S if hold is None else hold.pause_s * 2)
        self._holds[device] = _Hold(now_s + pause_s, pause_s, reason)

    def accepted(self, device: str) -> None:
        """The broker took a message of this device; a hold that began meanwhile stays."""
        if self._holds and device not in self:
            self._holds.pop(device, None)

    def release(self, now_s: float) -> bool:
        """Ends the holds whose time is over; whether there were any."""
        over = [hold for hold in self._holds.values() if hold.holding and hold.until_s <= now_s]
        for hold in over:
            hold.holding = False
        return bool(over)

    def next_release_s(self) -> float | None:
        """When the next hold ends; None when none is held."""
        return min((hold.until_s for hold in self._holds.values() if hold.holding), default=None)

    def reasons(self) -> dict[str, str]:
        """What the broker said, by held device."""
        return {device: hold.reason for device, hold in self._holds.items() if hold.holding}
