"""Single values against msgspec's description of a type: does it fit, and what does text from outside become.

Pure functions. `fits` agrees with `msgspec.convert` in strict mode, with one exception: NaN, infinities and integers
beyond 64 bits are never accepted, since no part of the gateway could work with them.
"""

from __future__ import annotations

import math
import re
from typing import Final

from msgspec import inspect

from gateway.config.words import Written

__all__ = ["bare", "converted", "fits", "guessed"]

_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LEAST_INT: Final = -(2**63)
_GREATEST_INT: Final = 2**64 - 1
_BOOLS = {"true": True, "false": False}


def bare(kind: inspect.Type) -> tuple[inspect.Type, str | None, str | None]:
    """A type without its metadata, and the metadata's rule and description."""
    rule = description = None
    while isinstance(kind, inspect.Metadata):
        rule = rule or (kind.extra or {}).get("rule")
        description = description or (kind.extra_json_schema or {}).get("description")
        kind = kind.type
    return kind, rule, description


def converted(kind: inspect.Type, raw: object) -> object:
    """Text from the environment, or from a file of tags, as the type wants it; everything else as it is."""
    if not isinstance(raw, Written):
        return raw
    text = raw.strip()
    match kind:
        case inspect.BoolType() if text.lower() in _BOOLS:
            return _BOOLS[text.lower()]
        case inspect.IntType() if _INTEGER.fullmatch(text):
            return int(text)
        case inspect.FloatType() if _DECIMAL.fullmatch(text):
            return float(text)
        case inspect.LiteralType(values=values):
            return next((value for value in values if str(value) == text), raw)
        case inspect.StrType():
            return str(raw)
        case _:
            return raw


def guessed(raw: object) -> object:
    """A value that the model leaves open: text from the environment becomes what it looks like."""
    if isinstance(raw, dict):
        return {name: guessed(value) for name, value in raw.items()}
    if isinstance(raw, list):
        return [guessed(value) for value in raw]
    if not isinstance(raw, Written):
        return raw
    for kind in (inspect.BoolType(), inspect.IntType(), inspect.FloatType()):
        value = converted(kind, raw)
        if value is not raw:
            return value
    return str(raw)


def fits(kind: inspect.Type, value: object) -> bool | None:
    """Whether a value fits a type; None where only msgspec can tell."""
    match kind:
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType():
            return isinstance(value, int) and _is_number(value) and _in_range(kind, value)
        case inspect.FloatType():
            return isinstance(value, int | float) and _is_number(value) and _in_range(kind, value)
        case inspect.StrType():
            return isinstance(value, str) and _textfits(kind, value)
        case inspect.LiteralType(values=values):
            return any(type(value) is type(one) and value == one for one in values)
        case inspect.EnumType(cls=cls):
            return any(type(value) is type(one.value) and value == one.value for one in cls)
        case inspect.NoneType():
            return value is None
        case inspect.StructType() | inspect.DictType():
            return None if isinstance(value, dict) else False
        case inspect.CollectionType():
            return None if isinstance(value, list) else False
        case _:
            return None


def _is_number(value: float) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, bool) and _LEAST_INT <= value <= _GREATEST_INT


def _in_range(kind: inspect.IntType | inspect.FloatType, value: float) -> bool:
    return (
        (kind.ge is None or value >= kind.ge)
        and (kind.gt is None or value > kind.gt)
        and (kind.le is None or value <= kind.le)
        and (kind.lt is None or value < kind.lt)
        and (kind.multiple_of is None or value % kind.multiple_of == 0)
    )


def _textfits(kind: inspect.StrType, value: str) -> bool:
    return (
        (kind.min_length is None or len(value) >= kind.min_length)
        and (kind.max_length is None or len(value) <= kind.max_length)
        and (kind.pattern is None or re.search(kind.pattern, value) is not None)
    )
