"""What `tidegate status` prints: whatever the gateway tells, as a page for people.

The page follows the data's shape and knows hardly a key of it, so that a newer gateway can tell more to an older
command: sections become headings, records of one shape become tables where named ones are not too wide, numbers of
numbers become lines of name, label and value, the rest becomes aligned pairs. What a key's name says of its value (a
time, a number of a row) is followed.
"""

from __future__ import annotations

import datetime as dt
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

__all__ = ["WIDTH", "status_text"]

WIDTH: Final = 100
_LEAST_WIDTH: Final = 30
_LONG: Final = 40
_MOST_LINES: Final = 20
"""Of a list of plain values, such as one for each tag; what tells it puts first what matters most."""
_Nested: TypeAlias = "Mapping[str, Any] | Sequence[Any]"
_TIMES: Final = frozenset({"since", "began"})
"""Keys that hold seconds since 1970, beside those that end in `_at`. A key in `_ns` holds nanoseconds since then."""
_NAMES: Final = frozenset({"cursor", "upto", "port", "pid", "number"})
"""Keys whose number names something and counts nothing, beside those that end in `seq`."""
_PROSE: Final = frozenset({"why", "last_error"})
"""Keys that hold sentences. A column of those is the last one, where it can be wrapped."""


def status_text(status: Mapping[str, Any]) -> str:
    """The page, at most 100 columns wide unless a word, or a table of records without names, is wider.

    Args:
        status: plain data, as it came from JSON.
    """
    return "\n".join(_section(status, WIDTH)) or "the gateway told nothing"


def _section(section: Mapping[str, Any], columns: int) -> list[str]:
    plain = {key: value for key, value in section.items() if not _is_nested(value)}
    lines = _rows([[_printable(key), _value(value, key)] for key, value in plain.items()], columns)
    for key, value in section.items():
        if _is_nested(value):
            lines += ["", _printable(key)] if lines else [_printable(key)]
            lines += [f"  {line}".rstrip() for line in _below(value, columns - 2)]
    return lines


def _below(value: _Nested, columns: int) -> list[str]:
    if isinstance(value, Mapping) and all(map(_is_numbers, value.values())):
        return _rows(
            [
                [_printable(name), _printable(label) or "-", _value(number)]
                for name, numbers in value.items()
                for label, number in numbers.items()
            ],
            columns,
        )
    if _is_table(value):
        table = _table(value, columns)
        if isinstance(value, Mapping) and max(map(len, table)) > columns:
            return _one_by_one(value, columns)
        return table
    if isinstance(value, Mapping) and len(value) > _MOST_LINES and not any(map(_is_nested, value.values())):
        first = dict([*value.items()][:_MOST_LINES])
        return [*_section(first, columns), f"and {len(value) - _MOST_LINES:,} more; --json tells all"]
    return _section(value if isinstance(value, Mapping) else {str(i): item for i, item in enumerate(value)}, columns)


def _is_nested(value: object) -> bool:
    if isinstance(value, Mapping):
        return bool(value)
    return (
        isinstance(value, Sequence) and not isinstance(value, str) and any(isinstance(item, Mapping) for item in value)
    )


def _is_numbers(value: object) -> bool:
    """Whether this is a counter: values by label."""
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(number, int | float) and not isinstance(number, bool) for number in value.values())
    )


def _is_table(value: _Nested) -> bool:
    """Whether all items are flat records, so that their keys can be columns."""
    rows = [*value.values()] if isinstance(value, Mapping) else value
    return all(isinstance(row, Mapping) and row and not any(map(_is_nested, row.values())) for row in rows)


def _table(value: Mapping[str, Mapping[str, Any]] | Sequence[Mapping[str, Any]], columns: int) -> list[str]:
    records = [*value.items()] if isinstance(value, Mapping) else [(None, row) for row in value]
    keys = list(dict.fromkeys(key for _, row in records for key in row))
    keys.sort(key=lambda key: _is_prose(key, [row.get(key) for _, row in records]))
    table = [["", *map(_printable, keys)]]
    table += [
        [_printable(name or ""), *(_value(row[key], key) if key in row else "" for key in keys)]
        for name, row in records
    ]
    return _rows(table if isinstance(value, Mapping) else [row[1:] for row in table], columns)


def _one_by_one(value: Mapping[str, Mapping[str, Any]], columns: int) -> list[str]:
    """Records that would make too wide a table, each below its name."""
    lines: list[str] = []
    for name, row in value.items():
        lines += [*([""] if lines else []), _printable(name)]
        lines += [f"  {line}".rstrip() for line in _section(row, columns - 2)]
    return lines


def _is_prose(key: str, values: Sequence[object]) -> bool:
    return key in _PROSE or any(isinstance(value, str) and len(value) > _LONG for value in values)


def _rows(rows: Sequence[Sequence[str]], columns: int) -> list[str]:
    """Cells in aligned columns; what is too long in the last one goes on below itself."""
    if not rows:
        return []
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)][:-1]
    indent = sum(widths) + 2 * len(widths)
    lines = []
    for *head, last in rows:
        wrapped = textwrap.wrap(
            last, max(columns - indent, _LEAST_WIDTH), break_long_words=False, break_on_hyphens=False
        )
        first, *more = wrapped or [""]
        cells = [f"{cell:{width}}  " for cell, width in zip(head, widths, strict=True)]
        lines.append(("".join(cells) + first).rstrip())
        lines += [" " * indent + line for line in more]
    return lines


def _printable(text: str) -> str:
    """The text without what could steer a terminal: a device may have sent it."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def _value(value: object, key: str = "") -> str:
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case int() | float() if key in _TIMES or key.endswith("_at"):
            return _time(value)
        case int() | float() if key.endswith("_ns"):
            return _time(value / 1e9)
        case int() if key in _NAMES or key.endswith("seq"):
            return str(value)
        case float():
            return f"{value:,.0f}" if value.is_integer() else f"{value:,.3f}"
        case int():
            return f"{value:,}"
        case Mapping() | Sequence() if not isinstance(value, str):
            return ", ".join(map(_value, value.values() if isinstance(value, Mapping) else value)) or "none"
        case _:
            return _printable(str(value))


def _time(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
