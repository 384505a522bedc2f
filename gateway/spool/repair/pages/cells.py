"""The rows on one page of a table, and the values in one row. Pure; foreign bytes cannot do more than be refused."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

from gateway.errors import BadBatch

__all__ = ["Cell", "Field", "Record", "read_cells"]

Field: TypeAlias = int | float | bytes | None
"""A value of a row; a text is its bytes."""

_LEAF_OF_TABLE: Final = 13
_HEAD_BYTES: Final = 8
_OVERFLOW: Final = struct.Struct(">I")
_REAL: Final = struct.Struct(">d")
_INTEGER_BYTES: Final = (0, 1, 2, 3, 4, 6, 8)
_REAL_TYPE: Final = 7
_ZERO_TYPE: Final = 8
_ONE_TYPE: Final = 9
_FIRST_BLOB_TYPE: Final = 12
_MOST_COLUMNS: Final = 64


class Cell(NamedTuple):
    """One row as it lies on its page.

    Attributes:
        number: its rowid.
        payload_bytes: length of the whole row.
        local: what of it lies on the page.
        overflow: the page on which it goes on; 0: it does not.
    """

    number: int
    payload_bytes: int
    local: bytes
    overflow: int


class Record:
    """The head of a row, read before the rest of it is fetched.

    Args:
        head: the row from its begin on; may be cut behind its head.

    Attributes:
        types: the serial type of each column.

    Raises:
        BadBatch: it is no row.
    """

    __slots__ = ("_starts", "types")

    def __init__(self, head: bytes) -> None:
        end, at = _varint(head, 0)
        if not at <= end <= len(head):
            raise BadBatch("a row's head reaches beyond it")
        types: list[int] = []
        starts = [end]
        while at < end and len(types) < _MOST_COLUMNS:
            serial, at = _varint(head, at)
            types.append(serial)
            starts.append(starts[-1] + _length(serial))
        if at != end:
            raise BadBatch("a row's head is of another length")
        self.types = tuple(types)
        self._starts = starts

    @property
    def length(self) -> int:
        """Bytes of the whole row."""
        return self._starts[-1]

    def field(self, payload: bytes, column: int) -> Field:
        """The value in one column.

        Args:
            payload: the row, at least up to this column's end.
            column: from 0.

        Raises:
            BadBatch: the row ends before.
        """
        start, end = self._starts[column], self._starts[column + 1]
        if end > len(payload):
            raise BadBatch("a row ends too early")
        serial = self.types[column]
        if serial >= _FIRST_BLOB_TYPE:
            return payload[start:end]
        if serial == _REAL_TYPE:
            number: float = _REAL.unpack_from(payload, start)[0]
            return number
        if serial in (_ZERO_TYPE, _ONE_TYPE):
            return serial - _ZERO_TYPE
        return int.from_bytes(payload[start:end], "big", signed=True) if serial else None


def read_cells(page: bytes, *, usable_bytes: int) -> Iterator[Cell | None]:
    """The rows on a page; None for each that cannot be read, nothing where it is no page of a table's rows.

    Args:
        page: the page.
        usable_bytes: of each page of this file.
    """
    if len(page) <= _HEAD_BYTES or page[0] != _LEAF_OF_TABLE:
        return
    end = _HEAD_BYTES + 2 * int.from_bytes(page[3:5], "big")
    if end > min(usable_bytes, len(page)):
        return
    for place in range(_HEAD_BYTES, end, 2):
        start = int.from_bytes(page[place : place + 2], "big")
        try:
            yield _cell(page, start, usable_bytes) if start >= end else None
        except BadBatch:
            yield None


def _cell(page: bytes, start: int, usable_bytes: int) -> Cell:
    payload_bytes, at = _varint(page, start)
    number, at = _varint(page, at)
    if number >> 63:
        number -= 1 << 64
    most = usable_bytes - 35
    local = payload_bytes
    if payload_bytes > most:
        least = (usable_bytes - 12) * 32 // 255 - 23
        local = least + (payload_bytes - least) % (usable_bytes - 4)
        if local > most:
            local = least
    end = at + local
    overflow = 0
    edge = min(usable_bytes, len(page))  # the last page of a file that was cut is shorter
    if payload_bytes > most:
        if end + _OVERFLOW.size > edge:
            raise BadBatch("a row reaches beyond its page")
        overflow = _OVERFLOW.unpack_from(page, end)[0]
    elif end > edge:
        raise BadBatch("a row reaches beyond its page")
    return Cell(number, payload_bytes, page[at:end], overflow)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, and where it ends."""
    number = 0
    for _ in range(8):
        if at >= len(data):
            raise BadBatch("a number reaches beyond the page")
        byte = data[at]
        at += 1
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            return number, at
    if at >= len(data):
        raise BadBatch("a number reaches beyond the page")
    return number << 8 | data[at], at + 1


def _length(serial: int) -> int:
    if serial >= _FIRST_BLOB_TYPE:
        return (serial - _FIRST_BLOB_TYPE) // 2
    if serial == _REAL_TYPE:
        return 8
    if serial in (_ZERO_TYPE, _ONE_TYPE):
        return 0
    if serial >= len(_INTEGER_BYTES):
        raise BadBatch(f"a column of type {serial}")
    return _INTEGER_BYTES[serial]
