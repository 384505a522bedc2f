"""Readings as a table that people write: the golden tests of a module.

    # params = { absolute = 0.5 }
    time,tag,value,status,flags
    0,temperature,21.5
    1.5,temperature,21.7,uncertain,lost

Lines that begin with `#` are TOML: `params`, `outputs` and `tags` of the filter, as in a configuration.

    time    seconds since 1970, up to nine decimals
    value   21.5 1e3 nan (f64), 21 (i64), 21u (u64), true, 'text', x'00ff' (bytes); empty where it is bad
    status  good (or empty), uncertain, bad, or the upper half of a StatusCode such as 0x8005
    flags   lost, gateway_time, derived; joined by +
"""

from __future__ import annotations

import csv
import io
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

from gateway.batch import GOOD, UNCERTAIN, Flag, Kind, Reading, Value, is_bad
from gateway.errors import TidegateError

__all__ = ["Case", "Row", "read_case", "rows_text"]

_COLUMNS: Final = ("time", "tag", "value", "status", "flags")
_LEAST_CELLS: Final = 3
_STATUSES: Final = {"": GOOD, "good": GOOD, "uncertain": UNCERTAIN, "bad": 0x8000}
_FLAGS: Final = {"lost": Flag.LOST_BEFORE, "gateway_time": Flag.GATEWAY_TIME, "derived": Flag.DERIVED}
_KEYS: Final = ("params", "outputs", "tags")
_I64: Final = range(-(1 << 63), 1 << 63)
_U64: Final = range(1 << 64)


class Row(NamedTuple):
    """A reading and the name of its tag; its point number means nothing."""

    tag: str
    reading: Reading


@dataclass(frozen=True, slots=True)
class Case:
    """What stands in such a table."""

    rows: list[Row]
    params: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, str] | None = None
    tags: list[str] = field(default_factory=lambda: ["*"])


def read_case(text: str, source: str) -> Case:
    """What stands in a table.

    Args:
        text: the file.
        source: what to call it in errors.

    Raises:
        TidegateError: it cannot be understood; the text says which line.
    """
    lines = text.splitlines()
    head = [line.lstrip("#").strip() for line in lines if line.startswith("#")]
    try:
        told = tomllib.loads("\n".join(head))
    except tomllib.TOMLDecodeError as error:
        raise TidegateError(f"{source}: the lines that begin with # are no TOML: {error}") from None
    unknown = [key for key in told if key not in _KEYS]
    if unknown:
        raise TidegateError(f"{source}: {unknown[0]} in a line with # is unknown; there are {', '.join(_KEYS)}")
    rows = []
    named = False
    for place, line in enumerate(lines, 1):
        if line.startswith("#") or not line.strip():
            continue
        cells = next(csv.reader([line]))
        if not named:
            named = True
            if tuple(cells) != _COLUMNS[: len(cells)] or len(cells) < _LEAST_CELLS:
                raise TidegateError(f"{source}:{place}: found {line!r}, expected the columns {','.join(_COLUMNS)}")
            continue
        try:
            rows.append(_row(cells))
        except ValueError as error:
            raise TidegateError(f"{source}:{place}: {error}") from None
    return Case(rows, **told)


def rows_text(rows: Iterable[Row]) -> str:
    """The table of these readings, without a head; `read_case` reads it back."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for tag, reading in rows:
        status, flags = _status_text(reading.status), _flags_text(reading.flags)
        cells = [_time_text(reading.ts_ns), tag, _value_text(reading), status, flags]
        while len(cells) > _LEAST_CELLS and not cells[-1]:
            cells.pop()
        writer.writerow(cells)
    return out.getvalue()


def _row(cells: Sequence[str]) -> Row:
    if not _LEAST_CELLS <= len(cells) <= len(_COLUMNS):
        raise ValueError(f"found {len(cells)} cells, expected {','.join(_COLUMNS)}; the last two may be missing")
    time, tag, value, status, flags = [*cells, "", ""][:5]
    number = _status(status)
    if not value:
        number = number if is_bad(number) else 0x8000
        return Row(tag, Reading(_time(time), None, 0, number, Kind.F64, _flags(flags)))
    if is_bad(number):
        raise ValueError(f"found value {value} of bad quality; a bad reading has none")
    kind, read = _value(value)
    return Row(tag, Reading(_time(time), read, 0, number, kind, _flags(flags)))


def _time(text: str) -> int:
    try:
        ns = Decimal(text).scaleb(9)
        if ns == ns.to_integral_value() and int(ns) in _I64:
            return int(ns)
    except (InvalidOperation, ValueError, OverflowError):
        pass
    raise ValueError(f"found time {text!r}, expected seconds since 1970 with at most nine decimals")


def _time_text(ts_ns: int) -> str:
    return f"{Decimal(ts_ns).scaleb(-9):f}".rstrip("0").rstrip(".") if ts_ns % 10**9 else str(ts_ns // 10**9)


def _value(text: str) -> tuple[Kind, Value]:
    if text in ("true", "false"):
        return Kind.BOOL, text == "true"
    if re.fullmatch(r"'.*'", text, re.DOTALL):
        return Kind.STR, text[1:-1]
    if re.fullmatch(r"x'([0-9a-f]{2})*'", text):
        return Kind.BYTES, bytes.fromhex(text[2:-1])
    if re.fullmatch(r"-?[0-9]+", text) and int(text) in _I64:
        return Kind.I64, int(text)
    if re.fullmatch(r"[0-9]+u", text) and int(text[:-1]) in _U64:
        return Kind.U64, int(text[:-1])
    try:
        return Kind.F64, float(text)
    except ValueError:
        raise ValueError(f"found value {text!r}, expected 21.5, 21, 21u, true, 'text' or x'00ff'") from None


def _value_text(reading: Reading) -> str:
    value = reading.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value}'"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return f"{value}u" if reading.kind == Kind.U64 else repr(value)


def _status(text: str) -> int:
    if text in _STATUSES:
        return _STATUSES[text]
    if re.fullmatch(r"0x[0-9A-Fa-f]{1,4}", text):
        return int(text, 16)
    raise ValueError(f"found status {text!r}, expected good, uncertain, bad or a number such as 0x8005")


def _status_text(status: int) -> str:
    names = {number: name for name, number in _STATUSES.items() if name}
    return "" if status == GOOD else names.get(status, f"0x{status:04X}")


def _flags(text: str) -> int:
    names = text.split("+") if text else []
    unknown = [name for name in names if name not in _FLAGS]
    if unknown:
        raise ValueError(f"found flag {unknown[0]!r}, expected {', '.join(_FLAGS)}, joined by +")
    return int(sum(_FLAGS[name] for name in names))


def _flags_text(flags: int) -> str:
    return "+".join(name for name, flag in _FLAGS.items() if flags & flag)
