"""How a batch is written into one row's blob, and read back.

A row says in its `codec` column which layout its blob has, so that files with rows of several codecs read right.

    PLAIN   u32 count of records, little-endian; count * 24 bytes of records; the heap
    BLOCK   many batches, compressed; see `gateway.spool.block`. Not a row's, but a block's (`blocks.py`)
    THINNED the same of batches from which readings were taken out within an error bound (`budget/thinning.py`)

A single row is not compressed: zlib at level 1 takes 75 us off a core for 100 readings and saves 40 %, for a row that
the broker mostly takes within a second. Rows that stay are merged into blocks, which pays (`merge.py`).

The checksum is the store's, not the codec's: it covers the blob and the device's name, because SQLite itself checks
neither once a page has left the write-ahead log, and a reading that a failing flash has changed must not be sent.
"""

from __future__ import annotations

import struct
import zlib
from enum import IntEnum
from typing import Final

from gateway.batch import RECORD_BYTES, Batch
from gateway.errors import BadBatch

__all__ = ["Codec", "checksum", "decode", "encode"]

_COUNT: Final = struct.Struct("<I")


class Codec(IntEnum):
    """Layouts of a blob. A number is given once and never changes its meaning."""

    PLAIN = 1
    BLOCK = 2
    THINNED = 3


def encode(batch: Batch) -> tuple[Codec, bytes]:
    """The blob of a batch, and the codec that made it."""
    return Codec.PLAIN, b"".join((_COUNT.pack(len(batch)), batch.records, batch.heap))


def decode(codec: int, data: bytes, *, readings: int) -> Batch:
    """The batch in a blob.

    Args:
        codec: the row's codec.
        data: the blob.
        readings: how many readings the row says the blob holds.

    Raises:
        BadBatch: the codec is not known, or the blob does not hold that many readings.
    """
    if codec != Codec.PLAIN:
        raise BadBatch(f"codec {codec} is not known to this version, or not for a row")
    end = _COUNT.size + readings * RECORD_BYTES
    if readings < 0 or len(data) < end or _COUNT.unpack_from(data)[0] != readings:
        raise BadBatch(f"{len(data)} bytes that do not hold {readings} readings")
    return Batch(data[_COUNT.size : end], data[end:])


def checksum(device: bytes, data: bytes) -> int:
    """CRC-32 over what a row says: who sent it, and what."""
    return zlib.crc32(data, zlib.crc32(device))
