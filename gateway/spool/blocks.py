"""Blocks as rows of the database: what is stored of one, and what is left of it. Pure.

A block holds batches that lay one behind the other. It is never changed; what of it the broker has taken meanwhile
stands in a small row beside it (`Left`), so that an acknowledgement writes a kilobyte and not the block. With the last
of its batches the block goes. Thinning puts another block into its place, once; its codec says so, for a second time
would add a second error to the first.

The checksum covers the block and what its row says about it. A block is opened once more before the rows it was made
of are deleted (`seal`): a fault of ours, or of the memory, must not cost what was safe on disk.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import le
from typing import Any, Final

from gateway.errors import BadBatch
from gateway.spool.block import Entry, decode_block, encode_block
from gateway.spool.codec import Codec

__all__ = ["MOST_NUMBERS", "Block", "Left", "open_block", "seal"]

MOST_NUMBERS: Final = 1 << 16
"""Numbers between the first and the last batch of a block; bounds the memory of `Left`."""

_COLUMNS: Final = struct.Struct("<qqqII")


@dataclass(frozen=True, slots=True)
class Left:
    """What of a block still waits for the broker.

    Attributes:
        last: the block's highest number.
        first: its lowest.
        sizes: how many readings the batch of each number from `first` on has; 0 where it was taken, or is not there.
    """

    last: int
    first: int
    sizes: array[int]

    @property
    def batches(self) -> int:
        """Batches that wait."""
        return len(self.sizes) - self.sizes.count(0)

    @property
    def readings(self) -> int:
        """Their readings."""
        return sum(self.sizes)

    def without(self, seqs: Iterable[int]) -> Left:
        """The same after these were taken."""
        sizes = self.sizes[:]
        for seq in seqs:
            sizes[seq - self.first] = 0
        return replace(self, sizes=sizes)

    def packed(self) -> bytes:
        """What is stored of `sizes`."""
        return zlib.compress(self.sizes.tobytes(), 1)

    @classmethod
    def read(cls, last: int, first: int, packed: bytes) -> Left:
        """From its columns.

        Raises:
            BadBatch: they are not what was written.
        """
        if not (isinstance(first, int) and isinstance(packed, bytes) and 0 <= last - first < MOST_NUMBERS):
            raise BadBatch("a column of another type than was written")
        sizes = array("I")
        length = (last - first + 1) * sizes.itemsize
        unpacker = zlib.decompressobj()
        try:
            content = unpacker.decompress(packed, length + 1)
        except zlib.error as error:
            raise BadBatch(f"what is left of a block cannot be unpacked: {error}") from None
        if len(content) != length or not unpacker.eof:
            raise BadBatch("what is left of a block is of another length")
        sizes.frombytes(content)
        return cls(last, first, sizes)


@dataclass(frozen=True, slots=True)
class Block:
    """A block that is ready to be stored.

    Attributes:
        at_ns: when its first batch was accepted, UTC ns.
        data: the batches.
        left: all of them.
        codec: whether it was thinned.
    """

    at_ns: int
    data: bytes
    left: Left
    codec: Codec = Codec.BLOCK

    @property
    def columns(self) -> tuple[Any, ...]:
        """The row of `blocks`."""
        left = self.left
        said = (left.last, left.first, self.at_ns, left.batches, left.readings)
        return (*said, len(self.data), int(self.codec), _checksum(said, self.data), self.data)


def seal(entries: Sequence[Entry], *, codec: Codec = Codec.BLOCK) -> Block:
    """The block of these batches, proven to hold them.

    Args:
        entries: at least one.
        codec: whether they were thinned.

    Raises:
        BadBatch: it does not.
    """
    data = encode_block(entries)
    sizes = array("I", bytes(4 * (entries[-1].seq - entries[0].seq + 1)))
    for entry in entries:
        sizes[entry.seq - entries[0].seq] = len(entry.batch)
    left = Left(entries[-1].seq, entries[0].seq, sizes)
    if decode_block(data, batches=left.batches, readings=left.readings) != list(entries):
        raise BadBatch("a block that does not hold what was put into it")
    return Block(entries[0].at_ns, data, left, codec)


def open_block(columns: Sequence[Any]) -> list[Entry]:
    """The batches of a stored block.

    Args:
        columns: last, first, at_ns, batches, readings, codec, checksum, data.

    Raises:
        BadBatch: it is not what was written, or its numbers do not rise from `first` to `last`.
    """
    *said, codec, check, data = columns
    if codec not in (Codec.BLOCK, Codec.THINNED):
        raise BadBatch(f"codec {codec} is not known to this version")
    if not (isinstance(data, bytes) and all(isinstance(column, int) for column in said)):
        raise BadBatch("a column of another type than was written")
    try:
        found = _checksum(said, data)
    except struct.error:
        raise BadBatch("a column with a number that cannot be") from None
    if found != check:
        raise BadBatch("its checksum is wrong")
    last, first, _, batches, readings = said
    entries = decode_block(data, batches=batches, readings=readings)
    seqs = [entry.seq for entry in entries]
    if (seqs[0], seqs[-1]) != (first, last) or any(map(le, seqs[1:], seqs)):
        raise BadBatch("numbers that are not those of its row")
    return entries


def _checksum(said: Sequence[int], data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(_COLUMNS.pack(*said)))
