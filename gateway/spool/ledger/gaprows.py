"""Gaps as rows of the database, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gateway.gap import Gap
from gateway.spool.ledger.gaps import Entry, Telling

__all__ = ["GAPS", "GAPS_TO_TELL", "WRITE_GAP", "gap_of_row", "row_of_gap"]

_COLUMNS: Final = "number, device, tag, part, cause, from_ns, to_ns, readings, noted_ns, changed_ns, telling"
WRITE_GAP: Final = f"INSERT OR REPLACE INTO gaps ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608 - own names
GAPS: Final = f"SELECT {_COLUMNS} FROM gaps WHERE to_ns >= ? ORDER BY number"  # noqa: S608
"""The whole ledger, from the gaps on that end at a time (UTC ns) or later."""
GAPS_TO_TELL: Final = f"SELECT {_COLUMNS} FROM gaps WHERE telling < 2 ORDER BY number"  # noqa: S608


def row_of_gap(entry: Entry) -> tuple[Any, ...]:
    """The columns of an entry."""
    gap = entry.gap
    return (
        entry.number,
        _storable(gap.device),
        _storable(gap.tag),
        _storable(gap.group),
        gap.cause,
        gap.from_ns,
        gap.to_ns,
        gap.readings,
        entry.noted_ns,
        entry.changed_ns,
        int(entry.telling),
    )


def gap_of_row(row: Sequence[Any]) -> Entry:
    """The entry of a row. What was damaged in it is shown as not known: what else it says is still worth telling."""
    number, device, tag, part, cause, from_ns, to_ns, readings, noted_ns, changed_ns, telling = row
    return Entry(
        number,
        Gap(
            _text(device) or "",
            _text(cause) or "",
            _number(from_ns) or 0,
            _number(to_ns) or 0,
            _number(readings),
            _text(tag),
            _text(part),
        ),
        _number(noted_ns) or 0,
        _number(changed_ns) or 0,
        Telling(telling) if telling in tuple(Telling) else Telling.WAITING,
    )


def _storable(text: str | None) -> str | None:
    """A name as UTF-8 can hold it: what cannot be stored under its name must not keep its gap from being stored."""
    return None if text is None else text.encode(errors="replace").decode()


def _text(value: object) -> str | None:
    return value.decode(errors="replace") if isinstance(value, bytes) else value if isinstance(value, str) else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
