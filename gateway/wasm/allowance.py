"""How much of a process's time something that nobody waits for may take. Pure: no clock of its own.

Limits of a single call do not bound this: a shadow that takes 40 of its 50 ms at every batch would hold back live
readings all day and never be stopped.
"""

from __future__ import annotations

from typing import Final

__all__ = ["SHARE", "WINDOW_NS", "Allowance"]

WINDOW_NS: Final = 10_000_000_000
SHARE: Final = 0.1
"""Of each window."""


class Allowance:
    """Adds up what is spent in windows of time. Times are UTC ns, and may step."""

    __slots__ = ("_began_ns", "_spent_s")

    def __init__(self) -> None:
        self._began_ns: int | None = None
        self._spent_s = 0.0

    def spend(self, took_s: float, now_ns: int) -> bool:
        """Adds `took_s` seconds; False where that is more than may be spent, and then it begins anew."""
        if self._began_ns is None or not 0 <= now_ns - self._began_ns < WINDOW_NS:
            self._began_ns, self._spent_s = now_ns, 0.0
        self._spent_s += took_s
        if self._spent_s <= SHARE * WINDOW_NS / 1e9:
            return True
        self._began_ns = None
        return False
