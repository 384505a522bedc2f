"""Tags given as a file: `tags_file = "press.csv"` beside `tags`, for the thousands that nobody types.

The first line names the columns, which are the keys of the device's tags. A cell that is empty leaves its key out. A
column whose name begins with # is for people, and so is a line whose name begins with #. Columns are parted by commas,
semicolons or tabs, whichever the first line has. A list, such as `fields`, stands in one cell, parted by |. What has
several types, such as a Modbus address, is text as if it stood in quotes, but for a number of up to four digits.

The rows are put behind the device's `tags` before anything is checked, so that every rule holds for them as well; what
is wrong with one is told by file, line and column (`TagsFile.told`). Variables of the environment are not looked for.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from msgspec import inspect

from gateway.config import keypath
from gateway.config.interpolation import UNKNOWN
from gateway.config.models import DeviceSettings
from gateway.config.source import read_text
from gateway.config.values import bare
from gateway.config.words import Written, alternatives, did_you_mean, found
from gateway.errors import Problem

__all__ = ["LIST_MARK", "MAX_TAGS_FILE_BYTES", "TagsFile", "with_tags_files"]

MAX_TAGS_FILE_BYTES: Final = 64 * 1024 * 1024
"""100,000 tags are about 10 MB."""
LIST_MARK: Final = "|"
"""Parts the items of a list within one cell."""

_COMMENT: Final = "#"
_DELIMITERS: Final = ",;\t"
_SHORT_NUMBER: Final = re.compile(r"[0-9]{1,4}")
_ROW: Final = re.compile(r"tags\[(?P<index>\d+)\](?:\.(?P<key>.+))?")
_NAMED_ROW: Final = re.compile(r"(?:devices\[\d+\]\.)?tags\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class TagsFile:
    """Where the tags of a device's file stand.

    Attributes:
        name: the file, as the configuration names it.
        first: index of its first tag among the device's.
        lines: line of each tag, counted from 1.
    """

    name: str
    first: int
    lines: list[int] = field(repr=False)

    def told(self, device: str, problem: Problem) -> Problem:
        """The problem by file, line and column, where it is about a tag of this file.

        Args:
            device: key path of the device.
            problem: of that device.
        """
        what = _NAMED_ROW.sub(lambda match: self._line(int(match[1])) or match[0], problem.what)
        match = _ROW.fullmatch(problem.where.removeprefix(f"{device}."))
        line = self._line(int(match["index"])) if match else ""
        if match is None or not line:
            return Problem(problem.where, what)
        column = f", column {match['key']}" if match["key"] else ""
        return Problem(keypath.key(device, "tags_file"), f"{line}{column}: {what}")

    def _line(self, index: int) -> str:
        row = index - self.first
        return f"line {self.lines[row]} of {self.name}" if 0 <= row < len(self.lines) else ""


def with_tags_files(
    tree: dict[str, Any], *, models: Mapping[str, type[DeviceSettings]], base: Path, problems: list[Problem]
) -> dict[int, TagsFile]:
    """Puts the tags of each device's file behind its own.

    Args:
        tree: the configuration; changed in place.
        models: the device model of each protocol.
        base: folder that relative paths start from.
        problems: is given what is wrong.

    Returns:
        The files, by the device's index.
    """
    files: dict[int, TagsFile] = {}
    devices = tree.get("devices")
    for index, device in enumerate(devices if isinstance(devices, list) else ()):
        name = device.get("tags_file") if isinstance(device, dict) else None
        own = device.get("tags", []) if isinstance(device, dict) else None
        if not isinstance(name, str) or not name or not isinstance(own, list):
            continue  # nothing is given, or something is wrong that the walk tells
        protocol = device.get("type")
        if not isinstance(protocol, str) or protocol not in models:
            continue
        where = keypath.key(keypath.item("devices", index), "tags_file")
        try:
            lines, tags = _read(base / name, _columns(models[str(protocol)]))
        except _Wrong as wrong:
            problems += [Problem(where, f"{name}: {what}") for what in wrong.problems]
            device["tags"] = UNKNOWN
            continue
        files[index] = TagsFile(str(name), len(own), lines)
        device["tags"] = [*own, *tags]
    return files


class _Wrong(Exception):
    """The file cannot be used at all."""

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems


@cache
def _columns(model: type[DeviceSettings]) -> dict[str, inspect.Type]:
    """The keys of a protocol's tags, and their types."""
    info = inspect.type_info(model)
    assert isinstance(info, inspect.StructType)
    for key in info.fields:
        tags = bare(key.type)[0]
        if key.encode_name == "tags" and isinstance(tags, inspect.ListType):
            tag = bare(tags.item_type)[0]
            if isinstance(tag, inspect.StructType):
                return {one.encode_name: one.type for one in tag.fields}
    return {}


def _read(path: Path, columns: Mapping[str, inspect.Type]) -> tuple[list[int], list[dict[str, Any]]]:
    try:
        text = read_text(path, most_bytes=MAX_TAGS_FILE_BYTES)
    except ValueError as error:
        raise _Wrong(str(error)) from None
    rows = _rows(text)
    _, header = next(rows, (0, []))
    names = [name.strip() for name in header]
    _check_header(names, columns)
    kinds = [_Cell(columns[name]) if name in columns else None for name in names]
    lines: list[int] = []
    tags: list[dict[str, Any]] = []
    mistakes: list[str] = []
    key = names.index("name")
    for line, row in rows:
        if not any(row) or (len(row) > key and row[key].lstrip().startswith(_COMMENT)):
            continue
        if len(row) > len(names):
            mistakes.append(f"line {line}: {len(row)} cells where the first line names {len(names)} columns")
            continue
        lines.append(line)
        tags.append(
            {
                name: kind.value(cell)
                for name, kind, cell in zip(names, kinds, map(str.strip, row), strict=False)
                if kind is not None and cell
            }
        )
    if mistakes:
        raise _Wrong(*mistakes)
    return lines, tags


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, each with the line that it begins in."""
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for row in reader:
            if row:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise _Wrong(f"line {reader.line_num}: this is not valid CSV: {error}") from None


def _check_header(names: list[str], columns: Mapping[str, inspect.Type]) -> None:
    problems = []
    for name in names:
        if name not in columns and not name.startswith(_COMMENT):
            hint = did_you_mean(name, list(columns)) or f"; a tag has {alternatives(sorted(columns), word='and')}"
            problems.append(
                f"line 1: the column {found(name)} is no key of a tag{hint} (one whose name begins with # is not read)"
            )
    problems += [
        f"line 1: the column {found(name)} stands twice; keep one"
        for name in dict.fromkeys(names)
        if name in columns and names.count(name) > 1
    ]
    if "name" not in names:
        problems.append("line 1: the column name is missing; the first line of the file names its columns")
    if problems:
        raise _Wrong(*problems)


class _Cell:
    """How the cells of one column are read."""

    def __init__(self, kind: inspect.Type) -> None:
        members = _members(kind)
        self._is_list = any(isinstance(one, inspect.ListType) for one in members)
        self._is_text = any(isinstance(one, inspect.StrType) for one in members)
        self._is_either = self._is_text and any(isinstance(one, inspect.IntType) for one in members)

    def value(self, cell: str) -> object:
        if self._is_list:
            return [Written(item.strip()) for item in cell.split(LIST_MARK)]
        if self._is_either and _SHORT_NUMBER.fullmatch(cell):
            return int(cell)
        return Written(cell)


def _members(kind: inspect.Type) -> list[inspect.Type]:
    inner = bare(kind)[0]
    if isinstance(inner, inspect.UnionType):
        return [one for member in inner.types for one in _members(member)]
    return [inner]
