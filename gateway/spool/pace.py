"""How long a batch may wait for others to share its commit with. Pure; the clock is passed in.

A commit of one reading writes as much to the flash as one of twenty: the pages that it changes, and the block of the
disk in which the log ends. So a batch lingers, where that makes commits fewer and harms nobody:

- It waits only while others are to be expected in that time. A gateway of one device, or an idle one, commits at once.
- It waits for as long as `TOGETHER_READINGS` take to come, at least `LEAST_S`, at most the configured `linger_ms`. So
  at 10,000 readings a second nothing waits longer than `LEAST_S`, and at 12 a second nothing longer than `linger_ms`.
- It waits no longer than half of the time for which its source was quiet before it. A source that waits for its commit
  cannot send the next batch; one that is behind with its sending is not held up at all.
"""

from __future__ import annotations

import math
from typing import Final

__all__ = ["ENOUGH_READINGS", "LEAST_S", "TOGETHER_READINGS", "Pace", "ack_delay_s", "linger_s"]

TOGETHER_READINGS: Final = 50
LEAST_S: Final = 0.015
ENOUGH_READINGS: Final = 2_500
"""Their own pages are many times those that each commit writes: there is no sense in waiting for more."""

ACK_DELAY_S: Final = 0.5
LONGEST_ACK_S: Final = 5.0
MEMORY_S: Final = 2.0
"""Rates are those of about this time."""


def linger_s(*, batches_s: float, readings_s: float, quiet_s: float, most_s: float) -> float:
    """How long a batch that comes now may wait for others.

    Args:
        batches_s: batches that come in a second, from all sources.
        readings_s: readings that come in a second.
        quiet_s: how long its source had sent nothing since its last batch was stored.
        most_s: what the configuration allows.
    """
    together_s = TOGETHER_READINGS / readings_s if readings_s > 0 else most_s
    waits_s = min(most_s, max(LEAST_S, together_s), quiet_s / 2)
    return waits_s if batches_s * waits_s >= 1 else 0.0


def ack_delay_s(gap_s: float) -> float:
    """How long a deletion may wait for a batch to share its commit with.

    Args:
        gap_s: in how many seconds the next batch is to be expected.
    """
    return max(ACK_DELAY_S, 1.25 * gap_s) if 1.25 * gap_s <= LONGEST_ACK_S else ACK_DELAY_S


class Pace:
    """Knows how fast batches come, and how long each source has been quiet.

    Args:
        most_s: longest time that a batch waits for others, in seconds.
    """

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._at_s = -math.inf
        self._batches = 0.0
        self._readings = 0.0
        self._gaps_s = (math.inf, math.inf)
        self._stored_s: dict[str, float] = {}

    def come(self, device: str, readings: int, now_s: float) -> float:
        """Notes a batch that comes now, and says until when it may wait."""
        gap_s = now_s - self._at_s
        fading = math.exp(-gap_s / MEMORY_S)
        self._at_s, self._gaps_s = now_s, (self._gaps_s[1], gap_s)
        self._batches = self._batches * fading + 1
        self._readings = self._readings * fading + readings
        waits_s = linger_s(
            batches_s=self._batches / MEMORY_S,
            readings_s=self._readings / MEMORY_S,
            quiet_s=now_s - self._stored_s.get(device, now_s),
            most_s=self._most_s,
        )
        return now_s + waits_s

    def stored(self, device: str, now_s: float) -> None:
        """Notes that a batch of this source was stored: it may send the next one."""
        self._stored_s[device] = now_s

    @property
    def gap_s(self) -> float:
        """In how many seconds the next batch is to be expected, by the last two gaps; infinite where nobody can say."""
        return max(self._gaps_s)
