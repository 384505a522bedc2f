"""From a file to a tree of plain values: reads TOML, or JSON where the file's name ends in .json.

Refuses what a parser would let pass and a person would not want: a key that stands twice in JSON, and NaN or Infinity.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from gateway.config.words import found
from gateway.errors import ConfigError, Problem

__all__ = ["MAX_FILE_BYTES", "read_text", "read_tree"]

MAX_FILE_BYTES: Final = 16 * 1024 * 1024
"""A configuration of 100,000 tags is about 10 MB; what is larger is not one."""

_TOML_POSITION = re.compile(r"^(?P<what>.*?) \(at (?P<place>.*)\)$", re.DOTALL)

_TOML_HINTS: Final = (
    ("Invalid value", 'text stands in quotes, as in name = "press"'),
    ("Cannot overwrite", "the key stands twice; keep one"),
    ("Cannot declare", "the section stands twice; join the two, or write [[…]] for another item of a list"),
)


def read_tree(path: Path, text: str | None = None) -> dict[str, Any]:
    """The file's content as plain dicts, lists and values.

    Args:
        path: the file; the end of its name says how it is written.
        text: a draft to take in place of the file's text; the file is not touched and need not exist.

    Raises:
        ConfigError: the file cannot be read, is not UTF-8, or breaks its syntax.
    """
    try:
        if text is None:
            text = read_text(path, most_bytes=MAX_FILE_BYTES)
        return _json(text) if path.suffix.lower() == ".json" else _toml(text)
    except ValueError as error:
        raise ConfigError(str(path), [Problem("", str(error))]) from None
    except RecursionError:
        raise ConfigError(str(path), [Problem("", "its sections are nested too deeply to be read")]) from None


def read_text(path: Path, *, most_bytes: int) -> str:
    """A file's text, without the byte order mark that some editors put first.

    Args:
        path: the file.
        most_bytes: a longer file is refused.

    Raises:
        ValueError: it cannot be read; the text says why and what to do.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except FileNotFoundError:
        raise ValueError("there is no such file; check the path, and the mount in a container") from None
    except IsADirectoryError:
        raise ValueError("this is a folder; name the file in it") from None
    except PermissionError:
        raise ValueError("this user may not read it; give the gateway's user read permission") from None
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror}") from None
    if len(content) > most_bytes:
        raise ValueError(f"it is larger than {most_bytes:,} bytes; is it the right file?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise ValueError(f"line {line}: the byte 0x{byte:02X} is not UTF-8; save the file as UTF-8") from None


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _TOML_POSITION.match(str(error))
        what, place = (match["what"], match["place"]) if match else (str(error), "the file")
        hint = next((f"; {hint}" for beginning, hint in _TOML_HINTS if what.startswith(beginning)), "")
        raise ValueError(f"{place}: this is not valid TOML: {what[:1].lower()}{what[1:]}{hint}") from None


def _json(text: str) -> dict[str, Any]:
    try:
        tree = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        what = f"{error.msg[:1].lower()}{error.msg[1:]}"
        raise ValueError(f"line {error.lineno}, column {error.colno}: this is not valid JSON: {what}") from None
    if not isinstance(tree, dict):
        raise ValueError(f'found {found(tree)}, expected an object with sections such as {{"uplink": {{…}}}}')
    return tree


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {found(twice)} stands twice in one object; keep one")
    return tree


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a number of JSON; write a finite number")
