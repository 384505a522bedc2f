"""When to poll next, and when to ask a silent unit again. Pure: times are parameters."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

__all__ = ["LONGEST_SILENCE_S", "Slot", "next_slot", "probe_delay_s"]

LONGEST_SILENCE_S: Final = 60.0
"""A silent unit is asked at least this often, as long as its time-outs take less than a twentieth of the time."""


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
    ceiling_s = max(LONGEST_SILENCE_S, 20 * timeout_s)
    return min(ceiling_s, max(interval_s, timeout_s) * 2.0 ** min(failures - 1, 20))
