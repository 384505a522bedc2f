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
    """Numbers to points and back. Numbers are dense and start at 1; 0 is no point.

    Kept as columns, and a path as its folder, which a device's points share, and its tag: 100,000 points are 20 MB so,
    and half as much again as objects.

    Attributes:
        tags: the tag of each point, by its number. Not to be changed.
    """

    def __init__(self, stored: Iterable[Point] = ()) -> None:
        """Takes the stored points.

        Raises:
            TidegateError: their numbers are not 1, 2, 3 and so on, so readings could be given to the wrong tag.
        """
        self.tags: list[str] = [""]
        self._folders: list[str] = [""]
        self._devices: list[str] = [""]
        self._units: list[str] = [""]
        self._kinds: list[Kind | None] = [None]
        self._one: dict[str, str] = {}
        self._device_names: set[str] = set()
        self._newest: dict[str, dict[str, int]] = {}
        self._others: dict[tuple[str, str, Kind | None], int] = {}
        self._saved = 0
        self.load(stored)

    def load(self, stored: Iterable[Point]) -> None:
        """Takes the stored points, into a table that has none yet.

        Raises:
            TidegateError: see above.
        """
        for point in stored:
            if point.number != len(self) + 1:
                raise TidegateError(f"point table: found number {point.number} where {len(self) + 1} was due")
            self._keep(point.path, point.device, point.unit, point.kind)
        self._saved = len(self)

    def __len__(self) -> int:
        return len(self.tags) - 1

    def __iter__(self) -> Iterator[Point]:
        return (self[number] for number in range(1, len(self) + 1))

    def __contains__(self, number: int) -> bool:
        return 1 <= number <= len(self)

    def __getitem__(self, number: int) -> Point:
        """The point of this number.

        Raises:
            KeyError: no such number was ever given.
        """
        if number not in self:
            raise KeyError(number)
        path = self._folders[number] + self.tags[number]
        return Point(number, path, self._devices[number], self._units[number], self._kinds[number])

    def intern(self, path: str, *, device: str, unit: str = "", kind: Kind | None = None) -> int:
        """The number of this point; a new one where it was not known."""
        folder, tag = _parted(path)
        number = self._newest.get(folder, {}).get(tag)
        if number is None or (self._units[number], self._kinds[number]) != (unit, kind):
            number = self._others.get((path, unit, kind)) or self._keep(path, device, unit, kind)
        return number

    def unsaved(self) -> list[Point]:
        """Points that are not in the database yet, lowest number first."""
        return [self[number] for number in range(self._saved + 1, len(self) + 1)]

    def mark_saved(self, number: int) -> None:
        """Says that all points up to and including this number are in the database."""
        self._saved = max(self._saved, number)

    def has_device(self, name: str) -> bool:
        """Whether a device of this name has points, or had some once."""
        return name in self._device_names

    def only_saved(self, number: int) -> None:
        """Says that the database is another one, or an earlier state: it has points up to this number only."""
        self._saved = number

    def _keep(self, path: str, device: str, unit: str, kind: Kind | None) -> int:
        folder, tag = _parted(path)
        one = self._one.setdefault
        number = len(self.tags)
        self.tags.append(tag)
        self._folders.append(one(folder, folder))
        self._devices.append(one(device, device))
        self._device_names.add(device)
        self._units.append(one(unit, unit))
        self._kinds.append(kind)
        newest = self._newest.setdefault(folder, {})
        if tag in newest:
            # What it was before is seldom asked for, so only such points cost a key of their own.
            before = newest[tag]
            self._others[path, self._units[before], self._kinds[before]] = before
        newest[tag] = number
        return number


def _parted(path: str) -> tuple[str, str]:
    folder, slash, tag = path.rpartition("/")
    return folder + slash, tag
