"""A carried file into batches, once all of it was checked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from gateway.errors import BadBatch, SpoolError
from gateway.points import Point, PointTable
from gateway.spool.carry import signing
from gateway.spool.carry.contents import (
    CarriedGap,
    Header,
    Kinds,
    Summary,
    checked_rows,
    of_json,
    unpack_block,
    unpack_gaps,
    unpack_points,
    unpack_row,
)
from gateway.spool.carry.frames import MAGIC, FrameReader
from gateway.spool.rows import Row
from gateway.spool.stored import Stored

__all__ = ["CarryReader", "Seal", "is_carried"]

_MOST_POINTS: Final = 1 << 20
_MOST_GAPS: Final = 1 << 18
_LONGEST_NAMES_BYTES: Final = 256 * 1024 * 1024
_LARGEST_SMALL_BYTES: Final = 1024 * 1024
_DIGEST_BYTES: Final = 32


class Seal(NamedTuple):
    """What stands at the end of a file: its hash, and who signed it."""

    digest: bytes
    public: bytes
    signature: bytes

    @property
    def is_whole(self) -> bool:
        """Whether the signature fits the key that the file itself names: no proof of origin, only of wholeness."""
        return self.is_by(self.public)

    def is_by(self, public: bytes) -> bool:
        """Whether the holder of this key has signed the file."""
        return signing.verify(public, self.signature, self.digest)


def is_carried(path: Path) -> bool:
    """Whether the file says of itself that it is one of these; False also where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


class CarryReader:
    """A carried file, open and checked. A context manager.

    Args:
        path: the file.

    Attributes:
        header: what it says at its begin.
        summary: what it says at its end.
        points: the point table.
        gaps: what the gateway knew to be missing.
        seal: the end.

    Raises:
        SpoolError: it cannot be read, is no such file, or is not whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb")
            self._size_bytes = path.stat().st_size
        except OSError as error:
            raise SpoolError(f"{path} cannot be read ({error.strerror})") from None
        self._points: list[Point] = []
        self.gaps: list[CarriedGap] = []
        self._batches = self._readings = self._first = self._last = self._highest_point = 0
        self._names_bytes = 0
        try:
            self._frames = FrameReader(self._file, self._size_bytes)
            self.header, self.summary, self.seal = self._check()
            self.points = PointTable(self._points)
        except OSError as error:
            self._file.close()
            raise SpoolError(f"{path} cannot be read ({error.strerror}). Copy it from its medium again") from None
        except SpoolError as error:
            self._file.close()
            raise SpoolError(f"{path}: {error}") from None
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def rows(self) -> Iterator[Row]:
        """All batches, by number. They were opened before; a file that changed meanwhile ends with an error.

        Raises:
            SpoolError: it cannot be read any more.
        """
        try:
            self._frames.seek(self._after_header)
            batches = 0
            while batches < self.summary.batches:
                at = self._frames.at
                kind, content = self._frames.section()
                if kind not in _DATA:
                    raise SpoolError("it changed while it was read")
                rows = self._open(kind, content, at)[1]
                batches += len(rows)
                yield from rows
        except OSError as error:
            raise SpoolError(f"{self.path} cannot be read any more ({error.strerror})") from None
        except SpoolError as error:
            raise SpoolError(f"{self.path}: {error}") from None

    def _check(self) -> tuple[Header, Summary, Seal]:
        frames = self._frames
        kind, content = frames.section()
        if kind != Kinds.HEADER:
            raise SpoolError("it does not begin with a header: it is damaged, or not made by tidegate")
        header = self._small(content, Header)
        self._after_header = frames.at
        before = Kinds.HEADER
        summary: Summary | None = None
        while True:
            at = frames.at
            kind, content = frames.section()
            if kind == Kinds.END:
                break
            if kind not in _FOLLOWS[before]:
                raise SpoolError(f"it is damaged at byte {at}: no section of kind {kind} can stand there")
            before = Kinds(kind)
            if kind in (Kinds.BLOCK, Kinds.ROW):
                self._take(*self._open(kind, content, at))
            elif kind == Kinds.SUMMARY:
                summary = self._small(content, Summary)
            else:
                self._take_list(kind, content, at)
        if summary is None or not frames.at_end or len(content) != _END_BYTES:
            raise SpoolError(f"it does not end as it should, at byte {at}: it is damaged")
        self._hold(summary)
        seal = Seal(content[:_DIGEST_BYTES], content[_DIGEST_BYTES:_KEY_END], content[_KEY_END:])
        if seal.digest != frames.digest_before or not seal.is_whole:
            raise SpoolError("its checksum is wrong: it was changed or damaged after it was made. Copy it again")
        return header, summary, seal

    def _open(self, kind: int, content: bytes, at: int) -> tuple[Stored, list[Row]]:
        try:
            stored: Stored = unpack_block(content) if kind == Kinds.BLOCK else unpack_row(content)
            rows = checked_rows(stored)
        except BadBatch as error:
            raise SpoolError(f"it is damaged in the section at byte {at}: {error}") from None
        return stored, rows

    def _take(self, stored: Stored, rows: list[Row]) -> None:
        numbers = [row.seq for row in rows]
        ascending = all(one < two for one, two in pairwise(numbers))
        if not rows or not ascending or stored.first <= self._last or not self._last < numbers[0]:
            raise SpoolError(f"numbers {stored.first} to {stored.last} stand where they cannot: it is damaged")
        self._batches += len(rows)
        self._readings += sum(row.readings for row in rows)
        self._first = self._first or stored.first
        self._last = stored.last
        self._highest_point = max(self._highest_point, *(max(row.batch.points()) for row in rows))

    def _take_list(self, kind: int, content: bytes, at: int) -> None:
        try:
            if kind == Kinds.GAPS:
                self.gaps += unpack_gaps(content)
            else:
                self._take_points(unpack_points(content))
            if len(self.gaps) > _MOST_GAPS:
                raise BadBatch("more gaps than can be")
        except BadBatch as error:
            raise SpoolError(f"it is damaged in the section at byte {at}: {error}") from None

    def _take_points(self, points: list[Point]) -> None:
        for point in points:
            self._names_bytes += len(point.path) + len(point.device) + len(point.unit)
            if point.number != len(self._points) + 1:
                raise BadBatch(f"point {point.number} where {len(self._points) + 1} is due")
            if point.number > _MOST_POINTS or self._names_bytes > _LONGEST_NAMES_BYTES:
                raise BadBatch("more points than can be")
            self._points.append(point)

    def _hold(self, summary: Summary) -> None:
        """Holds what was found against what the file says of itself."""
        found = (self._batches, self._readings, self._first, self._last, len(self._points), len(self.gaps))
        said = (summary.batches, summary.readings, summary.first, summary.last, summary.points, summary.gaps)
        if found != said:
            raise SpoolError(f"it holds {found} and says {said} of itself: it is damaged")
        if self._highest_point > len(self._points):
            raise SpoolError(f"a reading is of point {self._highest_point}, of {len(self._points)} points")

    @staticmethod
    def _small(content: bytes, model: type[Any]) -> Any:  # noqa: ANN401 - the model says it
        if len(content) > _LARGEST_SMALL_BYTES:
            raise SpoolError(f"its {model.__name__.lower()} is {len(content)} bytes long: it is damaged")
        try:
            return of_json(content, model)
        except BadBatch as error:
            raise SpoolError(f"it is damaged: {error}") from None


_KEY_END: Final = _DIGEST_BYTES + signing.KEY_BYTES
_END_BYTES: Final = _KEY_END + signing.SIGNATURE_BYTES
_DATA: Final = frozenset((Kinds.BLOCK, Kinds.ROW))
_TAIL: Final = frozenset((Kinds.GAPS, Kinds.POINTS, Kinds.SUMMARY))
_FOLLOWS: Final = {
    Kinds.HEADER: _DATA | _TAIL,
    Kinds.BLOCK: _DATA | _TAIL,
    Kinds.ROW: _DATA | _TAIL,
    Kinds.GAPS: _TAIL,
    Kinds.POINTS: _TAIL - {Kinds.GAPS},
    Kinds.SUMMARY: frozenset[Kinds](),
}
