"""The spool's files outside SQLite: the lock, moving a damaged file aside, noticing that an open one was deleted.

- The lock keeps a second process out. It is an advisory one (flock) on PATH.lock. The kernel lets go of it when the
  process ends, however it ends, so a leftover lock file never refuses a start. The file itself stays: removing it would
  let two processes each hold a lock on a file of that name. Nothing else is touched before the lock is held.
- A file that is open is looked up by its name again and again: what a deleted file still takes would be gone with the
  process, whatever SQLite says about its durability.
- A damaged database is renamed, with its log: what is in it may still be saved by hand. The newest
  `KEPT_ASIDE` of them are kept; a disk that damages one file after the other must not be filled by us as well.
"""

from __future__ import annotations

import fcntl
import glob
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, Self

from gateway.errors import SpoolError

__all__ = [
    "KEPT_ASIDE",
    "FileLock",
    "Names",
    "aside_name",
    "in_use",
    "is_fresh",
    "move_aside",
    "moved_aside",
    "remove",
    "size_bytes",
]

KEPT_ASIDE: Final = 3
_OPEN_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
_COMPANIONS: Final = ("", "-wal", "-shm")
_NOTE_BYTES: Final = 256
_GRAIN_NS: Final = 100_000_000


class FileLock:
    """Exclusive use of a database's path by this process."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, path: Path) -> Self:
        """Makes the folder and the files where they are missing, and takes the lock.

        Raises:
            SpoolError: another process has it, or the folder or a file cannot be used.
        """
        descriptor = _lock(path)
        try:
            os.close(os.open(path, _OPEN_FLAGS, 0o640))
        except OSError as error:
            os.close(descriptor)
            raise _unusable(path, error) from error
        return cls(path, descriptor)

    def renew(self) -> None:
        """Takes the lock again where somebody deleted its file: a second process would find one that nobody holds.

        Raises:
            SpoolError: it has found it, or the folder cannot be used.
        """
        with suppress(OSError):
            if os.path.samestat(os.fstat(self._descriptor), _lock_path(self._path).stat()):
                return
        before, self._descriptor = self._descriptor, _lock(self._path)
        os.close(before)

    def note(self, text: bytes) -> None:
        """Writes what the next holder may want to know, where the disk takes it. It is not forced to the disk."""
        with suppress(OSError):
            os.pwrite(self._descriptor, text, 0)

    def noted(self) -> bytes:
        """What the last holder wrote."""
        with suppress(OSError):
            return os.pread(self._descriptor, _NOTE_BYTES, 0)
        return b""

    def release(self) -> None:
        """Lets the next process in. A second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def in_use(path: Path) -> bool:
    """Whether a gateway has this database open now. Makes nothing."""
    try:
        descriptor = os.open(_lock_path(path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


class Names:
    """Where the names of a database's files lead: made when they are open, and asked later.

    Args:
        path: the database, open.
    """

    def __init__(self, path: Path) -> None:
        names = [path.with_name(path.name + suffix) for suffix in _COMPANIONS]
        self._database = path
        self._folder = path.parent
        self._seen = {name: _identity(name) for name in names}
        self._unchanged: tuple[int, int, int] | None = None

    @property
    def all_lead_there(self) -> bool:
        """Whether each name still leads to the file that it led to. One look, while nothing changes in the folder."""
        try:
            found = self._folder.stat()
        except OSError:
            return False
        folder = found.st_dev, found.st_ino, found.st_mtime_ns
        if folder == self._unchanged:
            return True
        if not all(seen is None or _identity(name) == seen for name, seen in self._seen.items()):
            return False
        # A folder's time has a grain: what happens to it right after a change may leave the same time.
        if time.time_ns() - found.st_mtime_ns > _GRAIN_NS:
            self._unchanged = folder
        return True

    @property
    def database_leads_there(self) -> bool:
        """The same of the database alone."""
        return _identity(self._database) == self._seen[self._database]


def _identity(name: Path) -> tuple[int, int] | None:
    try:
        found = name.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _lock_path(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _lock(path: Path) -> int:
    lock_path = _lock_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock_path, _OPEN_FLAGS, 0o640)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise SpoolError(
            f"Opening the spool {path}: another gateway is using it (it holds {lock_path.name}). "
            "Stop that one, or give this one another [database] path."
        ) from error
    return descriptor


def _unusable(path: Path, error: OSError) -> SpoolError:
    return SpoolError(
        f"Opening the spool {path}: it cannot be used ({error.strerror}: {error.filename}). "
        "Check that the disk is mounted for writing, that it has space, and that the gateway's user may write there."
    )


def aside_name(path: Path, *, at_ns: int, why: Literal["corrupt", "found"] = "corrupt") -> Path:
    """The name under which a file that was damaged at this time (UTC ns) is kept.

    Args:
        path: the database.
        at_ns: UTC ns since 1970.
        why: it is damaged, or it was found in the place of one that is open.
    """
    stamp = datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return path.with_name(f"{path.name}.{why}-{stamp}")


def move_aside(path: Path, *, at_ns: int, why: Literal["corrupt", "found"] = "corrupt") -> Path:
    """Renames a database, with its log, out of the way.

    Args:
        path: the database; nobody has it open.
        at_ns: UTC ns since 1970, for the new name.
        why: see `aside_name`.

    Returns:
        Where the database is now.

    Raises:
        SpoolError: the folder does not allow it.
    """
    target = aside_name(path, at_ns=at_ns, why=why)
    try:
        for suffix in _COMPANIONS:
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
        _forget_oldest(path, but=target)
    except OSError as error:
        raise SpoolError(
            f"The file {path} is to be moved aside and cannot be ({error.strerror}). "
            "Check that the gateway's user may write in that folder, or move the file by hand."
        ) from error
    return target


def _forget_oldest(path: Path, *, but: Path) -> None:
    # By the clock, which may have been set back: what was moved aside just now is the newest all the same.
    others = [name for name in moved_aside(path) if name != but]
    for damaged in others[: len(others) + 1 - KEPT_ASIDE]:
        for suffix in _COMPANIONS:
            damaged.with_name(damaged.name + suffix).unlink(missing_ok=True)


def moved_aside(path: Path) -> list[Path]:
    """The damaged databases that are kept beside this one, in the order of the times in their names."""
    found = path.parent.glob(f"{glob.escape(path.name)}.corrupt-*")
    return sorted(name for name in found if not name.name.endswith(("-wal", "-shm")))


def remove(path: Path) -> None:
    """Deletes a database in which nothing is, with its log."""
    for suffix in _COMPANIONS:
        with suppress(OSError):
            path.with_name(path.name + suffix).unlink()


def size_bytes(path: Path) -> int:
    """Bytes on disk of a database and its log; what cannot be looked at does not count."""
    total_bytes = 0
    for suffix in ("", "-wal"):
        with suppress(OSError):
            total_bytes += path.with_name(path.name + suffix).stat().st_size
    return total_bytes


def is_fresh(path: Path) -> bool:
    """Whether there is nothing in a database, for certain."""
    try:
        return not path.stat().st_size
    except FileNotFoundError:
        return True
    except OSError:
        return False
