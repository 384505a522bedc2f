"""Writes a configuration file so that it is never half written, and keeps what it said before.

Invariants
- At each moment, also after a power cut, FILE holds either the whole old text or the whole new one.
- Mode and owner of the file stay as they were.
- What FILE said before is kept as FILE.history/NUMBER.SUFFIX, numbered upwards; the newest `keep` of them stay.
- A symbolic link is followed, not replaced: what it points to is written, and the history stands beside that.

A file that may not be written, as in a mounted ConfigMap, is refused before anything is touched.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import Final, NamedTuple

from gateway.errors import TidegateError
from gateway.files import sync_folder, whole_file

__all__ = ["Version", "fingerprint", "read_version", "unwritable", "versions", "write_versioned"]

_NUMBERED: Final = re.compile(r"(\d{6,})(\.\w+)?")
_NEW_FILE_MODE: Final = 0o600
"""A configuration may hold a password."""


class Version(NamedTuple):
    """One earlier text of a file.

    Attributes:
        name: name of its file in the history's folder.
        at: when that text was written, seconds since 1970.
        bytes: its length.
    """

    name: str
    at: float
    bytes: int


def fingerprint(text: str) -> str:
    """The SHA-256 of a text in UTF-8, in hexadecimal: which text a draft was made from."""
    return hashlib.sha256(text.encode()).hexdigest()


def unwritable(path: Path) -> str:
    """Why the file cannot be written here, and what to do; empty where nothing speaks against it."""
    target = path.resolve()
    folder = target.parent
    if not folder.is_dir():
        return f"{path} cannot be written: there is no folder {folder}"
    if os.access(folder, os.W_OK | os.X_OK) and (not target.exists() or os.access(target, os.W_OK)):
        return ""
    return (
        f"{path} cannot be written: the file or its folder is read-only for this user. A mounted ConfigMap always is: "
        "change it where it comes from. Elsewhere give the gateway's user the right to write the folder"
    )


def write_versioned(path: Path, text: str, *, keep: int = 10) -> None:
    """Replaces the file's text in one step and keeps the old one.

    Args:
        path: the file; made where it is missing.
        text: the new text.
        keep: how many earlier texts are kept; 0 keeps none.

    Raises:
        TidegateError: it cannot be written; the file is as it was.
    """
    problem = unwritable(path)
    if problem:
        raise TidegateError(problem)
    target = path.resolve()
    try:
        _replace(target, text, keep=keep)
    except OSError as error:
        raise TidegateError(f"{path} cannot be written: {_advice(error)}. It is as it was") from None


def versions(path: Path) -> list[Version]:
    """The earlier texts of a file, newest first."""
    found = []
    for entry in _numbered(_history(path.resolve())):
        facts = entry.stat()
        found.append(Version(entry.name, facts.st_mtime, facts.st_size))
    return found[::-1]


def read_version(path: Path, name: str) -> str:
    """An earlier text of a file.

    Args:
        path: the file.
        name: a name that `versions` gave.

    Raises:
        TidegateError: there is no such version.
    """
    history = _history(path.resolve())
    if name not in {entry.name for entry in _numbered(history)}:
        raise TidegateError(f"{path} has no earlier version {name!r}; the newest {len(versions(path))} are kept")
    return (history / name).read_text(encoding="utf-8")


def _replace(target: Path, text: str, *, keep: int) -> None:
    with whole_file(target, mode=_NEW_FILE_MODE, keep=True) as file:
        file.write(text.encode())
        if keep and target.exists():
            _keep(target, keep=keep)


def _keep(target: Path, *, keep: int) -> None:
    history = _history(target)
    history.mkdir(mode=0o700, exist_ok=True)
    kept = _numbered(history)
    number = int(kept[-1].stem) + 1 if kept else 1
    copy = history / f"{number:06}{target.suffix}"
    shutil.copy2(target, copy)
    with copy.open("rb") as file:
        os.fsync(file.fileno())
    for old in kept[: max(0, len(kept) + 1 - keep)]:
        old.unlink(missing_ok=True)
    sync_folder(history)


def _history(target: Path) -> Path:
    return target.with_name(f"{target.name}.history")


def _numbered(history: Path) -> list[Path]:
    """The files in the history that are ours, oldest first."""
    if not history.is_dir():
        return []
    ours = [entry for entry in history.iterdir() if _NUMBERED.fullmatch(entry.name)]
    return sorted(ours, key=lambda entry: int(entry.stem))


def _advice(error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return "it is mounted as a single file, which cannot be replaced in one step; mount its folder instead"
    if error.errno == errno.ENOSPC:
        return "the disk is full; make room and try again"
    return f"{error.strerror or error}; check the folder's rights and the disk"
