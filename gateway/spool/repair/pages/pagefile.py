"""The pages of a database, as of the last commit in its log; without the log where that is missing or damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from gateway.errors import BadBatch
from gateway.spool.repair.pages.cells import Cell
from gateway.spool.repair.pages.log import read_log
from gateway.spool.reserve import PAGE_BYTES

__all__ = ["PageFile"]

_MAGIC: Final = b"SQLite format 3\0"
_HEAD_BYTES: Final = 100
_LOCK_BYTE: Final = 1 << 30
"""SQLite leaves out the page in which its lock bytes lie (file format, 1.4)."""

_POINTER_BYTES: Final = 5
_FREE: Final = 2
"""What the pointer map (file format, 1.8) says of a page that holds nothing any more."""

_CHUNK_PAGES: Final = 64
_LARGEST_ROW_BYTES: Final = 128 * 1024 * 1024
"""Twice the largest batch: what a damaged length may ask for of memory."""


class PageFile:
    """An open database. A context manager.

    Args:
        path: the database; its log is PATH-wal.

    Attributes:
        pages: how many pages there are.
        usable_bytes: of each page.

    Raises:
        OSError: the database cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._refused: set[tuple[int, int]] = set()
        self._log = -1
        self._logged: dict[int, int] = {}
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        log_page_bytes = log_pages = 0
        with suppress(OSError):
            log_path = path.with_name(path.name + "-wal")
            with log_path.open("rb") as log:
                log_page_bytes, log_pages, self._logged = read_log(log)
                self._log = os.dup(log.fileno())
        head = self._read(self._file, 0, _HEAD_BYTES)
        self._page_bytes, reserved_bytes = _layout(head, log_page_bytes)
        self.usable_bytes = self._page_bytes - reserved_bytes
        self.pages = log_pages or -(-os.fstat(self._file).st_size // self._page_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
        if self._log >= 0:
            os.close(self._log)

    @property
    def unreadable_pages(self) -> int:
        """Pages that the disk did not give so far."""
        return len(self._refused)

    def page(self, number: int) -> bytes:
        """One page; empty where it is not there, or the disk does not give it."""
        at = self._logged.get(number)
        if at is not None:
            return self._read(self._log, at, self._page_bytes)
        return self._read(self._file, (number - 1) * self._page_bytes, self._page_bytes)

    def used(self) -> Iterator[tuple[int, bytes]]:
        """Every page that holds something, with its number."""
        free: bytes = b""
        in_map = (self.usable_bytes // _POINTER_BYTES) + 1
        map_number = 0
        for start in range(1, self.pages + 1, _CHUNK_PAGES):
            stop = min(start + _CHUNK_PAGES, self.pages + 1)
            chunk = self._read(self._file, (start - 1) * self._page_bytes, (stop - start) * self._page_bytes)
            whole = len(chunk) == (stop - start) * self._page_bytes
            for number in range(start, stop):
                if number >= 2:
                    belongs_to = (number - 2) // in_map * in_map + 2
                    if belongs_to == _LOCK_BYTE // self._page_bytes + 1:
                        belongs_to += 1
                    if belongs_to != map_number:
                        map_number = belongs_to
                        free = self._free(self.page(map_number))
                    entry = number - map_number - 1
                    if 0 <= entry < len(free) and free[entry]:
                        continue
                if whole and number not in self._logged:
                    yield number, chunk[(number - start) * self._page_bytes : (number - start + 1) * self._page_bytes]
                else:
                    yield number, self.page(number)

    def payload(self, cell: Cell) -> bytes:
        """The whole of a row.

        Raises:
            BadBatch: a page on which it goes on is not there.
        """
        if cell.payload_bytes > _LARGEST_ROW_BYTES:
            raise BadBatch(f"a row of {cell.payload_bytes} bytes")
        parts = [cell.local]
        missing = cell.payload_bytes - len(cell.local)
        number = cell.overflow
        while missing > 0:
            page = self.page(number) if 1 < number <= self.pages else b""
            if len(page) < self.usable_bytes:
                raise BadBatch("a part of it is missing")
            parts.append(page[4 : min(4 + missing, self.usable_bytes)])
            missing -= len(parts[-1])
            number = int.from_bytes(page[:4], "big")
        return b"".join(parts)

    @staticmethod
    def _free(pointers: bytes) -> bytes:
        """Per page behind a page of the pointer map, whether it is free; nothing where that page is none."""
        kinds = pointers[: len(pointers) // _POINTER_BYTES * _POINTER_BYTES : _POINTER_BYTES]
        return bytes(kind == _FREE for kind in kinds) if not kinds or max(kinds) <= 5 else b""

    def _read(self, descriptor: int, at: int, length: int) -> bytes:
        try:
            return os.pread(descriptor, length, at)
        except OSError:
            if length <= self._page_bytes:
                self._refused.add((descriptor, at))
            return b""


def _layout(head: bytes, log_page_bytes: int) -> tuple[int, int]:
    """Bytes of a page, and how many of them are not used: as the file says, or the log, or as we make files."""
    page_bytes = int.from_bytes(head[16:18], "big")
    page_bytes = 1 << 16 if page_bytes == 1 else page_bytes
    sound = page_bytes >= 512 and not page_bytes & (page_bytes - 1)
    if head.startswith(_MAGIC) and sound and page_bytes in (log_page_bytes, log_page_bytes or page_bytes):
        return page_bytes, head[20] if head[20] <= page_bytes - 480 else 0
    return log_page_bytes or PAGE_BYTES, 0
