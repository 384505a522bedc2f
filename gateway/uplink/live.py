"""The live queue: rows that go out as soon as a slot is free. Bounded in readings.

A row that does not fit is refused, not lost: it is in the spool and is sent from there. After a refusal the queue
takes nothing until it has drained to half, so that an overload gives long runs of rows to the spool and not every
second one.
"""

from __future__ import annotations

from collections import deque

from gateway.uplink.contract import LiveRow

__all__ = ["LiveQueue"]


class LiveQueue:
    """First in, first out.

    Args:
        max_readings: most readings that wait here; a single row beyond it never enters.
    """

    __slots__ = ("_max_readings", "_overflowed", "_rows", "readings")

    def __init__(self, max_readings: int) -> None:
        self._max_readings = max_readings
        self._rows: deque[LiveRow] = deque()
        self._overflowed = False
        self.readings = 0

    def __len__(self) -> int:
        return len(self._rows)

    def offer(self, row: LiveRow) -> bool:
        """Takes the row, or says False: it has to come from the spool."""
        if self._overflowed and self.readings > self._max_readings // 2:
            return False
        self._overflowed = self.readings + len(row.batch) > self._max_readings
        if self._overflowed:
            return False
        self._rows.append(row)
        self.readings += len(row.batch)
        return True

    def take(self) -> LiveRow | None:
        """The oldest row, or None."""
        if not self._rows:
            return None
        row = self._rows.popleft()
        self.readings -= len(row.batch)
        return row
