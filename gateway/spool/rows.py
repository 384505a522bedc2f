"""Stored rows on their way back: the query for what waits, and the check of each row that comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.batch import Batch
from gateway.errors import BadBatch
from gateway.spool.codec import checksum, decode
from gateway.spool.totals import Totals

__all__ = ["PENDING", "Row", "counted", "read_row", "rows_to_scan"]

MOST_SCANNED_ROWS: Final = 1024
"""Most rows one query looks at."""

# The inner queries read no blobs; only the rows before the one that passes the limit are read whole.
PENDING: Final = """
    WITH head AS (
        SELECT seq, readings FROM batches WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?
    ), running AS (
        SELECT seq, sum(readings) OVER (ORDER BY seq) - readings AS before FROM head
    )
    SELECT b.seq, b.device, b.at_ns, b.readings, b.codec, b.checksum, b.data
    FROM running JOIN batches b USING (seq) WHERE before < ? ORDER BY seq
"""
"""Rows that wait. Parameters: after which number, up to which, most rows, most readings (the row that reaches it is the
last)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One stored batch.

    Attributes:
        seq: its number, for good.
        device: who sent it.
        at_ns: when the spool took it, UTC ns.
        batch: the readings.
        readings: how many.
    """

    seq: int
    device: str
    at_ns: int
    batch: Batch
    readings: int


def counted(readings: object) -> int:
    """How many readings a column says that there are; 0 where it was damaged and says nothing."""
    return readings if isinstance(readings, int) else 0


def rows_to_scan(totals: Totals, *, limit_readings: int) -> int:
    """How many rows `PENDING` looks at: twice what the limit takes on average, as each may cost a page from disk."""
    readings_per_row = max(1, totals.readings // max(1, totals.batches))
    return max(1, min(MOST_SCANNED_ROWS, 2 * limit_readings // readings_per_row + 8))


def read_row(columns: Sequence[Any]) -> Row:
    """One row of `PENDING`.

    Raises:
        BadBatch: the row is not what was written.
    """
    seq, device, at_ns, readings, codec, check, data = columns
    if not (
        isinstance(device, bytes) and isinstance(data, bytes) and isinstance(readings, int) and isinstance(at_ns, int)
    ):
        raise BadBatch("a column of another type than was written")
    if checksum(device, data) != check:
        raise BadBatch("its checksum is wrong")
    if readings == 0:
        raise BadBatch("a row without readings")
    return Row(seq, device.decode(), at_ns, decode(codec, data, readings=readings), readings)
