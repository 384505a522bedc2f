"""The high-water mark: how far the numbers had come, told outside the database. Pure.

A log that was cut off (by a repair of the file system, by hand) takes the newest commits with it, and SQLite cannot
know that there were more. Without a mark the next start would give their numbers to other batches, and receivers would
take those for duplicates. The mark stands in PATH.lock; it is written once a second at most, and without being forced
to the disk: after a power cut it may be older than the database, and then says nothing.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

from gateway.spool.totals import LARGEST_SEQ, Totals

__all__ = ["HighWater"]


class HighWater(NamedTuple):
    """What the newest commit had reached.

    Attributes:
        last_seq: the highest number given.
        accepted_batches: batches stored since the file was made.
        accepted_readings: their readings.
        waiting_readings: those that waited for the broker.
        oldest_at_ns: when the oldest of those was accepted, UTC ns; 0: none waited.
        last_gap: the highest number given in the gap ledger.
        reserved: numbers up to this one may have been given to batches that were never written; see `hold`.
    """

    last_seq: int = 0
    accepted_batches: int = 0
    accepted_readings: int = 0
    waiting_readings: int = 0
    oldest_at_ns: int = 0
    last_gap: int = 0
    reserved: int = 0

    @classmethod
    def of(cls, totals: Totals, *, reserved: int = 0) -> HighWater:
        """As these totals say, and what was reserved."""
        return cls(
            totals.last_seq,
            totals.accepted_batches,
            totals.accepted_readings,
            totals.readings,
            totals.oldest_at_ns or 0,
            totals.last_gap,
            reserved,
        )

    @property
    def packed(self) -> bytes:
        """A line of text; of one length, so that a shorter one leaves nothing of a longer one behind."""
        numbers = " ".join(f"{number:020}" for number in self)
        return f"{numbers} {zlib.crc32(numbers.encode()):010}\n".encode()

    @classmethod
    def read(cls, packed: bytes) -> HighWater:
        """From its line; nothing where it is not one."""
        numbers, _, check = packed.decode("ascii", errors="replace").strip().rpartition(" ")
        if not check.isdecimal() or int(check) != zlib.crc32(numbers.encode()):
            return cls()
        try:
            mark = cls(*map(int, numbers.split(" ")))
        except (TypeError, ValueError):
            return cls()
        return mark if max(mark.last_seq, mark.reserved) < LARGEST_SEQ else cls()

    def lost_readings(self, totals: Totals) -> int:
        """How many of the readings that waited the database does not have any more: at most so many."""
        return max(0, min(self.accepted_readings - totals.accepted_readings, self.waiting_readings))
