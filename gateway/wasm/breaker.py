"""When a failing module is tried again. Pure: no clock of its own, no I/O.

A module that fails three times is parked: its policy applies without it being called, for a second, then two, four, up
to five minutes. So a module that loops for ever costs its time-out three times, and then next to nothing. Failures are
forgotten only after a hundred good batches: one that fails every second time is parked as well.
"""

from __future__ import annotations

from typing import Final

__all__ = ["FIRST_PARK_NS", "FORGIVEN_AFTER", "LONGEST_PARK_NS", "TOLERATED", "Breaker", "park_ns"]

TOLERATED: Final = 2
"""Failures that have no consequence yet."""

FIRST_PARK_NS: Final = 1_000_000_000
LONGEST_PARK_NS: Final = 300_000_000_000
FORGIVEN_AFTER: Final = 100
"""Good batches in a row after which earlier failures no longer count."""


def park_ns(failures: int) -> int:
    """How long a module with this many unforgiven failures is left alone, in ns."""
    if failures <= TOLERATED:
        return 0
    return min(FIRST_PARK_NS << min(failures - TOLERATED - 1, 32), LONGEST_PARK_NS)


class Breaker:
    """Counts failures and says whether a module may be called. Times are UTC ns, and may step."""

    __slots__ = ("_parked_at_ns", "_worked", "failures", "parked_until_ns")

    def __init__(self) -> None:
        self.failures = 0
        """Failures that are not forgiven yet."""
        self.parked_until_ns: int | None = None
        self._parked_at_ns = 0
        self._worked = 0

    def allows(self, now_ns: int) -> bool:
        """Whether the module may be called now."""
        if self.parked_until_ns is None:
            return True
        # A box without a battery clock may be set back by years once it finds its time server.
        return not self._parked_at_ns <= now_ns < self.parked_until_ns

    def failed(self, now_ns: int) -> None:
        """The module failed on a batch."""
        self._worked = 0
        self.failures += 1
        pause_ns = park_ns(self.failures)
        if pause_ns:
            self._parked_at_ns = now_ns
            self.parked_until_ns = now_ns + pause_ns

    def park(self, now_ns: int) -> None:
        """The module did its work, but took too much for it: it is left alone for the longest time at once."""
        self.failed(now_ns)
        self._parked_at_ns = now_ns
        self.parked_until_ns = now_ns + LONGEST_PARK_NS

    def worked(self) -> None:
        """The module did its work on a batch."""
        if self.failures:
            self.parked_until_ns = None
            self._worked += 1
            if self._worked >= FORGIVEN_AFTER:
                self.failures = 0
                self._worked = 0
