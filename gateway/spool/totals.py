"""What a spool's file says of itself beside its rows: totals, drops by cause, points, gaps to tell, devices seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import aiosqlite

from gateway.batch import Kind
from gateway.points import Point
from gateway.spool.damage import Damaged
from gateway.spool.hold import Passed
from gateway.spool.ledger.gaprows import GAPS_TO_TELL, gap_of_row
from gateway.spool.ledger.gaps import Ledger

__all__ = [
    "DROPPED",
    "LARGEST_SEQ",
    "POINTS",
    "TOTALS",
    "Totals",
    "dropped_of",
    "point_of",
    "read_dropped",
    "read_ledger",
    "read_passed",
    "read_seen",
    "read_totals",
    "totals_of",
]

TOTALS: Final = """
    SELECT last_seq, accepted_batches, accepted_readings, batches, readings, bytes,
           aside_batches, aside_readings, aside_bytes, blocks, block_readings, block_bytes,
           last_gap, gap_changes,
           (SELECT at_ns FROM (
               SELECT seq, at_ns FROM (SELECT seq, at_ns FROM batches ORDER BY seq LIMIT 1)
               UNION ALL SELECT last, at_ns FROM (SELECT last, at_ns FROM blocks ORDER BY last LIMIT 1)
               ORDER BY seq LIMIT 1))
    FROM totals
"""

DROPPED: Final = "SELECT cause, readings FROM dropped"
POINTS: Final = "SELECT number, path, device, unit, kind FROM points ORDER BY number"

LARGEST_SEQ: Final = 1 << 53
"""Where JSON readers that use f64 begin to confuse neighbours: a larger number in a damaged file is not believed."""


class Totals(NamedTuple):
    """The one row of the totals, and the time of the oldest row or block. What is in blocks is part of the rest."""

    last_seq: int = 0
    accepted_batches: int = 0
    accepted_readings: int = 0
    batches: int = 0
    readings: int = 0
    size_bytes: int = 0
    aside_batches: int = 0
    aside_readings: int = 0
    aside_bytes: int = 0
    blocks: int = 0
    block_readings: int = 0
    block_bytes: int = 0
    last_gap: int = 0
    gap_changes: int = 0
    oldest_at_ns: int | None = None

    @property
    def row_readings(self) -> int:
        """Readings that wait in rows of their own, not in blocks."""
        return self.readings - self.block_readings


async def read_totals(connection: aiosqlite.Connection) -> Totals:
    """The totals as the connection sees them now, a running transaction included."""
    return totals_of(list(await connection.execute_fetchall(TOTALS)))


def totals_of(rows: Sequence[Sequence[Any]]) -> Totals:
    """The totals, from what `TOTALS` gives.

    Raises:
        Damaged: they are none.
    """
    if not rows:
        raise Damaged("its totals are missing")
    totals = Totals(*rows[0])
    if not all(isinstance(number, int) for number in totals[:-1]):
        raise Damaged("its totals are no numbers")
    return totals if isinstance(totals.oldest_at_ns, int) else totals._replace(oldest_at_ns=None)


async def read_passed(connection: aiosqlite.Connection) -> Passed:
    """What was never written because the broker took it in time."""
    rows = list(await connection.execute_fetchall("SELECT reserved, batches, readings FROM passed"))
    return Passed(*rows[0]) if rows and all(isinstance(value, int) for value in rows[0]) else Passed()


async def read_seen(connection: aiosqlite.Connection) -> dict[str, int]:
    """When each device's batches were accepted last, UTC ns, to the minute: never too late."""
    rows = await connection.execute_fetchall("SELECT device, at_ns FROM seen")
    return {device.decode(errors="replace"): at_ns for device, at_ns in rows if isinstance(at_ns, int)}


async def read_dropped(connection: aiosqlite.Connection) -> dict[str, int]:
    """Readings lost since the file was made, by cause."""
    return dropped_of(await connection.execute_fetchall(DROPPED))


def dropped_of(rows: Iterable[Sequence[Any]]) -> dict[str, int]:
    """Readings lost by cause, from what `DROPPED` gives."""
    return {cause.decode(errors="replace"): readings for cause, readings in rows}


async def read_ledger(connection: aiosqlite.Connection) -> Ledger:
    """The gaps that nobody was told of."""
    ((last, changes),) = await connection.execute_fetchall("SELECT last_gap, gap_changes FROM totals")
    return Ledger(map(gap_of_row, await connection.execute_fetchall(GAPS_TO_TELL)), last=last, changes=changes)


def point_of(row: Sequence[Any]) -> Point:
    """One row of what `POINTS` gives.

    Raises:
        ValueError, AttributeError: it is none.
    """
    number, path, device, unit, kind = row
    return Point(number, path.decode(), device.decode(), unit.decode(), None if kind is None else Kind(kind))
