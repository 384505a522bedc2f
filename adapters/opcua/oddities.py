"""What is told of a value that is no reading: the cause it is counted by, and words for the person on site. Pure."""

from __future__ import annotations

from typing import Final

from adapters.opcua.spread import BAD_INDEX_RANGE_NO_DATA, BAD_NO_MATCH, BAD_TYPE_MISMATCH, Selector, suffix
from adapters.opcua.structures import (
    BAD_DATA_TYPE_ID_UNKNOWN,
    BAD_DECODING,
    BAD_NO_DATA,
    BAD_NOT_SUPPORTED,
    encodings_in,
)
from adapters.opcua.texts import key_text
from adapters.opcua.wire import ARRAY, DAMAGE, I32

__all__ = ["CAUSES", "what_it_is", "why_not"]

CAUSES: Final = {
    BAD_DECODING: "damaged_value",
    BAD_DATA_TYPE_ID_UNKNOWN: "unknown_type",
    BAD_INDEX_RANGE_NO_DATA: "missing_element",
    BAD_NOT_SUPPORTED: "unsupported_value",
    BAD_NO_MATCH: "no_such_field",
    BAD_TYPE_MISMATCH: "type_mismatch",
    BAD_NO_DATA: "no_value",
}
"""Labels of `Metrics.source_errors`, by the status that the reading is given."""

_TYPE_BITS: Final = 0x3F
_STRUCTURE: Final = 22


def what_it_is(body: bytes, at: int) -> str:
    """The Variant at this position, which makes no single reading, and which key would take it apart."""
    encoding = body[at]
    is_structure = encoding & _TYPE_BITS == _STRUCTURE
    named = f" of type {types}" if (types := _types(body, at)) else ""
    if encoding & ARRAY:
        number = max(0, I32.unpack_from(body, at + 1)[0])
        keys = f"elements = {max(1, number)}" + (" and fields" if is_structure else "")
        return f"an array of {number} {'structures' if is_structure else 'values'}{named}; give the tag {keys}"
    if is_structure:
        return f"a structure{named}; give the tag fields"
    return f"a value of built-in type {encoding & _TYPE_BITS}, which is no reading"


def why_not(status: int, selector: Selector, body: bytes, at: int) -> str:
    """Why a point of the Variant at this position has no value; empty where that is nothing to look into."""
    where = suffix(selector) or "the value"
    if status == BAD_DATA_TYPE_ID_UNKNOWN:
        return f"{where}: the server does not describe the structure's type (encoding {_types(body, at) or 'unknown'})"
    if status == BAD_NO_MATCH:
        return f"{where}: the structure has no such field"
    if status == BAD_TYPE_MISMATCH:
        return f"{where}: the value is not of that shape; compare elements and fields with the server's type"
    if status == BAD_NOT_SUPPORTED:
        return f"{where}: it is no single value; name its elements or fields"
    if status == BAD_DECODING:
        return f"{where}: the value does not keep the encoding of its type"
    return ""


def _types(body: bytes, at: int) -> str:
    try:
        found = sorted({key_text(key) for key in encodings_in(body, at)})
    except DAMAGE:
        return ""
    return ", ".join(found[:3])
