"""Columns on disk, and back.

    column of words    u8 which of the eight byte planes are not all zero, lowest first; stream of those planes
    stream             u8 0: as it is, 1: deflate; u32 length; the bytes

A plane is the first, second ... byte of each word: after differences most planes are zero and cost nothing, the next
are all alike, and only the lowest is noise. How long a column is stands elsewhere, so a reader knows before it unpacks
how many bytes must come out, and takes no more: a few hostile bytes cannot ask for gigabytes.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from gateway.errors import BadBatch
from gateway.spool.block.lanes import WORD_BYTES

__all__ = ["ColumnReader", "ColumnWriter"]

_LEVEL: Final = 1
"""Level 6 takes four times as long and saves a twentieth."""

_RAW: Final = 0
_DEFLATE: Final = 1
_STREAM: Final = struct.Struct("<BI")


class ColumnWriter:
    """Collects columns, one after another."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def number(self, number: int) -> None:
        """One unsigned number of 64 bits."""
        self._parts.append(number.to_bytes(WORD_BYTES, "little"))

    def words(self, column: bytes) -> None:
        """A column of 64-bit words."""
        planes = [column[place::WORD_BYTES] for place in range(WORD_BYTES)]
        used = [any(plane) for plane in planes]
        self._parts.append(bytes([sum(1 << place for place in range(WORD_BYTES) if used[place])]))
        self.stream(b"".join(plane for plane, there in zip(planes, used, strict=True) if there))

    def stream(self, content: bytes) -> None:
        """Bytes."""
        packed = zlib.compress(content, _LEVEL)
        method = _DEFLATE if len(packed) < len(content) else _RAW
        kept = packed if method == _DEFLATE else content
        self._parts += (_STREAM.pack(method, len(kept)), kept)

    def done(self) -> bytes:
        """All of it."""
        return b"".join(self._parts)


class ColumnReader:
    """Reads what a `ColumnWriter` wrote. Every method raises `BadBatch` where that is not what is there."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self._at = at

    def number(self) -> int:
        """One unsigned number of 64 bits."""
        return int.from_bytes(self._take(WORD_BYTES), "little")

    def words(self, count: int) -> bytes:
        """A column of `count` words."""
        used = self._take(1)[0]
        planes = [place for place in range(WORD_BYTES) if used >> place & 1]
        content = self.stream(count * len(planes))
        column = bytearray(count * WORD_BYTES)
        for index, place in enumerate(planes):
            column[place::WORD_BYTES] = content[index * count : (index + 1) * count]
        return bytes(column)

    def stream(self, length: int) -> bytes:
        """As many bytes as must be there."""
        method, packed_length = _STREAM.unpack(self._take(_STREAM.size))
        packed = self._take(packed_length)
        if method == _RAW:
            content = packed
        elif method == _DEFLATE:
            content = _inflate(packed, length)
        else:
            raise BadBatch(f"a stream packed in way {method}, which is not known to this version")
        if len(content) != length:
            raise BadBatch(f"a stream of {len(content)} bytes where {length} belong")
        return content

    def end(self) -> None:
        """Nothing may follow."""
        if self._at != len(self._data):
            raise BadBatch(f"{len(self._data) - self._at} bytes too many")

    def _take(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._data):
            raise BadBatch(f"it ends {end - len(self._data)} bytes too early")
        taken = self._data[self._at : end]
        self._at = end
        return taken


def _inflate(packed: bytes, length: int) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(packed, length + 1)  # one more, so that 0 is not "without limit"
    except zlib.error as error:
        raise BadBatch(f"a stream cannot be unpacked: {error}") from None
    if not unpacker.eof or unpacker.unused_data:
        raise BadBatch("a stream does not end where it should")
    return content
