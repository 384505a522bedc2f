"""What can still be read of a damaged spool file: every row and block that is whole, in the order of their numbers.

The file is read page by page (`pages/`), so it does not matter which page is gone: the head, a root, or half the file.
A row is known by the types of its columns and believed for its checksum; a block is opened. The file is only read. No
process may write to it meanwhile.

    with Salvage(path) as salvage:
        table = salvage.points                # reads the file once: where everything is
        for saved in salvage.items():         # reads it a second time: one row or block in memory
            ...
        lost = salvage.lost                   # now it is known

- What waited for the broker is given, what was set aside is not (it is counted, and stays in the damaged file).
- Where the pages that say what was delivered are gone, delivered rows come once more, under the same numbers: whoever
  receives them drops them by `seq`, as after a crash.
- A point that cannot be read is called `unknown-point-NUMBER`. `highest_point` of what is given may lie above the last
  of `points`: who stores it elsewhere must not give such a number to another point.
- What is lost is known from the file's own totals, where these can be read; else only what was found broken is counted.

Memory: 60 bytes a row or block, and one of them at a time. Time, on one core: 2 s a gigabyte to look, then 0.3 us a
reading of rows and 0.5 us of blocks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, TypeAlias

from gateway.batch import Kind
from gateway.errors import BadBatch, SpoolError
from gateway.points import Point
from gateway.spool.blocks import MOST_NUMBERS, Left
from gateway.spool.repair.pages import Cell, PageFile, Record, read_cells
from gateway.spool.stored import Stored, StoredBlock, StoredRow, all_left

__all__ = ["Lost", "Salvage", "Saved", "read_all", "unknown_point"]

_Place: TypeAlias = int
"""A row's number, page and place on the page in one integer, which sorts by number and takes half a tuple's memory."""

_LARGEST_SEQ: Final = 1 << 53
_MOST_POINTS: Final = 1 << 24
_PAGE_BITS: Final = 32
_CELL_BITS: Final = 16

# Columns by their types: nothing (the key stands elsewhere), a number, a text, a blob. A new column of one of these
# tables must be added here; the tests of salvage fail without it.
_BATCH: Final = "-nnnnntb"
_ASIDE: Final = "-nnnnntbt"
_BLOCK: Final = "-nnnnnnnb"
_LEFT: Final = "-nnb"
_POINTS: Final = ("-tttn", "-ttt-")
_TOTALS: Final = "-" + "n" * 9
"""The first of them; later versions have more."""


class Saved(NamedTuple):
    """Something that is whole.

    Attributes:
        stored: the row or block.
        highest_point: the highest number of a point that its readings have.
    """

    stored: Stored
    highest_point: int


@dataclass(slots=True)
class Lost:
    """What could not be read, as far as is known.

    Attributes:
        readings: readings that waited and are not among what was given. None: nobody knows, as the totals are gone.
        batches: the same of batches.
        broken_rows: rows that were found, and are not what was written.
        broken_blocks: the same of blocks.
        unreadable_pages: pages that the disk did not give.
        missing_points: points that have lost their names.
        aside_readings: readings set aside that were found; they stay in the damaged file.
    """

    readings: int | None = None
    batches: int | None = None
    broken_rows: int = 0
    broken_blocks: int = 0
    unreadable_pages: int = 0
    missing_points: int = 0
    aside_readings: int = 0


class Salvage:
    """Reads a damaged spool file. A context manager.

    Args:
        path: the database; its log, where there is one, is PATH-wal.

    Attributes:
        points: the point table, numbered from 1 without holes.
        last_seq: the highest number of which the file knows; 0: none.
        lost: complete once `items` has come to its end.

    Raises:
        SpoolError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = PageFile(path)
        except OSError as error:
            raise SpoolError(
                f"Salvaging from {path}: it cannot be opened ({error.strerror}). "
                "Check its name, and that you may read it."
            ) from error
        self.lost = Lost()
        self.last_seq = 0
        self._totals: Sequence[int] = ()
        self._rows: list[_Place] = []
        self._blocks: list[_Place] = []
        self._lefts: dict[int, _Place] = {}
        try:
            self.points = self._look()
        except BaseException:
            self._file.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.__exit__()

    @property
    def held_readings(self) -> int | None:
        """Readings that waited, by the file's own totals; None: nobody knows."""
        return self._totals[4] if self._totals else None

    def items(self) -> Iterator[Saved]:
        """What is whole, by number; each number once."""
        batches = readings = 0
        end = highest_point = 0
        for place, is_block in self._in_order():
            saved = self._read(place, is_block=is_block, above=end)
            if saved is not None:
                end = saved.stored.last
                batches += saved.stored.batches
                readings += saved.stored.waiting
                highest_point = max(highest_point, saved.highest_point)
                self.last_seq = max(self.last_seq, end)
                yield saved
        self.lost.missing_points += max(0, highest_point - len(self.points))
        self.lost.unreadable_pages = self._file.unreadable_pages
        if self._totals:
            self.lost.batches = max(0, self._totals[3] - batches)
            self.lost.readings = max(0, self._totals[4] - readings)

    def _look(self) -> list[Point]:
        """Notes where everything is; reads the small things at once."""
        points: dict[int, Point] = {}
        aside: dict[int, int] = {}
        for number, page in self._file.used():
            cells = list(read_cells(page, usable_bytes=self._file.usable_bytes))
            for index in _ascending([-1 if cell is None else cell.number for cell in cells]):
                cell = cells[index]
                if cell is not None:
                    self._note(cell, number << _CELL_BITS | index, points, aside)
        self._rows.sort()
        self._blocks.sort()
        self.lost.aside_readings = sum(aside.values())
        known = max(points, default=0)
        self.lost.missing_points = known - len(points)
        return [points.get(number) or unknown_point(number) for number in range(1, known + 1)]

    def _note(self, cell: Cell, at: int, points: dict[int, Point], aside: dict[int, int]) -> None:
        try:
            record = Record(cell.local)
            if record.length != cell.payload_bytes:
                return
            shape = "".join(map(_letter, record.types))
            if shape == _BATCH and 0 < cell.number < _LARGEST_SEQ:
                self._rows.append(cell.number << (_PAGE_BITS + _CELL_BITS) | at)
            elif shape == _BLOCK and 0 < (first := _number(record, cell.local, 1)) <= cell.number < _LARGEST_SEQ:
                self._blocks.append(first << (_PAGE_BITS + _CELL_BITS) | at)
            elif shape == _LEFT:
                self._lefts[cell.number] = at
            elif shape == _ASIDE:
                aside[cell.number] = _number(record, cell.local, 2)
            elif shape in _POINTS and 0 < cell.number < _MOST_POINTS:
                points[cell.number] = _point(cell.number, record, self._file.payload(cell))
            elif shape.startswith(_TOTALS) and set(shape[1:]) == {"n"} and cell.number == 1:
                self._take_totals([1, *(_number(record, cell.local, column) for column in range(1, len(shape)))])
        except (BadBatch, ValueError):
            return  # It is no row of ours, or a broken one of a table that is not read here.

    def _take_totals(self, totals: Sequence[int]) -> None:
        if min(totals) >= 0 and 0 < totals[1] < _LARGEST_SEQ and totals[1] >= self.last_seq:
            self.last_seq = totals[1]
            self._totals = totals[1:]

    def _in_order(self) -> Iterator[tuple[_Place, bool]]:
        """Rows and blocks, by their lowest numbers, a block before its own rows.

        Where the log is gone, rows may still be there of which the block is there already. They count only where the
        block is broken.
        """
        rows, blocks = self._rows, self._blocks
        row = block = 0
        bits = _PAGE_BITS + _CELL_BITS
        while row < len(rows) or block < len(blocks):
            is_block = row == len(rows) or (block < len(blocks) and blocks[block] >> bits <= rows[row] >> bits)
            yield (blocks[block], True) if is_block else (rows[row], False)
            block += is_block
            row += not is_block

    def _cell(self, at: int) -> Cell:
        page = self._file.page(at >> _CELL_BITS & (1 << _PAGE_BITS) - 1)
        wanted = at & (1 << _CELL_BITS) - 1
        for index, cell in enumerate(read_cells(page, usable_bytes=self._file.usable_bytes)):
            if index == wanted and cell is not None:
                return cell
        raise BadBatch("it cannot be read a second time")

    def _read(self, place: _Place, *, is_block: bool, above: int) -> Saved | None:
        try:
            cell = self._cell(place)
            payload = self._file.payload(cell)
            record = Record(payload)
            stored = self._block(cell, record, payload) if is_block else _row(cell, record, payload)
            if stored.first <= above:
                return None  # It was given already, in another state of its page.
            if self._totals and stored.last > self._totals[0]:
                raise BadBatch(f"number {stored.last}, which was never given")
            highest = max((max(row.batch.check().points()) for row in stored.rows()), default=0)
        except BadBatch:
            if is_block:
                self.lost.broken_blocks += 1
            else:
                self.lost.broken_rows += 1
            return None
        return Saved(stored, highest) if stored.batches else None

    def _block(self, cell: Cell, record: Record, payload: bytes) -> StoredBlock:
        first, at_ns, batches, readings, size, codec, check = (_number(record, payload, at) for at in range(1, 8))
        data = _bytes(record, payload, 8)
        if len(data) != size or not 0 <= cell.number - first < MOST_NUMBERS:
            raise BadBatch("a column of another type than was written")
        columns = (cell.number, first, at_ns, batches, readings, codec, check, data)
        return StoredBlock(columns, self._left(cell.number, first) or all_left(columns))

    def _left(self, last: int, first: int) -> Left | None:
        at = self._lefts.get(last)
        try:
            if at is None:
                return None
            payload = self._file.payload(self._cell(at))
            return Left.read(last, first, _bytes(Record(payload), payload, 3))
        except BadBatch:
            return None


def read_all(path: Path) -> dict[str, Any]:
    """What can be read of a damaged file, as plain data for people.

    Raises:
        SpoolError: it cannot be opened.
    """
    batches = readings = first = 0
    with Salvage(path) as salvage:
        for saved in salvage.items():
            first = first or saved.stored.first
            batches += saved.stored.batches
            readings += saved.stored.waiting
        return {
            "readable": {"batches": batches, "readings": readings, "first_seq": first, "last_seq": salvage.last_seq},
            "points": len(salvage.points),
            "lost": asdict(salvage.lost),
        }


def _ascending(numbers: Sequence[int]) -> list[int]:
    """The places of the longest rising run of these; 0 and less do not count.

    A row's checksum does not cover its number. On a page they rise, so a number that was damaged mostly shows.
    """
    ends: list[int] = []  # the lowest number in which a run of each length can end
    places: list[int] = []
    before: list[int] = []
    for place, number in enumerate(numbers):
        length = bisect_left(ends, number) if number > 0 else -1
        before.append(places[length - 1] if length > 0 else -1)
        if length >= 0:
            ends[length : length + 1] = [number]
            places[length : length + 1] = [place]
    run: list[int] = []
    at = places[-1] if places else -1
    while at >= 0:
        run.append(at)
        at = before[at]
    return run[::-1]


def _row(cell: Cell, record: Record, payload: bytes) -> StoredRow:
    at_ns, readings, _, codec, check = (_number(record, payload, at) for at in range(1, 6))
    return StoredRow(cell.number, _bytes(record, payload, 6), at_ns, readings, codec, check, _bytes(record, payload, 7))


def _point(number: int, record: Record, payload: bytes) -> Point:
    path, device, unit = (_bytes(record, payload, at).decode() for at in range(1, 4))
    kind = record.field(payload, 4)
    return Point(number, path, device, unit, Kind(kind) if isinstance(kind, int) else None)


def unknown_point(number: int) -> Point:
    """What a point is called that has lost its name."""
    return Point(number, f"unknown-point-{number}", "", "", None)


def _number(record: Record, payload: bytes, column: int) -> int:
    value = record.field(payload, column)
    if not isinstance(value, int):
        raise BadBatch("a column of another type than was written")
    return value


def _bytes(record: Record, payload: bytes, column: int) -> bytes:
    value = record.field(payload, column)
    if not isinstance(value, bytes):
        raise BadBatch("a column of another type than was written")
    return value


def _letter(serial: int) -> str:
    if serial >= 12:
        return "t" if serial & 1 else "b"
    return "-" if serial == 0 else "r" if serial == 7 else "n"
