"""The spool's file, for one user at a time; and what becomes of it where it proves damaged in a user's hands."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from gateway.errors import SpoolError
from gateway.spool.damage import Damaged, advice, is_damage
from gateway.spool.repair.unreadable import UnreadableFile, Verdict
from gateway.spool.spoolfile import SpoolFile

__all__ = ["Access"]

_Result = TypeVar("_Result")


class Access:
    """Hands out the file.

    Args:
        file: the file.
        settle: makes it usable after a failure, and ends what is in doubt.
        replace: puts a fresh file in its place.

    Attributes:
        lock: held by who uses the file.
    """

    def __init__(
        self, file: SpoolFile, *, settle: Callable[[], Awaitable[None]], replace: Callable[[], Awaitable[None]]
    ) -> None:
        self.lock = asyncio.Lock()
        self._file = file
        self._settle = settle
        self._replace = replace
        self._unreadable = UnreadableFile()

    @asynccontextmanager
    async def using(self, doing: str) -> AsyncIterator[None]:
        """The file for one user at a time; ends the block early, and replaces the file, where it proves damaged.

        Args:
            doing: what is tried, for the text of a failure.

        Raises:
            SpoolError: the disk refuses.
        """
        async with self.lock:
            try:
                yield
                self._unreadable.worked(doing)
            except Damaged:
                await self._replace()
            except SpoolError as error:
                cause = error.__cause__  # of a file that could not be opened
                if cause is None or self._unreadable.failed(doing, cause) is not Verdict.GIVE_UP:
                    raise
                await self._replace()
            except (sqlite3.Error, MemoryError) as error:
                verdict = self._unreadable.failed(doing, error)
                if verdict is Verdict.GIVE_UP or (isinstance(error, sqlite3.Error) and is_damage(error)):
                    await self._replace()
                    return
                if verdict is Verdict.REOPEN:
                    await self._file.reconnect()
                raise SpoolError(
                    f"{doing.capitalize()} the spool {self._file.path}: {error}. {advice(error)} "
                    "Nothing that was accepted is lost; it is tried again."
                ) from error

    async def with_file(self, doing: str, work: Callable[[SpoolFile], Awaitable[_Result]]) -> _Result:
        """What `work` makes of the file, in which nothing is in doubt.

        Raises:
            SpoolError: the disk refuses, or the file was damaged and a fresh one has taken its place.
        """
        async with self.using(doing):
            await self._settle()
            return await work(self._file)
        raise SpoolError(
            f"{doing.capitalize()} the spool {self._file.path}: it was damaged and is replaced; try again."
        )
