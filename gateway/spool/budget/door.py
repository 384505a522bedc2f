"""The swinging door: which readings of a series can go so that the line between those that stay tells them all. Pure.

From a reading that stays, a door opens to each later one: the slopes of all lines that pass it within the bound. As
long as the next reading itself lies in what all doors so far have in common, the line to it passes all between within
the bound. The first that does not makes the one before it stay, and the next doors hang there.

Invariants
- The first and the last of a series stay. Nothing is changed, no time and no value; readings only go.
- At the time of each reading that goes, the line between its neighbours that stay is no further off than the bound:
  exactly, for the doors are narrower than the bound by more than the rounding of 64-bit floats.
- Where time does not go forward, a value is no number, or is too large to be exact, readings stay.

Cost: about 0.3 us a reading.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Final

__all__ = ["LARGEST", "changes", "swinging_door"]

LARGEST: Final = float(1 << 53)
"""Whole numbers beyond it are not all to be told from their neighbours as floats."""

_ROUNDING_ULPS: Final = 16
_LEAST: Final = 3


def swinging_door(times: Sequence[int], values: Sequence[float], bound: float) -> list[int]:
    """Which readings stay, by their places, ascending.

    Args:
        times: of the readings, in ns, in their order.
        values: theirs, as many.
        bound: how far the line may be off, in the values' unit; 0 or more.
    """
    count = len(times)
    if count < _LEAST:
        return list(range(count))
    bound -= _ROUNDING_ULPS * math.ulp(max(bound, *map(abs, values)))
    if not bound > 0:  # nothing is left of it, or there is a value that is no number
        return changes(times, values)
    stay = [0]
    hinge_ns, hinge, place = times[0], values[0], 0
    low, high = _doorway(hinge)
    before_ns, before = hinge_ns, hinge
    for now_ns, value in zip(times[1:], values[1:], strict=True):
        place += 1
        run = now_ns - hinge_ns
        forward = now_ns > before_ns and -LARGEST <= value <= LARGEST
        if not (forward and low <= (value - hinge) / run <= high):
            if stay[-1] != place - 1:
                stay.append(place - 1)
                hinge_ns, hinge = before_ns, before
                low, high = _doorway(hinge)
                run = now_ns - hinge_ns
            if not (forward and low < high):
                stay.append(place)
                hinge_ns, hinge = now_ns, value
                low, high = _doorway(hinge)
                before_ns, before = now_ns, value
                continue
        below, above = (value - bound - hinge) / run, (value + bound - hinge) / run
        if below > low:
            low = below
        if above < high:
            high = above
        before_ns, before = now_ns, value
    if stay[-1] != count - 1:
        stay.append(count - 1)
    return stay


def changes(times: Sequence[int], values: Sequence[Hashable]) -> list[int]:
    """Which readings stay where all is told by those that differ from a neighbour, by their places, ascending.

    A reading goes where the one before and the one after it have the same value, and its time is between theirs.

    Args:
        times: of the readings, in ns, in their order.
        values: theirs, as many.
    """
    count = len(times)
    if count < _LEAST:
        return list(range(count))
    neighbours = zip(times, times[1:], times[2:], values, values[1:], values[2:], strict=False)
    inside = [
        place
        for place, (before, now, after, left, value, right) in enumerate(neighbours, start=1)
        if not (left == value == right and before < now < after)
    ]
    return [0, *inside, count - 1]


def _doorway(hinge: float) -> tuple[float, float]:
    """The slopes between which a door that hangs there may open; a value that is not exact lets none open."""
    return (-math.inf, math.inf) if -LARGEST <= hinge <= LARGEST else (math.inf, -math.inf)
