"""A disk that fails on demand, for a child process; `shim.c` does it, and is built with the pinned compiler."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["FaultyDisk", "Record", "built", "recording", "records"]

_SOURCE: Final = Path(__file__).with_name("shim.c")
_BUILD: Final = Path(__file__).parents[2] / "build" / "faults"
_FAULTS: Final = struct.Struct("<4i")
_HEAD: Final = struct.Struct("<BBIq")


def built() -> Path:
    """The library to preload; built where it is missing or its source has changed."""
    digest = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]
    library = _BUILD / f"shim-{digest}.so"
    if not library.exists():
        _BUILD.mkdir(parents=True, exist_ok=True)
        draft = library.with_suffix(f".{os.getpid()}")
        command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(draft), str(_SOURCE)]
        subprocess.run([sys.executable, "-m", "ziglang", *command], check=True, timeout=300)
        draft.rename(library)
    return library


class FaultyDisk:
    """What happens to the files below a folder, in children that run with `environment`.

    Args:
        folder: the folder; it is there.
        control: a file for this class's own use, elsewhere.
    """

    def __init__(self, folder: Path, *, control: Path) -> None:
        control.write_bytes(bytes(_FAULTS.size))
        with control.open("r+b") as file:
            self._mapped = mmap.mmap(file.fileno(), _FAULTS.size)
        self.environment: Mapping[str, str] = {
            "LD_PRELOAD": str(built()),
            "FAULTS_FOLDER": str(folder),
            "FAULTS_CONTROL": str(control),
        }

    def works(self) -> None:
        """Like a disk should."""
        self._set()

    def is_full(self) -> None:
        """Nothing can be written."""
        self._set(write=errno.ENOSPC)

    def is_read_only(self) -> None:
        """Nothing can be opened for writing, or written."""
        self._set(write=errno.EROFS, open_=errno.EROFS)

    def cannot_write(self) -> None:
        """Writing and flushing fail with an I/O error."""
        self._set(write=errno.EIO, sync=errno.EIO)

    def cannot_read(self) -> None:
        """Reading fails with an I/O error."""
        self._set(read=errno.EIO)

    def cannot_sync(self) -> None:
        """What is written is taken, and flushing it fails."""
        self._set(sync=errno.EIO)

    def _set(self, *, read: int = 0, write: int = 0, sync: int = 0, open_: int = 0) -> None:
        self._mapped[:] = _FAULTS.pack(read, write, sync, open_)


class Record(NamedTuple):
    """One change to a file below the folder.

    Attributes:
        kind: wrote, truncated, synced or removed.
        name: of the file, below the folder.
        at: where it was written, -1 for the end; the size after a truncation.
        data: what was written.
    """

    kind: str
    name: str
    at: int
    data: bytes


_KINDS: Final = {1: "wrote", 2: "truncated", 3: "synced", 4: "removed"}


def recording(folder: Path, *, to: Path) -> dict[str, str]:
    """The environment of a child whose changes below the folder are recorded."""
    return {"LD_PRELOAD": str(built()), "FAULTS_FOLDER": str(folder), "FAULTS_RECORD": str(to)}


def records(path: Path) -> Iterator[Record]:
    """What was recorded, in order."""
    content = path.read_bytes()
    at = 0
    while at < len(content):
        kind, name_bytes, data_bytes, offset = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        name = content[at : at + name_bytes].decode()
        at += name_bytes
        yield Record(_KINDS[kind], name, offset, content[at : at + data_bytes])
        at += data_bytes
