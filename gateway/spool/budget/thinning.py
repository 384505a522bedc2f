"""What is left of batches once they were thinned: each point's readings go through the swinging door. Pure.

Only points with a bound are thinned; alarms have none. Of those, readings stay

- that are bad, or before which the source lost some (`Flag.LOST_BEFORE`);
- that are the first or the last of a run of one status, kind and flags. A run ends with the batches given, too;
- in a batch that may be on its way in several messages: a receiver that has one part of it keeps that part, and the
  parts of what is left would be others under the same numbers.

Numbers are thinned along lines; whole numbers as well. A truth value, a text or bytes go where both neighbours are the
same, whatever the bound.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, compress, groupby, pairwise
from typing import Final, NamedTuple

from gateway.batch import EMPTY, RECORD_BYTES, Batch, Flag, Kind, is_bad
from gateway.spool.block import Entry
from gateway.spool.block.texts import TEXT_KINDS
from gateway.spool.budget.door import changes, swinging_door

__all__ = ["Removed", "Thinned", "thin"]

_POINT_MASK: Final = (1 << 32) - 1
_STATUS_BIT: Final = 32
_KIND_BIT: Final = 48
_FLAGS_BIT: Final = 56
_LEAST: Final = 3
"""Readings of which one can go."""

_UNTOUCHED: Final = -1


class Removed(NamedTuple):
    """What went of one point.

    Attributes:
        point: its number.
        device: whose it is.
        readings: how many.
        first_ns: the earliest time among them, UTC ns.
        last_ns: the latest.
    """

    point: int
    device: str
    readings: int
    first_ns: int
    last_ns: int


class Thinned(NamedTuple):
    """What is left, and what went.

    Attributes:
        entries: the batches, without those of which nothing is left.
        removed: what went, by the numbers of the points.
    """

    entries: list[Entry]
    removed: list[Removed]

    @property
    def readings(self) -> int:
        """How many readings went."""
        return sum(one.readings for one in self.removed)


def thin(
    entries: Sequence[Entry], bounds: Mapping[int, float], *, untouched: Callable[[Entry], bool] = lambda _entry: False
) -> Thinned:
    """Thins batches.

    Args:
        entries: in the order of their numbers.
        bounds: by point, how far a reading that goes may be from the line between those that stay, in its unit.
        untouched: whether a batch is to stay as it is.
    """
    columns = _Columns(entries)
    stays = bytearray(b"\1") * len(columns.times)
    removed = []
    for point, places in columns.places(bounds, untouched).items():
        gone = [place for run in columns.runs(places) for place in columns.gone(run, bounds[point])]
        if gone:
            for place in gone:
                stays[place] = 0
            times = [columns.times[place] for place in gone]
            device = entries[columns.entry_at(gone[0])].device
            removed.append(Removed(point, device, len(gone), min(times), max(times)))
    if not removed:
        return Thinned(list(entries), [])
    left = [
        entry._replace(batch=batch)
        for entry, (start, stop) in zip(entries, pairwise(columns.starts), strict=True)
        if (batch := _left(entry.batch, stays[start:stop]))
    ]
    return Thinned(left, sorted(removed))


class _Columns:
    """The readings of all batches by column. A place is a reading's index among them."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        words = memoryview(b"".join([entry.batch.records for entry in entries])).cast("Q")
        self.times: list[int] = words.cast("B").cast("q")[0::3].tolist()
        self.starts = list(accumulate([len(entry.batch) for entry in entries], initial=0))
        self._entries = entries
        self._unsigned: list[int] = words[1::3].tolist()
        self._numbers: Mapping[int, Sequence[float]] = {
            Kind.F64: words.cast("B").cast("d")[1::3].tolist(),
            Kind.I64: words.cast("B").cast("q")[1::3].tolist(),
            Kind.U64: self._unsigned,
        }
        self._channels: list[int] = words[2::3].tolist()
        """Point, status, kind and flags of each."""

    def places(self, bounds: Mapping[int, float], untouched: Callable[[Entry], bool]) -> dict[int, list[int]]:
        """Where the readings of each point with a bound are."""
        found: dict[int, list[int]] = {point: [] for point in bounds}
        others: list[int] = []
        homes = {channel: found.get(channel & _POINT_MASK, others) for channel in set(self._channels)}
        for place, channel in enumerate(self._channels):
            homes[channel].append(place)
        for entry, (start, stop) in zip(self._entries, pairwise(self.starts), strict=True):
            if untouched(entry):
                self._channels[start:stop] = [_UNTOUCHED] * (stop - start)
        return found

    def runs(self, places: Sequence[int]) -> Iterator[list[int]]:
        """Those parts of a series of which something may go."""
        for channel, group in groupby(places, key=self._channels.__getitem__):
            run = list(group)
            if channel == _UNTOUCHED or len(run) < _LEAST:
                continue
            if not is_bad(channel >> _STATUS_BIT & 0xFFFF) and not channel >> _FLAGS_BIT & Flag.LOST_BEFORE:
                yield run

    def gone(self, run: Sequence[int], bound: float) -> list[int]:
        """The places of those readings of a run that go."""
        kind = self._channels[run[0]] >> _KIND_BIT & 0xFF
        times = [self.times[place] for place in run]
        if kind in self._numbers:
            column = self._numbers[kind]
            stay = swinging_door(times, [column[place] for place in run], bound)
        elif kind in TEXT_KINDS:
            stay = changes(times, [self._text(place) for place in run])
        else:
            stay = changes(times, [self._unsigned[place] for place in run])
        return [run[index] for before, after in pairwise(stay) for index in range(before + 1, after)]

    def entry_at(self, place: int) -> int:
        """The index of the batch in which a reading is."""
        return bisect_right(self.starts, place) - 1

    def _text(self, place: int) -> bytes:
        return _span(self._entries[self.entry_at(place)].batch.heap, self._unsigned[place])


def _left(batch: Batch, stays: bytearray) -> Batch:
    """The readings of a batch that stay."""
    if all(stays):
        return batch
    if not any(stays):
        return EMPTY
    chunks = [batch.records[start : start + RECORD_BYTES] for start in range(0, len(batch.records), RECORD_BYTES)]
    left = Batch(b"".join(compress(chunks, stays)), batch.heap)
    return _packed(left) if batch.heap else left


def _packed(batch: Batch) -> Batch:
    """The same with nothing in its heap that none of its readings needs."""
    records = bytearray(batch.records)
    words = memoryview(records).cast("Q")
    heap = bytearray()
    for number, kind in enumerate(batch.kinds()):
        if kind in TEXT_KINDS:
            text = _span(batch.heap, words[3 * number + 1])
            words[3 * number + 1] = len(text) << 32 | len(heap)
            heap += text
    return Batch(bytes(records), bytes(heap))


def _span(heap: bytes, word: int) -> bytes:
    offset = word & 0xFFFFFFFF
    return heap[offset : offset + (word >> 32)]
