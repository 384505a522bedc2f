"""The spool's own books, read from its file after the gateway has stopped: what it accepted, and what still waits."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.config.models import DatabaseSettings
from gateway.demo.ledger import Ledger
from gateway.metrics import Metrics
from gateway.spool import Spool

__all__ = ["Books", "read_books"]

_READINGS_AT_ONCE: Final = 50_000


@dataclass(frozen=True, slots=True)
class Books:
    """What the file says.

    Attributes:
        accepted: readings accepted for sending since the file was made.
        first_seq: number of the first batch it ever had.
        last_seq: number of the last one.
        waiting: readings of each batch that still waits, by its number.
        dropped: readings that were dropped, for whatever cause.
    """

    accepted: int
    first_seq: int
    last_seq: int
    waiting: Mapping[int, int]
    dropped: int = 0

    def kept(self, received: Set[int]) -> int:
        """Readings that wait and have not been received; the broker may have some whose acknowledgement was lost."""
        return sum(readings for seq, readings in self.waiting.items() if seq not in received)

    def kept_batches(self, received: Set[int]) -> int:
        """Batches that wait and have not been received."""
        return len(self.waiting.keys() - received)

    def missing_batches(self, ledger: Ledger) -> int:
        """Batches of which the receiver booked nothing, and which do not wait either."""
        never_came = sum(hole.size for hole in ledger.seq_holes(first=self.first_seq, last=self.last_seq))
        return never_came - self.kept_batches(ledger.seqs)


async def read_books(path: Path) -> Books:
    """Reads the spool's file; no gateway may use it any more.

    Raises:
        SpoolError: it cannot be opened.
    """
    spool = await Spool.open(path, settings=DatabaseSettings(path=str(path)), metrics=Metrics())
    try:
        waiting: dict[int, int] = {}
        after = 0
        while rows := await spool.pending(after=after, limit_readings=_READINGS_AT_ONCE):
            waiting.update((row.seq, len(row.batch)) for row in rows)
            after = rows[-1].seq
        stats = spool.stats
    finally:
        await spool.close()
    return Books(
        accepted=stats.accepted_readings,
        # Numbers ascend without holes, so the count of batches tells where they began.
        first_seq=stats.last_seq - stats.accepted_batches + 1,
        last_seq=stats.last_seq,
        waiting=waiting,
        dropped=sum(stats.dropped.values()),
    )
