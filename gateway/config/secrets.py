"""Secrets given as a file: `password_file` in place of `password`, as Kubernetes and systemd hand them over.

Nothing here puts a secret's text into an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from gateway.config import keypath
from gateway.config.interpolation import UNKNOWN
from gateway.config.keys import is_secret
from gateway.config.source import read_text
from gateway.config.words import found
from gateway.errors import Problem

__all__ = ["MAX_SECRET_BYTES", "file_key", "with_secrets"]

MAX_SECRET_BYTES: Final = 64 * 1024


def file_key(key: str) -> str:
    """The key that gives the file of this secret."""
    return f"{key}_file"


def with_secrets(
    section: Mapping[str, Any], keys: Iterable[str], *, where: str, base: Path, problems: list[Problem]
) -> dict[str, Any]:
    """The section with each secret's file replaced by what is in it.

    Args:
        section: a section as it was read.
        keys: the keys of its model.
        where: key path of the section.
        base: folder that relative paths start from.
        problems: is given what is wrong.
    """
    known = set(keys)
    filled = dict(section)
    for secret in sorted(key for key in known if is_secret(key)):
        by_file = file_key(secret)
        if by_file in known or by_file not in filled:
            continue
        name = filled.pop(by_file)
        place = keypath.key(where, by_file)
        if secret in filled:
            problems.append(Problem(place, f"{secret} is given as well; keep one of the two"))
        elif name is UNKNOWN:
            filled[secret] = UNKNOWN
        elif not isinstance(name, str) or not name:
            problems.append(Problem(place, f"found {found(name)}, expected the path of the file that holds {secret}"))
            filled[secret] = UNKNOWN
        else:
            filled[secret] = _read(base / name, place, problems)
    return filled


def _read(path: Path, place: str, problems: list[Problem]) -> object:
    try:
        text = read_text(path, most_bytes=MAX_SECRET_BYTES)
    except ValueError as error:
        problems.append(Problem(place, f"{path}: {error}"))
        return UNKNOWN
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret:
        problems.append(Problem(place, f"{path}: the file is empty; put the secret into it"))
        return UNKNOWN
    return secret
