"""The write-ahead log: which pages are in it, and where. Reads only.

SQLite believes the log up to the first frame that is damaged. Here a damaged frame is passed over, and those behind it
count, for each of them can be checked by itself: the checksum of a frame begins with that of the frame before. Frames
behind the last commit are of a transaction that never was, and are left out.
"""

from __future__ import annotations

import struct
from array import array
from typing import BinaryIO, Final

__all__ = ["read_log"]

_MAGIC: Final = 0x377F0682
_HEAD: Final = struct.Struct(">8I")
_FRAME: Final = struct.Struct(">6I")
_SUMMED_BYTES: Final = 8
_PAGE_SIZES: Final = frozenset(1 << bits for bits in range(9, 17))
_MASK: Final = 0xFFFFFFFF


def read_log(file: BinaryIO) -> tuple[int, int, dict[int, int]]:
    """What the log says.

    Args:
        file: the log.

    Returns:
        Bytes of a page, pages of the database after the last commit, and where in the log each page begins; zeros and
        nothing where the log cannot be used.
    """
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return 0, 0, {}
    magic, _, page_bytes, _, *salts_and_sums = _HEAD.unpack(head)
    swapped = bool(magic & 1)
    salts, sums = salts_and_sums[:2], (salts_and_sums[2], salts_and_sums[3])
    sound = page_bytes in _PAGE_SIZES and magic & ~1 == _MAGIC
    if not sound or _checksum((0, 0), head[:-_SUMMED_BYTES], swapped=swapped) != sums:
        return 0, 0, {}
    pages: dict[int, int] = {}
    uncommitted: dict[int, int] = {}
    database_pages = 0
    at = _HEAD.size
    while len(frame := file.read(_FRAME.size + page_bytes)) == _FRAME.size + page_bytes:
        number, size, *rest = _FRAME.unpack_from(frame)
        if rest[:2] != salts:
            break  # of an earlier use of the log
        found = _checksum(sums, frame[:_SUMMED_BYTES], swapped=swapped)
        found = _checksum(found, frame[_FRAME.size :], swapped=swapped)
        sums = (rest[2], rest[3])
        if found == sums:
            uncommitted[number] = at + _FRAME.size
            if size:
                pages |= uncommitted
                uncommitted.clear()
                database_pages = size
        at += len(frame)
    return page_bytes, database_pages, pages


def _checksum(sums: tuple[int, int], data: bytes, *, swapped: bool) -> tuple[int, int]:
    words = array("I", data)
    if swapped:
        words.byteswap()
    one, two = sums
    for index in range(0, len(words), 2):
        one = (one + words[index] + two) & _MASK
        two = (two + words[index + 1] + one) & _MASK
    return one, two
