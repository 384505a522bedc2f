"""Files that are there whole or not at all, whatever ends the process or the power in between.

The one way in which the gateway writes a file that is read again: into a hidden one beside it, to the disk, and then in
its place by a rename.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["sync_folder", "whole_file", "write_whole"]


@contextlib.contextmanager
def whole_file(path: Path, *, mode: int, keep: bool = False) -> Iterator[BinaryIO]:
    """A file to write to. It is in its place once the block ends, and nothing has changed where that raises.

    Args:
        path: its place. A symbolic link is not followed; resolve it before.
        mode: who may read it, from its first byte on.
        keep: a file that is there already gives its mode and its owner to the new one.

    Raises:
        OSError: it cannot be written.
    """
    # Mode 0600, whatever it is to be.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    fresh = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fchmod(handle, mode)
            if keep:
                _like(path, handle)
            os.fsync(handle)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_whole(path: Path, data: bytes, *, mode: int) -> None:
    """Writes a file at once; see `whole_file`.

    Raises:
        OSError: it cannot be written.
    """
    with whole_file(path, mode=mode) as file:
        file.write(data)


def sync_folder(folder: Path) -> None:
    """Has it on the disk which files a folder holds.

    Raises:
        OSError: the disk refuses.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _like(path: Path, handle: int) -> None:
    try:
        facts = path.stat()
    except FileNotFoundError:
        return
    # Only root may give a file away. Who may not, owns the file already or keeps at least its mode.
    with contextlib.suppress(PermissionError):
        os.fchown(handle, facts.st_uid, facts.st_gid)
    os.fchmod(handle, facts.st_mode & 0o7777)
