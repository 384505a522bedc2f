"""The room that the spool's file has: free pages inside it, the disk around it, and the reserve between the two.

What an outage took is given back to the disk in small steps. While the reserve is given up, the file grows only into
room that is not the reserve's (`reserve.py` says why).
"""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Final

import aiosqlite

from gateway.spool.reserve import PAGE_BYTES, Reserve, growth_pages, is_full, spare_pages

__all__ = ["Space"]

KEPT_FREE_BYTES: Final = 16 * 1024 * 1024
"""Free pages that stay in the file for the next rows; what an outage took beyond them is given back."""

GIVEN_BACK_PAGES: Final = 2048
"""Pages given back in one step: a few tens of milliseconds in which nothing can be committed."""

MOST_PAGES: Final = 0xFFFFFFFE
"""SQLite's own limit of a database's size."""


class Space:
    """The room of one file. A connection that is handed to it has nothing in doubt.

    Args:
        path: the database.

    Attributes:
        reserve: room on the disk that only deletions may use.
        page_bytes: how large a page of the file is.
    """

    def __init__(self, path: Path) -> None:
        self.reserve = Reserve(path)
        self.page_bytes = PAGE_BYTES
        self._path = path
        self._growth_limited = False
        self._most_given_pages = GIVEN_BACK_PAGES

    @property
    def free_bytes(self) -> int:
        """Bytes of its disk that our user may still take."""
        return self.reserve.volume().free_bytes

    async def begin(self) -> None:
        """Looks for the reserve, whose folder exists now, and makes it where it is missing."""
        self.reserve = Reserve(self._path)
        await self._make_reserve()

    async def limit_growth(self, connection: aiosqlite.Connection) -> None:
        """Keeps new rows out of the room that the given-up reserve had."""
        if not (self.reserve.given_up or self._growth_limited):
            return
        await self._make_reserve()
        self._growth_limited = self.reserve.given_up
        if self._growth_limited:
            pages = await _number(connection, "PRAGMA page_count") + growth_pages(
                self.reserve.volume(), page_bytes=self.page_bytes
            )
        else:
            pages = MOST_PAGES
        await connection.execute_fetchall(f"PRAGMA max_page_count = {pages}")

    async def give_back(self, connection: aiosqlite.Connection) -> None:
        """Returns some free pages to the file system, where there are many."""
        free_pages = await _number(connection, "PRAGMA freelist_count")
        given_pages = free_pages - KEPT_FREE_BYTES // self.page_bytes
        if not self.reserve.held:
            given_pages = max(
                given_pages, spare_pages(self.reserve.volume(), free_pages=free_pages, page_bytes=self.page_bytes)
            )
        given_pages = min(given_pages, self._most_given_pages)
        if given_pages > 0:
            await self._vacuum(connection, given_pages)
        await self._make_reserve()

    async def _vacuum(self, connection: aiosqlite.Connection, pages: int) -> None:
        try:
            # As a script, because the pragma gives back one page a step and `execute` takes one step.
            await connection.executescript(f"PRAGMA incremental_vacuum({pages});")
        except sqlite3.OperationalError as error:
            if not is_full(error) or pages == 1:
                raise
            # What it changes goes through the log first, and there is no room for so much of it.
            self._most_given_pages = max(1, pages // 4)
        else:
            self._most_given_pages = min(GIVEN_BACK_PAGES, self._most_given_pages * 2)
        # The file itself shrinks when the log is worked in.
        await connection.execute_fetchall("PRAGMA wal_checkpoint(PASSIVE)")

    async def _make_reserve(self) -> None:
        if self.reserve.can_be_made():
            await asyncio.to_thread(self.reserve.make)


async def _number(connection: aiosqlite.Connection, pragma: str) -> int:
    ((number,),) = await connection.execute_fetchall(pragma)
    assert isinstance(number, int)
    return number
