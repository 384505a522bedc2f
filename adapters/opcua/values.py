"""Which values become readings, and of which kind.

    Boolean                                    BOOL
    SByte Int16 Int32 Int64, enumerations      I64    (an enumeration travels as Int32)
    Byte UInt16 UInt32 UInt64, StatusCode      U64
    Float Double                               F64
    String XmlElement LocalizedText Guid       STR
    DateTime                                   STR    ISO 8601, UTC, seven digits: 2026-01-31T07:00:00.1234567Z
    ByteString                                 BYTES
    NodeId ExpandedNodeId                      STR    ns=2;s=Press, as a configuration writes it
    QualifiedName                              STR    2:Press
    DiagnosticInfo                             STR    JSON
    DataValue                                  what is in it, where its own status is not bad

Structures and arrays are no readings by themselves: `read_scalar` steps over them and says so; `spread` takes them
apart for tags that ask for their elements or fields. A null variant is no value either. Null and empty strings are one
and the same (OPC 10000-6, 5.2.2.4).
"""

from __future__ import annotations

import struct
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeAlias

from adapters.opcua.texts import diagnostics, node_text, qualified_name, read_guid, read_node
from adapters.opcua.wire import (
    FIXED_BYTES,
    skip_data_value,
    skip_diagnostic_info,
    skip_localized_text,
    skip_variant,
    span,
)
from gateway.batch import Kind

__all__ = ["COLUMN_CODES", "FIXED", "TICKS_1970", "Fixed", "Scalar", "fit", "iso_time", "read_plain", "read_scalar"]

Scalar: TypeAlias = bool | int | float | bytes
"""A value as it is stored: text is already UTF-8."""

TICKS_1970: Final = 116_444_736_000_000_000
"""100 ns steps from 1601 to 1970: a DateTime counts from 1601 (OPC 10000-6, 5.2.2.5)."""
_TICKS_LAST: Final = 2_650_467_743_990_000_000
_1601: Final = datetime(1601, 1, 1)  # noqa: DTZ001 - arithmetic on UTC only, and no zone is printed


class Fixed(NamedTuple):
    """A built-in type of one size that is stored as a number."""

    kind: Kind
    code: str
    reader: struct.Struct


FIXED: Final = {
    type_id: Fixed(kind, code, struct.Struct("<" + code))
    for type_id, kind, code in (
        (1, Kind.BOOL, "?"),
        (2, Kind.I64, "b"),
        (3, Kind.U64, "B"),
        (4, Kind.I64, "h"),
        (5, Kind.U64, "H"),
        (6, Kind.I64, "i"),
        (7, Kind.U64, "I"),
        (8, Kind.I64, "q"),
        (9, Kind.U64, "Q"),
        (10, Kind.F64, "f"),
        (11, Kind.F64, "d"),
        (19, Kind.U64, "I"),
    )
}
"""By a Variant's encoding byte, which for a scalar is the type id."""

COLUMN_CODES: Final = {Kind.BOOL: "Q", Kind.I64: "q", Kind.U64: "Q", Kind.F64: "d"}
"""Codes of the `array` that makes a column of values into the eight bytes of their records."""

_STRING, _DATE_TIME, _GUID, _BYTE_STRING, _XML_ELEMENT, _LOCALIZED_TEXT = 12, 13, 14, 15, 16, 21
_NODE_ID, _EXPANDED_NODE_ID, _QUALIFIED_NAME, _DATA_VALUE, _DIAGNOSTIC_INFO = 17, 18, 20, 23, 25
_BAD: Final = 0x80000000


def read_scalar(body: bytes, at: int) -> tuple[Kind | None, Scalar | None, int]:
    """Reads the Variant at this position.

    Returns:
        Kind, value, and the position behind it. The kind is None for a null value; kind given and value None means
        that the value is of a type which is no reading.

    Raises:
        one of `wire.DAMAGE`: the body does not keep the encoding.
    """
    encoding = body[at]
    fixed = FIXED.get(encoding)
    if fixed is not None:
        at += 1
        return fixed.kind, fixed.reader.unpack_from(body, at)[0], at + fixed.reader.size
    if encoding == 0:
        return None, None, at + 1
    if encoding in _PLAIN:
        return read_plain(body, at + 1, encoding)
    return Kind.BYTES, None, skip_variant(body, at)


def read_plain(body: bytes, at: int, type_id: int) -> tuple[Kind | None, Scalar | None, int]:
    """Reads a value of a built-in type, without a Variant around it; the result is that of `read_scalar`.

    Args:
        body: the message.
        at: where the value stands.
        type_id: one of `FIXED`, or of the other types that are readings.

    Raises:
        KeyError: the type is no reading.
        one of `wire.DAMAGE`: the body does not keep the encoding.
    """
    fixed = FIXED.get(type_id)
    if fixed is not None:
        return fixed.kind, fixed.reader.unpack_from(body, at)[0], at + fixed.reader.size
    if type_id in (_STRING, _XML_ELEMENT):
        text, at = span(body, at)
        return Kind.STR, _utf8(text), at
    if type_id == _LOCALIZED_TEXT:
        end = skip_localized_text(body, at)
        return Kind.STR, _utf8(_text_of(body, at)), end
    if type_id == _BYTE_STRING:
        content, at = span(body, at)
        return Kind.BYTES, content, at
    if type_id == _DATE_TIME:
        ticks = struct.unpack_from("<q", body, at)[0]
        return Kind.STR, iso_time(ticks).encode(), at + FIXED_BYTES[_DATE_TIME]
    if type_id == _GUID:
        return Kind.STR, str(read_guid(body, at)).encode(), at + FIXED_BYTES[_GUID]
    if type_id in (_NODE_ID, _EXPANDED_NODE_ID):
        node, at = read_node(body, at)
        return Kind.STR, node_text(node).encode(errors="replace"), at
    if type_id == _QUALIFIED_NAME:
        name, at = qualified_name(body, at)
        return Kind.STR, _utf8(name), at
    if type_id == _DIAGNOSTIC_INFO:
        end = skip_diagnostic_info(body, at)
        return Kind.STR, diagnostics(body, at).encode(errors="replace"), end
    if type_id == _DATA_VALUE:
        return _of_data_value(body, at)
    raise KeyError(type_id)


_PLAIN: Final = frozenset({12, 13, 14, 15, 16, 17, 18, 20, 21, 23, 25})
"""Types besides `FIXED` that `read_plain` takes."""


def _of_data_value(body: bytes, at: int) -> tuple[Kind | None, Scalar | None, int]:
    end = skip_data_value(body, at)  # bounds the nesting below
    mask = body[at]
    if not mask & 0x01:
        return None, None, end
    kind, value, behind = read_scalar(body, at + 1)
    if mask & 0x02 and struct.unpack_from("<I", body, behind)[0] & _BAD:
        return None, None, end
    return kind, value, end


def _text_of(body: bytes, at: int) -> bytes:
    """The text of a LocalizedText, without its locale."""
    mask = body[at]
    at += 1
    if mask & 0x01:
        _, at = span(body, at)
    return span(body, at)[0] if mask & 0x02 else b""


def _utf8(text: bytes) -> bytes:
    """The text itself where it is UTF-8, as the standard has it; else with U+FFFD for what is not."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.decode(errors="replace").encode()
    return text


def iso_time(ticks: int) -> str:
    """A DateTime as ISO 8601 with seven digits of a second; the standard's ends of time where it is beyond them."""
    ticks = min(max(ticks, 0), _TICKS_LAST)
    seconds, fraction = divmod(ticks, 10_000_000)
    return f"{(_1601 + timedelta(seconds=seconds)).isoformat()}.{fraction:07d}Z"


def fit(kind: Kind, value: Scalar, declared: Kind) -> Scalar | None:
    """The value as the declared kind, or None where it would have to be changed to fit.

    Numbers keep their value: an integer becomes F64 only where F64 can hold it, and never the other way round. Text,
    bytes and truth values are not turned into anything else.
    """
    if kind == declared:
        return value
    if not isinstance(value, int) or Kind.BOOL in (kind, declared):
        return None
    if declared == Kind.F64:
        return float(value) if int(float(value)) == value else None
    if declared == Kind.I64:
        return value if value < 1 << 63 else None
    if declared == Kind.U64:
        return value if value >= 0 else None
    return None
