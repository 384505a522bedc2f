"""Batches into a carried file. Rows are made into blocks on the way: a tenth of their size, and one form to read."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

from gateway.errors import BadBatch, SpoolError
from gateway.files import sync_folder
from gateway.points import Point
from gateway.spool.block import Entry
from gateway.spool.block.layout import MOST_READINGS
from gateway.spool.blocks import MOST_NUMBERS, seal
from gateway.spool.carry.contents import (
    Header,
    Kinds,
    Summary,
    checked_rows,
    pack_block,
    pack_json_list,
    pack_points,
    pack_row,
    to_json,
)
from gateway.spool.carry.frames import FrameWriter
from gateway.spool.merge import BLOCK_READINGS, MOST_BATCHES, MOST_BYTES
from gateway.spool.stored import Stored, StoredBlock, StoredRow

__all__ = ["CarryWriter", "whole_file"]

_POINTS_IN_SECTION: Final = 1_000
_GAPS_IN_SECTION: Final = 1_000


class CarryWriter:
    """Writes the sections of one file.

    Args:
        file: open for writing, empty.
        header: what stands at its begin.

    Attributes:
        batches: so far.
        readings: so far.
        first: the lowest number; 0: none yet.
        last: the highest number.
        broken: what was given and could not be read.
    """

    def __init__(self, file: BinaryIO, header: Header) -> None:
        self.batches = self.readings = self.first = self.last = self.broken = 0
        self._frames = FrameWriter(file)
        self._frames.section(Kinds.HEADER, to_json(header))
        self._gathered: list[tuple[StoredRow, Entry]] = []
        self._gathered_readings = self._gathered_bytes = 0

    def add(self, stored: Stored) -> None:
        """The next row or block, of higher numbers than the one before. One that cannot be read is only counted."""
        last = self._gathered[-1][0].seq if self._gathered else self.last
        try:
            if stored.first <= last:
                raise BadBatch(f"number {stored.first} behind {last}")
            rows = checked_rows(stored)
        except BadBatch:
            self.broken += 1
            return
        if isinstance(stored, StoredBlock):
            self._flush()
            if rows:
                self._write_block(stored)
            return
        (row,) = rows
        if row.readings > MOST_READINGS or len(stored.data) > MOST_BYTES:
            self._flush()
            self._write_row(stored)
            return
        if self._is_full(stored):
            self._flush()
        self._gathered.append((stored, Entry(row.seq, row.at_ns, row.device, row.batch)))
        self._gathered_readings += row.readings
        self._gathered_bytes += len(stored.data)

    def finish(
        self,
        *,
        points: Iterable[Point],
        gaps: Iterable[Mapping[str, Any]],
        dropped: Mapping[str, int],
        broken: int,
        aside: int,
        sign: Callable[[bytes], tuple[bytes, bytes]],
    ) -> Summary:
        """The end of the file.

        Args:
            points: the point table, from number 1 on without holes.
            gaps: what is known to be missing.
            dropped: readings by cause.
            broken: rows and blocks that could not be read before they came here.
            aside: readings set aside.
            sign: gives public key and signature of a hash.
        """
        self._flush()
        gaps_number = points_number = 0
        for some_gaps in _pieces(gaps, _GAPS_IN_SECTION):
            self._frames.section(Kinds.GAPS, pack_json_list(some_gaps))
            gaps_number += len(some_gaps)
        for some_points in _pieces(points, _POINTS_IN_SECTION):
            self._frames.section(Kinds.POINTS, pack_points(some_points))
            points_number += len(some_points)
        summary = Summary(
            batches=self.batches,
            readings=self.readings,
            first=self.first,
            last=self.last,
            points=points_number,
            gaps=gaps_number,
            dropped=dict(dropped),
            broken=self.broken + broken,
            aside=aside,
        )
        self._frames.section(Kinds.SUMMARY, to_json(summary))
        digest = self._frames.digest
        self._frames.section(Kinds.END, digest, *sign(digest))
        return summary

    def _is_full(self, stored: StoredRow) -> bool:
        gathered = self._gathered
        return bool(gathered) and (
            self._gathered_readings >= BLOCK_READINGS
            or self._gathered_readings + stored.readings > MOST_READINGS
            or self._gathered_bytes + len(stored.data) > MOST_BYTES
            or len(gathered) == MOST_BATCHES
            or stored.seq - gathered[0][0].seq >= MOST_NUMBERS
        )

    def _flush(self) -> None:
        """Writes the gathered rows, as one block where that can be."""
        gathered = self._gathered
        if not gathered:
            return
        try:
            block = seal([entry for _, entry in gathered])
        except BadBatch:
            for row, _ in gathered:
                self._write_row(row)
        else:
            last, first, at_ns, batches, readings, _, codec, check, data = block.columns
            self._write_block(StoredBlock((last, first, at_ns, batches, readings, codec, check, data), block.left))
        self._gathered = []
        self._gathered_readings = self._gathered_bytes = 0

    def _write_block(self, block: StoredBlock) -> None:
        self._frames.section(Kinds.BLOCK, *pack_block(block))
        self._count(block)

    def _write_row(self, row: StoredRow) -> None:
        self._frames.section(Kinds.ROW, *pack_row(row))
        self._count(row)

    def _count(self, stored: Stored) -> None:
        self.batches += stored.batches
        self.readings += stored.waiting
        self.first = self.first or stored.first
        self.last = stored.last


@contextmanager
def whole_file(path: Path, *, replace: bool = False) -> Iterator[BinaryIO]:
    """A file that has its name only once it is complete and on the disk.

    Args:
        path: its name.
        replace: whether one that is there may be replaced.

    Raises:
        SpoolError: it cannot be written, or is there.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        if path.exists() and not replace:
            raise SpoolError(f"{path} is there already. Give another name, or --replace")
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        with suppress(OSError):  # Some file systems of USB sticks refuse it; the file itself is on the disk.
            sync_folder(path.absolute().parent)
    except OSError as error:
        if error.filename is not None and str(error.filename) not in (str(part), str(path)):
            raise
        raise SpoolError(f"{path} cannot be written ({error.strerror}). {_advice(error)}") from error
    finally:
        with suppress(OSError):
            part.unlink()


def _advice(error: OSError) -> str:
    if error.errno == errno.EFBIG:
        return "Its file system takes no file that large, as FAT does above 4 GB: take a medium with exFAT or ext4"
    return "Is it mounted for writing, and has it room?"


def _pieces(items: Iterable[Any], size: int) -> Iterator[Sequence[Any]]:
    rest = iter(items)
    while piece := list(islice(rest, size)):
        yield piece
