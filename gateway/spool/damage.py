"""What SQLite says of a file that it cannot use: whether the file is broken, and what the person on site can do."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from gateway.spool.ledger.gaps import Ledger
from gateway.spool.repair.rescue import Rescue

__all__ = ["Damaged", "advice", "is_damage"]

_DAMAGE_CODES: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_ADVICE: Final = {
    sqlite3.SQLITE_FULL: "Free space on its disk.",
    sqlite3.SQLITE_READONLY: "Check that its disk is mounted for writing and that the gateway's user may write there.",
    sqlite3.SQLITE_CANTOPEN: "Check that its disk is mounted and that the gateway's user may write there.",
    sqlite3.SQLITE_PERM: "Check that the gateway's user may write there.",
    sqlite3.SQLITE_BUSY: "Close the other program that has it open for writing.",
    sqlite3.SQLITE_LOCKED: "Close the other program that has it open for writing.",
    sqlite3.SQLITE_IOERR: "Free space on its disk; if there is enough, look for disk errors in the system's log.",
}


class Damaged(Exception):
    """The file is no database any more. Carries what could still be read of it.

    Attributes:
        last_seq: the highest number the file gave; 0 where that cannot be read.
        readings: how many readings it held; 0 where that cannot be read.
        pending_readings: those of them that waited for the broker; None where that cannot be read.
        oldest_at_ns: when the oldest of those was accepted, UTC ns; 0 where that cannot be read.
        ledger: the gaps that nobody was told of; those that can be read.
        rescues: damaged files that were being carried into this one, as far as can be read.
        seen: when each device's batches were accepted last, UTC ns; empty where that cannot be read.
    """

    def __init__(
        self,
        reason: str,
        *,
        last_seq: int = 0,
        readings: int = 0,
        pending_readings: int | None = None,
        oldest_at_ns: int = 0,
        ledger: Ledger | None = None,
        rescues: Sequence[Rescue] = (),
        seen: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        super().__init__(reason)
        self.seen = seen
        self.rescues = rescues
        self.last_seq = last_seq
        self.readings = readings
        self.pending_readings = pending_readings
        self.oldest_at_ns = oldest_at_ns
        self.ledger = Ledger() if ledger is None else ledger


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file itself is broken, not that the disk refuses at the moment."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE_CODES


def advice(error: BaseException) -> str:
    """What the person on site can do about what SQLite said."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return _ADVICE.get(code, "Look for disk errors in the system's log.")
