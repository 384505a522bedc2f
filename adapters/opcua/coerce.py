"""Which values may be written to a variable of which built-in type. Pure.

    Boolean                        true, false, 0 and 1
    SByte ... UInt64               whole numbers in the type's range; 3.0 counts as whole
    Float, Double                  finite numbers in the type's range, whole ones only where the type can hold them
    String, LocalizedText          text
    DateTime                       text in ISO 8601 with a time zone, to the microsecond
    Guid                           text
    ByteString                     bytes

Anything else is refused, and nothing is ever rounded, cut or wrapped to fit, but for the nearest Float or Double that
stands for a fraction.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeAlias
from uuid import UUID

from gateway.batch import Value

__all__ = ["TYPE_NAMES", "Fitting", "coerce"]

Fitting: TypeAlias = bool | int | float | str | bytes | datetime | UUID
"""A value that fits."""

_INTEGERS: Final = {
    2: (-(1 << 7), (1 << 7) - 1),
    3: (0, (1 << 8) - 1),
    4: (-(1 << 15), (1 << 15) - 1),
    5: (0, (1 << 16) - 1),
    6: (-(1 << 31), (1 << 31) - 1),
    7: (0, (1 << 32) - 1),
    8: (-(1 << 63), (1 << 63) - 1),
    9: (0, (1 << 64) - 1),
}
"""Least and greatest value by type id (OPC 10000-6, table 1)."""

TYPE_NAMES: Final = {
    1: "Boolean",
    2: "SByte",
    3: "Byte",
    4: "Int16",
    5: "UInt16",
    6: "Int32",
    7: "UInt32",
    8: "Int64",
    9: "UInt64",
    10: "Float",
    11: "Double",
    12: "String",
    13: "DateTime",
    14: "Guid",
    15: "ByteString",
    21: "LocalizedText",
}
"""The types that can be written, by type id."""

_EARLIEST: Final = datetime(1601, 1, 1, tzinfo=UTC)
_TOO_FINE: Final = re.compile(r"[.,]\d{6}0*[1-9]")


def coerce(value: Value, type_id: int) -> Fitting:
    """The value as a variable of this type holds it.

    Args:
        value: as a person or a message gives it.
        type_id: one of `TYPE_NAMES`.

    Raises:
        ValueError: it does not fit; says what would.
    """
    fitting = _RULES[type_id](value, type_id)
    if fitting is None:
        raise ValueError(f"{_shown(value)} is not a value of type {TYPE_NAMES[type_id]}; {_EXPECTED[type_id]}")
    return fitting


def _boolean(value: Value, _: int) -> bool | None:
    return bool(value) if isinstance(value, (bool, int, float)) and value in (0, 1) else None


def _integer(value: Value, type_id: int) -> int | None:
    least, most = _INTEGERS[type_id]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if isinstance(value, float) and not value.is_integer():
        return None
    return int(value) if least <= value <= most else None


def _real(value: Value, type_id: int) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    code = "<f" if type_id == _FLOAT else "<d"
    try:
        held: float = struct.unpack(code, struct.pack(code, value))[0]
    except (OverflowError, struct.error):
        return None
    if not math.isfinite(held) or (isinstance(value, int) and held != value):
        return None
    return float(value)


def _text(value: Value, _: int) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def _time(value: Value, _: int) -> datetime | None:
    if not isinstance(value, str) or _TOO_FINE.search(value):
        return None
    try:
        time = datetime.fromisoformat(value)
        if time.tzinfo is None:
            return None
        time = time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time if time >= _EARLIEST else None


def _guid(value: Value, _: int) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _bytes(value: Value, _: int) -> bytes | None:
    return value if isinstance(value, bytes) else None


_FLOAT: Final = 10
_RULES: Final[dict[int, Callable[[Value, int], Fitting | None]]] = {
    1: _boolean,
    **dict.fromkeys(_INTEGERS, _integer),
    10: _real,
    11: _real,
    12: _text,
    13: _time,
    14: _guid,
    15: _bytes,
    21: _text,
}
_EXPECTED: Final = {
    1: "expected true or false",
    **{number: f"expected a whole number from {least} to {most}" for number, (least, most) in _INTEGERS.items()},
    10: "expected a finite number that a 32-bit float can hold",
    11: "expected a finite number that a 64-bit float can hold",
    12: "expected text",
    13: "expected a time with its zone, to the microsecond, such as 2026-01-31T07:00:00Z",
    14: "expected a GUID such as 09087e75-8e5e-499b-954f-f2a9603db28a",
    15: "expected bytes",
    21: "expected text",
}


def _shown(value: Value) -> str:
    text = "no value" if value is None else repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
