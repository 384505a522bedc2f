"""When a file that the disk does not give back counts as damaged. Pure.

A read error may pass (a cable, a controller that was reset), and a connection that was open across it may hold what is
no longer so. But a sector that is gone stays gone: whoever only waits for it holds the sources back for ever, or the
uplink at the same row. So the same work that fails again and again on reading first gets a fresh connection, then the
file is given up, and what can be read of it is saved.
"""

from __future__ import annotations

import sqlite3
from enum import Enum
from typing import Final

__all__ = ["UnreadableFile", "Verdict"]

REOPEN_AT: Final = 3
GIVE_UP_AT: Final = 6
"""Attempts; with the pauses between them a few seconds."""

_READ_ERRORS: Final = frozenset(
    {
        sqlite3.SQLITE_IOERR_READ,
        sqlite3.SQLITE_IOERR_SHORT_READ,
        sqlite3.SQLITE_IOERR_CORRUPTFS,
        sqlite3.SQLITE_IOERR_DATA,
    }
)


class Verdict(Enum):
    """What is to be done about a failure."""

    TRY_AGAIN = 0
    REOPEN = 1
    GIVE_UP = 2


class UnreadableFile:
    """Counts failures on reading, by what was tried: other work may succeed in between, on other pages."""

    def __init__(self) -> None:
        self._failures: dict[str, int] = {}

    def worked(self, doing: str) -> None:
        """This work succeeded."""
        if self._failures:
            self._failures.pop(doing, None)

    def failed(self, doing: str, error: BaseException) -> Verdict:
        """This work failed; what to do about it."""
        if getattr(error, "sqlite_errorcode", 0) not in _READ_ERRORS:
            return Verdict.TRY_AGAIN
        failures = self._failures[doing] = self._failures.get(doing, 0) + 1
        if failures >= GIVE_UP_AT:
            self._failures.clear()
            return Verdict.GIVE_UP
        return Verdict.REOPEN if failures == REOPEN_AT else Verdict.TRY_AGAIN
