"""A database whose file was deleted while it was open, written anew from what the process still holds.

A deleted file lives on until the last process closes it, so that nothing of it is lost yet, and all of it with the
process. It is copied whole: numbers, totals, points, audit, what adapters remember.

- The copy is on disk before it gets the database's name, so that the name always leads to a whole one.
- What somebody put in the place of the deleted file is not ours: it is kept beside it (`PATH.found-TIME`).
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import aiosqlite

from gateway.errors import SpoolError
from gateway.files import sync_folder
from gateway.spool.files import move_aside

__all__ = ["write_anew"]

_SUFFIX: Final = ".restored"
_AT_ONCE: Final = -1


async def write_anew(connection: aiosqlite.Connection, path: Path, *, at_ns: int) -> None:
    """Gives the database a file of its name again. The connection has the old one still; it is to be closed.

    Args:
        connection: no transaction is open in it.
        path: where the database was.
        at_ns: UTC ns since 1970.

    Raises:
        sqlite3.Error, SpoolError: the disk refuses. Nothing has changed; it may be tried again.
    """
    copy = path.with_name(path.name + _SUFFIX)
    try:
        copy.unlink(missing_ok=True)
        os.close(os.open(copy, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
        # Used by the connection's own thread alone, and closed here.
        with closing(sqlite3.connect(copy, check_same_thread=False)) as target:
            await connection.backup(target, pages=_AT_ONCE)
        _put_in_place(copy, path, at_ns=at_ns)
    except OSError as error:
        raise SpoolError(
            f"Writing the spool {path} anew: {error.strerror}. Its file was deleted; what was in it is still held. "
            "Check that the disk is mounted for writing and has space, and do not stop the gateway before that."
        ) from error


def _put_in_place(copy: Path, path: Path, *, at_ns: int) -> None:
    if path.exists():
        move_aside(path, at_ns=at_ns, why="found")
    copy.rename(path)
    sync_folder(path.parent)
