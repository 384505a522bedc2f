"""Fairness between devices within the backlog. Pure.

The backlog is read oldest first, a stretch at a time. Within a stretch devices take turns, by readings: the row of the
device that has had least goes next, and each device's own rows stay in their order. So a device with most of the
readings delays the others of the same stretch by what they send themselves, not by all that it has; and since a stretch
is short, no device gets further ahead in time than one.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.uplink.contract import Row

__all__ = ["in_turns"]


def in_turns(rows: Iterable[Row]) -> list[Row]:
    """The rows of one stretch in the order in which they are sent.

    Args:
        rows: by number.
    """
    had: dict[str, int] = {}
    due: list[tuple[int, int, Row]] = []
    for place, row in enumerate(rows):
        before = had.get(row.device, 0)
        due.append((before, place, row))
        had[row.device] = before + len(row.batch)
    due.sort(key=lambda one: one[:2])
    return [row for _, _, row in due]
