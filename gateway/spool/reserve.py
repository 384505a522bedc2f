"""The reserve: room on the disk that only deletions may use.

On a disk that the spool itself has filled, the log can hold pages beyond the database's end. It cannot be worked in,
for the database cannot grow, so it cannot be begun anew either; not even a deletion finds room in it, and what the
broker takes would never free a block. PATH.reserve holds the room that ends this.

Invariants
- The log is kept no longer than the reserve, and worked in at half of that. So the reserve, once given up, is enough to
  work in the log. (A single transaction that is larger than half the reserve is not covered.)
- The reserve is given up only when SQLite says that the disk is full and delivered rows wait for their deletion, or
  when the disk has not even the room in which the file can be opened: nothing could be delivered then.
- Once given up, it is not for new rows: until it is made again, the database grows only while more than the reserve's
  size is free. Otherwise the disk could be filled a second time, without a way out.
- PATH.reserve with no bytes means given up, so that a restart knows. No file means that none could be made (no room, no
  permission): the spool then works without one.

It refuses to take the last room of a disk, and is never a reason not to start.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["LARGEST_BYTES", "PAGE_BYTES", "Reserve", "Volume", "growth_pages", "is_full", "spare_pages", "wanted_bytes"]

LARGEST_BYTES: Final = 16 * 1024 * 1024
PAGE_BYTES: Final = 1024
"""Of a file made today. A commit of a few readings changes two or three pages, each written whole: with pages of 4 KiB
it writes twice as much as with these. An older file keeps the pages it was made with."""

_VOLUME_PART: Final = 20
_DISK_BLOCK_BYTES: Final = 4096
_OPENING_BYTES: Final = 256 * 1024
"""What opening a file may take: the log's index, the log's first pages, a migration."""


class Volume(NamedTuple):
    """A file system's size and what our user may still take of it."""

    size_bytes: int
    free_bytes: int


def wanted_bytes(volume_bytes: int) -> int:
    """The reserve's size on a volume: a twentieth of a small one."""
    return min(LARGEST_BYTES, volume_bytes // _VOLUME_PART) // _DISK_BLOCK_BYTES * _DISK_BLOCK_BYTES


def growth_pages(volume: Volume, *, page_bytes: int) -> int:
    """Pages the database may grow by while the reserve is given up; each may take a page of the log as well."""
    return max(0, volume.free_bytes - wanted_bytes(volume.size_bytes)) // (2 * page_bytes)


def spare_pages(volume: Volume, *, free_pages: int, page_bytes: int) -> int:
    """Free pages of the database to give back so that the reserve can be made again; 0 where they are not enough.

    Args:
        volume: the disk now.
        free_pages: unused pages inside the database.
        page_bytes: how large one is.
    """
    missing_bytes = _needed_bytes(volume) - volume.free_bytes
    missing_pages = max(0, -(-missing_bytes // page_bytes))
    return missing_pages if missing_pages <= free_pages else 0


def is_full(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the disk, or the size the database may have, is used up."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def _needed_bytes(volume: Volume) -> int:
    return 2 * wanted_bytes(volume.size_bytes)


class Reserve:
    """The file PATH.reserve.

    Args:
        path: the database; its folder exists.

    Attributes:
        size_bytes: how large it is when it is there.
        given_up: it was there, and its room was given to deletions.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".reserve")
        self.size_bytes = wanted_bytes(self.volume().size_bytes)
        self._held_bytes = 0
        self.given_up = False
        with suppress(OSError):
            found = self._path.stat()
            if stat.S_ISREG(found.st_mode):
                self._held_bytes = found.st_blocks * 512  # and not its size: a restored copy may be only a hole
                self.given_up = not found.st_size

    @property
    def held(self) -> bool:
        """Whether there is something to give up."""
        return self._held_bytes > 0

    def volume(self) -> Volume:
        """The file system as it is now; without any room where it does not say."""
        try:
            disk = os.statvfs(self._path.parent)
        except OSError:
            return Volume(0, 0)
        return Volume(disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize)

    @property
    def is_last_room(self) -> bool:
        """Whether the disk has less room than a file may take to be opened."""
        return self.volume().free_bytes < _OPENING_BYTES

    def can_be_made(self) -> bool:
        """Whether it is missing and the disk has room for it, and for as much again."""
        if self.held or not self.size_bytes:
            return False
        volume = self.volume()
        return volume.free_bytes >= _needed_bytes(volume)

    def make(self) -> None:
        """Takes the room, where the disk and the folder's rights allow it. Blocks for as long as the disk takes."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError:
            return  # Being without one is allowed; whoever can be told is told when the disk is full.
        try:
            os.posix_fallocate(descriptor, 0, self.size_bytes)
        except OSError:
            # A part of it would pass for the whole.
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
                if not self.given_up:
                    self._path.unlink()
        else:
            self._held_bytes = self.size_bytes
            self.given_up = False
        finally:
            os.close(descriptor)

    def give_up(self) -> bool:
        """Frees its room for deletions; whether there was any."""
        if not self.held:
            return False
        self._held_bytes = 0
        try:
            os.truncate(self._path, 0)
        except OSError:
            return False  # Somebody removed it, or the disk is read-only now: nothing was gained.
        self.given_up = True
        return True
