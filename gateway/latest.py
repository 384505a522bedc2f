"""The latest reading of each point, for people who look at a running gateway.

The flow only puts batches aside here, as the objects they are. When they add up they are folded: of each point its
last record stays. So a reading of a number costs about 0.1 us, and what is kept is bounded: per device one record of
each point that ever spoke, plus at most `FOLD_READINGS` readings; where that is more, eight of each point up to
`MOST_READINGS`, or one of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.batch import EMPTY, RECORD_BYTES, Batch

__all__ = ["FOLD_READINGS", "MOST_READINGS", "Latest", "fold"]

FOLD_READINGS: Final = 2_000
MOST_READINGS: Final = 50_000
_READINGS_PER_POINT: Final = 8


class Latest:
    """Keeps the latest readings of each device."""

    def __init__(self) -> None:
        self._shelves: dict[str, _Shelf] = {}

    def put(self, device: str, batch: Batch) -> None:
        """Notes a batch; those of one device come in their order."""
        shelf = self._shelves.get(device)
        if shelf is None:
            shelf = self._shelves[device] = _Shelf()
        shelf.put(batch)

    def of(self, device: str) -> Batch:
        """The latest reading of each of the device's points, in the order of the points' numbers."""
        shelf = self._shelves.get(device)
        return EMPTY if shelf is None else shelf.folded()

    def forget(self, device: str) -> None:
        """The device is no longer read, or is read anew: what it said is no longer what it says."""
        self._shelves.pop(device, None)

    def devices(self) -> list[str]:
        """Names of the devices that have said something."""
        return [*self._shelves]


class _Shelf:
    """Batches of one device, the oldest of them folded."""

    __slots__ = ("_batches", "_limit", "_readings")

    def __init__(self) -> None:
        self._batches: list[Batch] = []
        self._readings = 0
        self._limit = FOLD_READINGS

    def put(self, batch: Batch) -> None:
        self._batches.append(batch)
        self._readings += len(batch)
        if self._readings >= self._limit:
            self.folded()

    def folded(self) -> Batch:
        whole = fold(self._batches)
        self._batches = [whole]
        self._readings = len(whole)
        points = len(whole)
        more = max(points, min(_READINGS_PER_POINT * points, MOST_READINGS))
        self._limit = max(FOLD_READINGS, points + more)
        return whole


def fold(batches: Sequence[Batch]) -> Batch:
    """The last record of each point, in the order of the points' numbers.

    Args:
        batches: oldest first.
    """
    if any(batch.heap for batch in batches):
        last = {reading.point: reading for batch in batches for reading in _last_of(batch)}
        return Batch.of(last[point] for point in sorted(last))
    return _last_of(Batch(b"".join([batch.records for batch in batches])))


def _last_of(batch: Batch) -> Batch:
    """The last record of each of the batch's points; the heap stays whole."""
    place = dict(zip(batch.points(), range(0, len(batch.records), RECORD_BYTES), strict=True))
    records = batch.records
    return Batch(b"".join([records[place[point] : place[point] + RECORD_BYTES] for point in sorted(place)]), batch.heap)
