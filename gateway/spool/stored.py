"""Rows and blocks as they are stored, on their way to another file: verbatim, so that nothing is lost in between.

Salvage gives them, an export carries them, and a fresh spool may take them as they are. Pure.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

from gateway.errors import BadBatch
from gateway.spool.blocks import Left, open_block
from gateway.spool.rows import Row, read_row

__all__ = ["Stored", "StoredBlock", "StoredRow", "all_left"]


class StoredRow(NamedTuple):
    """The columns of a row of `batches` that make a batch, in the order in which `read_row` takes them."""

    seq: int
    device: bytes
    at_ns: int
    readings: int
    codec: int
    checksum: int
    data: bytes

    @property
    def first(self) -> int:
        """Its lowest number."""
        return self.seq

    @property
    def last(self) -> int:
        """Its highest number."""
        return self.seq

    @property
    def batches(self) -> int:
        """Batches that wait in it."""
        return 1

    @property
    def waiting(self) -> int:
        """Readings that wait in it."""
        return self.readings

    def rows(self) -> list[Row]:
        """What waits in it.

        Raises:
            BadBatch: it is not what was written.
        """
        try:
            return [read_row(self)]
        except UnicodeDecodeError as error:
            raise BadBatch(f"its device has no name: {error}") from None


class StoredBlock(NamedTuple):
    """A row of `blocks`, and what of it waits.

    Attributes:
        columns: last, first, at_ns, batches, readings, codec, checksum, data, as `open_block` takes them.
        left: what waits.
    """

    columns: tuple[int, int, int, int, int, int, int, bytes]
    left: Left

    @property
    def first(self) -> int:
        """Its lowest number."""
        return self.columns[1]

    @property
    def last(self) -> int:
        """Its highest number."""
        return self.columns[0]

    @property
    def batches(self) -> int:
        """Batches that wait in it."""
        return self.left.batches

    @property
    def waiting(self) -> int:
        """Readings that wait in it."""
        return self.left.readings

    def rows(self) -> list[Row]:
        """What waits in it.

        Raises:
            BadBatch: it is not what was written.
        """
        sizes, first = self.left.sizes, self.first
        return [
            Row(seq, device, at_ns, batch, len(batch))
            for seq, at_ns, device, batch in open_block(self.columns)
            if sizes[seq - first]
        ]


Stored = StoredRow | StoredBlock
"""One or the other; both have `first`, `last`, `batches`, `waiting` and `rows()`."""


def all_left(columns: tuple[int, int, int, int, int, int, int, bytes]) -> Left:
    """What waits of a block of which nobody knows what was taken: all of it.

    Raises:
        BadBatch: it is not what was written.
    """
    entries = open_block(columns)
    last, first = columns[:2]
    sizes = array("I", bytes(4 * (last - first + 1)))
    for entry in entries:
        sizes[entry.seq - first] = len(entry.batch)
    return Left(last, first, sizes)
