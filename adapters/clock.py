"""Whether a device's clock is to be trusted. Pure: the times are passed in.

A PLC's clock is wrong more often than any other part of it: never set, set to local time and called UTC, or stepped
while it runs. What it says of its readings is kept as long as it agrees with the gateway's clock. Where it does not,
readings get times of the gateway's clock, which keep the distances between them, and are marked and counted.

How far a clock is ahead is measured on messages that say when they were sent. A message is late and never early, so of
the last few the one that came quickest tells most.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

__all__ = ["ClockTrouble", "SourceClock", "Verdict"]

ClockTrouble: TypeAlias = Literal["clock_away", "clock_jump"]
"""Why times are not taken; a label of `Metrics.source_errors`."""

_REMEMBERED: Final = 16


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with the times of one message.

    Attributes:
        ahead_ns: how far the device's clock is ahead of the gateway's; behind where it is negative.
        trouble: why the times are not to be taken; None where they are.
    """

    ahead_ns: int
    trouble: ClockTrouble | None


class SourceClock:
    """The clock of one device, as far as it can be seen from here.

    Args:
        limit_ns: a clock that is further away is not trusted. 0: it is trusted whatever it says.
    """

    def __init__(self, *, limit_ns: int) -> None:
        self._limit_ns = limit_ns
        self._seen: deque[int] = deque(maxlen=_REMEMBERED)
        self._distrusted: Verdict | None = None

    @property
    def distrusted(self) -> Verdict | None:
        """The newest verdict where it says that times are not to be taken; None where they are.

        It also holds for what the device kept while it was away, until a new message says otherwise.
        """
        return self._distrusted

    @property
    def ahead_ns(self) -> int | None:
        """How far it is ahead, by the quickest of the last messages; None before the first."""
        return max(self._seen, default=None)

    def judge(self, sent_ns: int, received_ns: int) -> Verdict:
        """Takes note of a message, and says what its readings' times are worth.

        Args:
            sent_ns: when it was sent, by the device's clock, UTC ns since 1970.
            received_ns: when it came in, by the gateway's.
        """
        verdict = self._judge(sent_ns - received_ns)
        self._distrusted = verdict if verdict.trouble else None
        return verdict

    def _judge(self, ahead_ns: int) -> Verdict:
        known_ns = self.ahead_ns
        if self._limit_ns and known_ns is not None and abs(ahead_ns - known_ns) > self._limit_ns:
            # One message that was held up for long looks like a clock that was set back. What it measured is
            # remembered alone: if it was the clock, the next ones agree, and if not, the first of them is a jump back.
            self._seen.clear()
            self._seen.append(ahead_ns)
            return Verdict(ahead_ns, "clock_jump")
        self._seen.append(ahead_ns)
        best_ns = max(self._seen)
        away = bool(self._limit_ns) and abs(best_ns) > self._limit_ns
        return Verdict(best_ns, "clock_away" if away else None)

    def forget(self) -> None:
        """The device was away: what its clock did meanwhile is no jump."""
        self._seen.clear()
