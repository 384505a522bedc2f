"""What `tidegate status` prints: whatever the gateway tells, as a page for people.

The page follows the data's shape and knows no key of it, so that a newer gateway can tell more to an older command:
sections become headings, records of one shape become tables, the rest becomes aligned pairs.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

__all__ = ["status_text"]

_Nested: TypeAlias = "Mapping[str, Any] | Sequence[Any]"
_TIMES: Final = frozenset({"since", "began"})
"""Keys that hold seconds since 1970."""


def status_text(status: Mapping[str, Any]) -> str:
    """The page.

    Args:
        status: plain data, as it came from JSON.
    """
    return "\n".join(_section(status)) or "the gateway told nothing"


def _section(section: Mapping[str, Any]) -> list[str]:
    plain = {key: value for key, value in section.items() if not _is_nested(value)}
    width = max(map(len, map(_printable, plain)), default=0)
    lines = [f"{_printable(key):{width}}  {_value(value, key)}".rstrip() for key, value in plain.items()]
    for key, value in section.items():
        if _is_nested(value):
            inner = _table(value) if _is_table(value) else _nested(value)
            lines += ["", _printable(key)] if lines else [_printable(key)]
            lines += [f"  {line}".rstrip() for line in inner]
    return lines


def _nested(value: _Nested) -> list[str]:
    return _section(value if isinstance(value, Mapping) else {str(index): item for index, item in enumerate(value)})


def _is_nested(value: object) -> bool:
    if isinstance(value, Mapping):
        return bool(value)
    return (
        isinstance(value, Sequence) and not isinstance(value, str) and any(isinstance(item, Mapping) for item in value)
    )


def _is_table(value: _Nested) -> bool:
    """Whether all items are flat records, so that their keys can be columns."""
    rows = [*value.values()] if isinstance(value, Mapping) else value
    return all(isinstance(row, Mapping) and row and not any(map(_is_nested, row.values())) for row in rows)


def _table(value: Mapping[str, Mapping[str, Any]] | Sequence[Mapping[str, Any]]) -> list[str]:
    keyed = isinstance(value, Mapping)
    records = [*value.items()] if isinstance(value, Mapping) else [("", row) for row in value]
    columns = list(dict.fromkeys(column for _, row in records for column in row))
    cells = [["" if keyed else None, *map(_printable, columns)]]
    cells += [
        [_printable(name) if keyed else None, *(_value(row.get(column, ""), column) for column in columns)]
        for name, row in records
    ]
    rows = [[cell for cell in row if cell is not None] for row in cells]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _printable(text: str) -> str:
    """The text without what could steer a terminal: a device may have sent it."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def _value(value: object, key: str = "") -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int() | float() if key in _TIMES:
            return dt.datetime.fromtimestamp(value, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        case float():
            return f"{value:,.0f}" if value.is_integer() else f"{value:,.3f}"
        case int():
            return f"{value:,}"
        case Mapping() | Sequence() if not isinstance(value, str):
            return ", ".join(map(_value, value.values() if isinstance(value, Mapping) else value)) or "none"
        case _:
            return _printable(str(value))
