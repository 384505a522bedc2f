"""The spool's files outside SQLite: the lock that keeps a second process out, and moving a damaged file aside.

- The lock is an advisory one (flock) on PATH.lock. The kernel lets go of it when the process ends, however it ends, so
  a leftover lock file never refuses a start. The file itself stays: removing it would let two processes each hold a
  lock on a file of that name.
- A damaged database is renamed, with its log: what is in it may still be saved by hand. The newest
  `KEPT_ASIDE` of them are kept; a disk that damages one file after the other must not be filled by us as well.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from gateway.errors import SpoolError

__all__ = ["KEPT_ASIDE", "FileLock", "aside_name", "in_use", "move_aside", "size_bytes"]

KEPT_ASIDE: Final = 3
_OPEN_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
_COMPANIONS: Final = ("", "-wal", "-shm")


class FileLock:
    """Exclusive use of a database's path by this process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, path: Path) -> Self:
        """Makes the folder and the file where they are missing, and takes the lock.

        Raises:
            SpoolError: another process has it, or the folder or the file cannot be used.
        """
        lock_path = path.with_name(path.name + ".lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, _OPEN_FLAGS, 0o640))
            descriptor = os.open(lock_path, _OPEN_FLAGS, 0o640)
        except OSError as error:
            raise SpoolError(
                f"Opening the spool {path}: it cannot be used ({error.strerror}: {error.filename}). "
                "Check that the disk is mounted and that the gateway's user may write there."
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise SpoolError(
                f"Opening the spool {path}: another gateway is using it (it holds {lock_path.name}). "
                "Stop that one first, or give this one another [database] path."
            ) from error
        return cls(descriptor)

    def release(self) -> None:
        """Lets the next process in. A second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def in_use(path: Path) -> bool:
    """Whether a gateway has this database open now. Makes nothing."""
    try:
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def aside_name(path: Path, *, at_ns: int) -> Path:
    """The name under which a file that was damaged at this time (UTC ns) is kept."""
    stamp = datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return path.with_name(f"{path.name}.corrupt-{stamp}")


def move_aside(path: Path, *, at_ns: int) -> Path:
    """Renames a damaged database, with its log, out of the way.

    Args:
        path: the database, closed.
        at_ns: UTC ns since 1970, for the new name.

    Returns:
        Where the database is now.

    Raises:
        SpoolError: the folder does not allow it.
    """
    target = aside_name(path, at_ns=at_ns)
    try:
        for suffix in _COMPANIONS:
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
        _forget_oldest(path)
    except OSError as error:
        raise SpoolError(
            f"The spool {path} is damaged and cannot be moved aside ({error.strerror}). "
            "Check that the gateway's user may write in that folder, or move the file by hand."
        ) from error
    return target


def _forget_oldest(path: Path) -> None:
    head = f"{path.name}.corrupt-"
    names = {entry.name for entry in path.parent.iterdir() if entry.name.startswith(head)}
    bases = sorted(name for name in names if not name.endswith(("-wal", "-shm")))
    for base in bases[:-KEPT_ASIDE]:
        for suffix in _COMPANIONS:
            path.with_name(base + suffix).unlink(missing_ok=True)


def size_bytes(path: Path) -> int:
    """Bytes on disk of a database and its log."""
    total_bytes = 0
    for suffix in ("", "-wal"):
        with suppress(FileNotFoundError):
            total_bytes += path.with_name(path.name + suffix).stat().st_size
    return total_bytes
