"""When to poll next, when to ask a silent unit again, and how long to wait for one. Pure: times are parameters.

What is known to answer comes first. A unit that may be dead is asked, and waited for, in the time that is left until
somebody else would come late: so the dead do not delay the living.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

__all__ = [
    "Agenda",
    "Slot",
    "least_patience_s",
    "next_slot",
    "patience_s",
    "probe_delay_s",
    "probe_patience_s",
    "probes_free_again_s",
]

_LONGEST_SILENCE_S: Final = 60.0
"""A silent unit is asked at least this often, as long as its time-outs take less than a twentieth of the time."""


_SHARE_OF_SLACK: Final = 0.9
"""The rest is for dialling anew."""
_LEAST_SHARE: Final = 0.25
"""Of the time-out; no unit is judged by less, unless all answers come much sooner."""
_TIMES_USUAL: Final = 20
_LEAST_PATIENCE_S: Final = 0.05
_FULL_EVERY: Final = 8
_SPARED: Final = 20
"""Late polls that probes cause are at most one in so many."""


class Slot(NamedTuple):
    """The next poll: when, and how many polls were left out because the last one was still under way."""

    at_s: float
    missed: int


def next_slot(slot_s: float, *, now_s: float, interval_s: float) -> Slot:
    """The first slot of the fixed grid that is not over yet. What was missed is never caught up.

    Args:
        slot_s: the slot of the poll that has just ended.
        now_s: monotonic time.
        interval_s: distance of slots.
    """
    due_s = slot_s + interval_s
    if now_s <= due_s:
        return Slot(due_s, 0)
    missed = math.ceil((now_s - due_s) / interval_s)
    return Slot(due_s + missed * interval_s, missed)


def probe_delay_s(failures: int, *, interval_s: float, timeout_s: float) -> float:
    """Pause before a silent unit is asked again: doubles from the poll interval on, with a ceiling.

    Args:
        failures: times in a row that the unit did not answer, 1 or more.
        interval_s: poll interval.
        timeout_s: what each attempt may take away from the units that answer.
    """
    ceiling_s = max(_LONGEST_SILENCE_S, 20 * timeout_s)
    return min(ceiling_s, max(interval_s, timeout_s) * 2.0 ** min(failures - 1, 20))


def least_patience_s(*, timeout_s: float, usual_s: float) -> float:
    """The shortest wait by which a unit may be judged.

    Args:
        timeout_s: what an answer may take.
        usual_s: what the slowest of late took; 0 where there were none.
    """
    share_s = timeout_s * _LEAST_SHARE
    return share_s if usual_s <= 0 else min(share_s, max(_LEAST_PATIENCE_S, usual_s * _TIMES_USUAL))


def patience_s(slack_s: float, *, timeout_s: float, usual_s: float = 0.0) -> float:
    """How long to wait for a unit of which nothing is known, while others wait for their turn.

    Args:
        slack_s: until one of the others comes late.
        timeout_s: what an answer may take.
        usual_s: what the slowest of late took; 0 where there were none.
    """
    least_s = least_patience_s(timeout_s=timeout_s, usual_s=usual_s)
    return min(timeout_s, max(slack_s * _SHARE_OF_SLACK, least_s))


def probe_patience_s(
    slack_s: float, *, timeout_s: float, failures: int, is_free: bool, usual_s: float = 0.0
) -> float | None:
    """How long to wait for a silent unit's answer now; None: not now.

    Args:
        slack_s: until the next poll.
        timeout_s: what an answer may take.
        usual_s: what the slowest answer of late took; 0 where there were none.
        failures: times in a row that the unit did not answer.
        is_free: whether a probe may make a poll late (`probes_free_again_s`).
    """
    slack_s *= _SHARE_OF_SLACK
    enough = slack_s >= least_patience_s(timeout_s=timeout_s, usual_s=usual_s)
    if slack_s >= timeout_s or (is_free and (not enough or failures % _FULL_EVERY == 0)):
        return timeout_s
    return slack_s if enough else None


def probes_free_again_s(now_s: float, *, late_s: float, interval_s: float) -> float:
    """When a probe may next make a poll late, after one that did.

    Args:
        now_s: monotonic time.
        late_s: how much longer than the slack it took.
        interval_s: shortest poll interval.
    """
    return now_s + _SPARED * (late_s + interval_s) if late_s > 0 else now_s


class Agenda:
    """When each scan class is due.

    Args:
        intervals_s: of the classes.
        now_s: monotonic time: the first slot of all.
    """

    def __init__(self, intervals_s: Iterable[float], *, now_s: float) -> None:
        self._slots = dict.fromkeys(sorted(set(intervals_s)), now_s)
        self._running: set[float] = set()

    def due(self, now_s: float) -> list[float]:
        """The classes to begin now, shortest interval first."""
        return [interval for interval, slot_s in self._slots.items() if slot_s <= now_s and not self._is_on(interval)]

    def begin(self, interval_s: float) -> None:
        """A class is read from now on."""
        self._running.add(interval_s)

    def finish(self, interval_s: float, *, now_s: float) -> int:
        """A class has been read; says how many of its slots fell out meanwhile."""
        self._running.discard(interval_s)
        slot = next_slot(self._slots[interval_s], now_s=now_s, interval_s=interval_s)
        self._slots[interval_s] = slot.at_s
        return slot.missed

    def next_s(self) -> float:
        """When the next class is due."""
        return min(slot_s for interval, slot_s in self._slots.items() if not self._is_on(interval))

    def slack_s(self, now_s: float) -> float:
        """Seconds until a class comes late: one that is read must end by its next slot, another begin at its own."""
        return (
            min(
                slot_s + (interval if self._is_on(interval) or slot_s <= now_s else 0.0)
                for interval, slot_s in self._slots.items()
            )
            - now_s
        )

    def _is_on(self, interval_s: float) -> bool:
        return interval_s in self._running
