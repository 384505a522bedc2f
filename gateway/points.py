"""Points: what a reading's number stands for.

A point is named by its path, `site/area/line/device/tag`. Its number is given once, kept in the spool's database, and
never reused, so that a batch stored before a config change still reads right. A point whose unit or kind changes is
another point and gets another number: what was measured in bar is not read as psi later.

The table is plain memory. The spool loads it, and writes points that are new in the same transaction as the first
batch that may use them (`unsaved`, `mark_saved`): a stored batch never names a point that is not stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gateway.batch import Kind
from gateway.errors import TidegateError

__all__ = ["Point", "PointTable"]


class Point(NamedTuple):
    """One tag of one device.

    `kind` is None where the device decides per reading (an OPC UA node whose type was not declared).
    """

    number: int
    path: str
    device: str
    unit: str
    kind: Kind | None

    @property
    def tag(self) -> str:
        """The tag's name: the last segment of the path."""
        return self.path.rpartition("/")[2]


class PointTable:
    """Numbers to points and back. Numbers are dense and start at 1; 0 is no point."""

    def __init__(self, stored: Iterable[Point] = ()) -> None:
        """Takes the stored points.

        Raises:
            TidegateError: their numbers are not 1, 2, 3 and so on, so readings could be given to the wrong tag.
        """
        self._points: list[Point] = []
        self._numbers: dict[tuple[str, str, Kind | None], int] = {}
        self._saved = 0
        self.load(stored)

    def load(self, stored: Iterable[Point]) -> None:
        """Takes the stored points, into a table that has none yet.

        Raises:
            TidegateError: see above.
        """
        for point in stored:
            if point.number != len(self._points) + 1:
                raise TidegateError(f"point table: found number {point.number} where {len(self._points) + 1} was due")
            self._keep(point)
        self._saved = len(self._points)

    def __len__(self) -> int:
        return len(self._points)

    def __iter__(self) -> Iterator[Point]:
        return iter(self._points)

    def __contains__(self, number: int) -> bool:
        return 1 <= number <= len(self._points)

    def __getitem__(self, number: int) -> Point:
        """The point of this number.

        Raises:
            KeyError: no such number was ever given.
        """
        if number not in self:
            raise KeyError(number)
        return self._points[number - 1]

    def intern(self, path: str, *, device: str, unit: str = "", kind: Kind | None = None) -> int:
        """The number of this point; a new one where it was not known."""
        number = self._numbers.get((path, unit, kind))
        if number is None:
            number = len(self._points) + 1
            self._keep(Point(number, path, device, unit, kind))
        return number

    def unsaved(self) -> list[Point]:
        """Points that are not in the database yet, lowest number first."""
        return self._points[self._saved :]

    def mark_saved(self, number: int) -> None:
        """Says that all points up to and including this number are in the database."""
        self._saved = max(self._saved, number)

    def only_saved(self, number: int) -> None:
        """Says that the database is another one, or an earlier state: it has points up to this number only."""
        self._saved = number

    def _keep(self, point: Point) -> None:
        self._points.append(point)
        self._numbers[point.path, point.unit, point.kind] = point.number
