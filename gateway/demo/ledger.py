"""The receiver's book: what arrived at the broker's far side. Pure; told message by message.

Invariants
- A message is known by (seq, part). The second one with the same pair is a duplicate and changes nothing else.
- Nothing is assumed of the order: replayed messages arrive beside live ones.
- Latency is counted of live messages only, from a reading's source time to its arrival here.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

__all__ = ["Hole", "Last", "Ledger", "Message", "MessageReading", "holes", "percentile"]

COUNTER_PREFIX = "Load."


class MessageReading(msgspec.Struct):
    """One reading as it is published. `ts` is in milliseconds since 1970."""

    tag: str
    ts: float
    value: Any
    quality: str


class Message(msgspec.Struct):
    """One published message."""

    gateway: str
    device: str
    seq: int
    part: int
    replayed: bool
    readings: list[MessageReading]


class Hole(NamedTuple):
    """Numbers that never came: `first` to `last`, both missing.

    `from_ms` and `to_ms` are the source times of the readings around it; 0 where there are none.
    """

    first: int
    last: int
    from_ms: float = 0.0
    to_ms: float = 0.0

    @property
    def size(self) -> int:
        """How many numbers are missing."""
        return self.last - self.first + 1


class Last(NamedTuple):
    """The newest reading of a tag."""

    ts_ms: float
    value: Any
    quality: str


class Ledger:
    """Counts what arrived."""

    def __init__(self) -> None:
        self._sizes: dict[tuple[int, int], int] = {}
        self._counters: dict[str, dict[int, float]] = {}
        self._latencies_ms = array("d")
        self.last: dict[tuple[str, str], Last] = {}
        """Newest reading of each (device, tag)."""
        self.received = 0
        """Readings, duplicates left out."""
        self.replayed = 0
        """Readings among them that came from the backlog."""
        self.duplicates = 0
        """Readings that came once more."""
        self.conflicts = 0
        """Duplicates that do not carry what the first one did. There must be none."""

    def add(self, message: Message, *, arrived_ms: float) -> bool:
        """Books one message; says whether it was new.

        Args:
            message: as decoded from the wire.
            arrived_ms: when it arrived, milliseconds since 1970.
        """
        key = (message.seq, message.part)
        size = len(message.readings)
        known = self._sizes.get(key)
        if known is not None:
            self.duplicates += size
            self.conflicts += known != size
            return False
        self._sizes[key] = size
        self.received += size
        if message.replayed:
            self.replayed += size
        else:
            self._latencies_ms.extend(arrived_ms - reading.ts for reading in message.readings)
        for reading in message.readings:
            self._book(message.device, reading)
        return True

    def _book(self, device: str, reading: MessageReading) -> None:
        key = (device, reading.tag)
        last = self.last.get(key)
        if last is None or reading.ts >= last.ts_ms:
            self.last[key] = Last(reading.ts, reading.value, reading.quality)
        if reading.tag.startswith(COUNTER_PREFIX) and isinstance(reading.value, int):
            self._counters.setdefault(reading.tag, {})[reading.value] = reading.ts

    @property
    def seqs(self) -> set[int]:
        """Sequence numbers of which something arrived."""
        return {seq for seq, _ in self._sizes}

    def seq_holes(self, *, first: int | None = None, last: int | None = None) -> list[Hole]:
        """Sequence numbers of which nothing arrived; see `holes` for the limits."""
        return holes(self.seqs, first=first, last=last)

    def counter_holes(self) -> dict[str, list[Hole]]:
        """Of each counter that does not show every value: what is missing, with the source times around it."""
        found = {tag: _counter_holes(seen) for tag, seen in self._counters.items()}
        return {tag: missing for tag, missing in found.items() if missing}

    @property
    def counters(self) -> int:
        """How many counters have been seen."""
        return len(self._counters)

    def latency_ms(self, *shares: float) -> list[float]:
        """Percentiles of the live readings' latency, in milliseconds; NaN while there are none."""
        ordered = sorted(self._latencies_ms)
        return [percentile(ordered, share) for share in shares]


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of a sorted sequence; `share` is 0 to 1. NaN of an empty one."""
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def holes(numbers: Iterable[int], *, first: int | None = None, last: int | None = None) -> list[Hole]:
    """The gaps in a set of whole numbers, ascending.

    Args:
        numbers: in any order; repeated ones count once.
        first: the least that should be there; default: the least that is.
        last: the greatest that should be there; default: the greatest that is.
    """
    ordered = sorted(set(numbers))
    if first is not None:
        ordered = [first - 1, *(number for number in ordered if number >= first)]
    if last is not None:
        ordered = [*(number for number in ordered if number <= last), last + 1]
    return [Hole(before + 1, after - 1) for before, after in pairwise(ordered) if after - before > 1]


def _counter_holes(seen: dict[int, float]) -> list[Hole]:
    return [Hole(first, last, seen[first - 1], seen[last + 1]) for first, last, _, _ in holes(seen)]
