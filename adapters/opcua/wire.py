"""The standard's binary encoding (OPC 10000-6, 5.2), as far as readings need it.

Owns lengths, spans, extension objects, and how to step over a value that we do not take. Every function takes the
whole body and a position, and gives the position behind what it read.

Bodies come from a device and are not trusted: a span that reaches beyond the body, a count that the body cannot hold
and nesting deeper than the standard asks for are `Malformed`. A fixed field beyond the end shows as struct.error or
IndexError in its reader; `DAMAGE` names all three for the callers, which are the only ones to catch.
"""

from __future__ import annotations

import struct
from typing import Final

__all__ = [
    "ARRAY",
    "DAMAGE",
    "FIXED_BYTES",
    "I32",
    "U32",
    "Malformed",
    "count",
    "extension_object",
    "skip_data_value",
    "skip_diagnostic_info",
    "skip_localized_text",
    "skip_variant",
    "span",
]

I32: Final = struct.Struct("<i")
U32: Final = struct.Struct("<I")
_U16: Final = struct.Struct("<H")

ARRAY: Final = 0x80
"""Bit of a Variant's encoding byte: the value is an array."""
_DIMENSIONS: Final = 0x40
_TYPE_BITS: Final = 0x3F

FIXED_BYTES: Final = {1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 4, 8: 8, 9: 8, 10: 4, 11: 8, 13: 8, 14: 16, 19: 4}
"""Sizes of the built-in types that have one, by type id (OPC 10000-6, table 1)."""
_SPANS: Final = frozenset({12, 15, 16, 26, 27, 28, 29, 30, 31})
"""Types that are a length and bytes: String, ByteString, XmlElement, and the reserved ids, read as ByteString."""

_DEEPEST: Final = 100
"""Nesting that a decoder has to support (OPC 10000-6, 5.2.2.12 and 5.2.2.16)."""


class Malformed(ValueError):
    """A device's message does not keep the encoding."""


DAMAGE: Final = (Malformed, struct.error, IndexError)
"""What reading a damaged body raises."""


def span(body: bytes, at: int) -> tuple[bytes, int]:
    """Reads a length and so many bytes; a null span is read as an empty one (5.2.2.4)."""
    size = I32.unpack_from(body, at)[0]
    start = at + 4
    if size <= 0:
        return b"", start
    end = start + size
    if end > len(body):
        raise Malformed(f"a value of {size} bytes where {len(body) - start} are left")
    return body[start:end], end


def count(body: bytes, at: int, least_bytes: int = 1) -> tuple[int, int]:
    """Reads how many elements follow; null counts as none.

    Args:
        body: the message.
        at: where the count stands.
        least_bytes: what one element takes at least, so that a made-up count is caught before the loop over it.
    """
    number = I32.unpack_from(body, at)[0]
    at += 4
    if number * least_bytes > len(body) - at:
        raise Malformed(f"{number} elements where {len(body) - at} bytes are left")
    return max(0, number), at


def extension_object(body: bytes, at: int) -> tuple[int | None, bytes, int]:
    """Reads an extension object (5.2.2.15): number of its type (None where it is no namespace-0 number), body, end."""
    type_id, at = _type_number(body, at)
    encoding = body[at]
    at += 1
    if encoding == 0:
        return type_id, b"", at
    content, at = span(body, at)
    return type_id, content, at


def _type_number(body: bytes, at: int) -> tuple[int | None, int]:
    end = _skip_node_id(body, at)
    form = body[at]
    if form == 0:
        return body[at + 1], end
    if form == 1 and body[at + 1] == 0:
        return _U16.unpack_from(body, at + 2)[0], end
    if form == 2 and _U16.unpack_from(body, at + 1)[0] == 0:
        return U32.unpack_from(body, at + 3)[0], end
    return None, end


def _skip_span(body: bytes, at: int) -> int:
    return _within(body, at + 4 + max(0, I32.unpack_from(body, at)[0]))


def _within(body: bytes, at: int) -> int:
    if at > len(body):
        raise Malformed(f"a value reaches {at - len(body)} bytes beyond the message")
    return at


def _skip_node_id(body: bytes, at: int) -> int:
    """Steps over a NodeId or ExpandedNodeId (5.2.2.9, 5.2.2.10)."""
    encoding = body[at]
    form = encoding & _TYPE_BITS
    if form in (3, 5):
        at = _skip_span(body, at + 3)
    elif form in (0, 1, 2, 4):
        at += {0: 2, 1: 4, 2: 7, 4: 19}[form]
    else:
        raise Malformed(f"a node id of unknown form {form}")
    if encoding & 0x80:
        at = _skip_span(body, at)
    if encoding & 0x40:
        at += 4
    return _within(body, at)


def skip_localized_text(body: bytes, at: int) -> int:
    """Steps over a LocalizedText (5.2.2.14)."""
    mask = body[at]
    at += 1
    for bit in (0x01, 0x02):
        if mask & bit:
            at = _skip_span(body, at)
    return at


def skip_data_value(body: bytes, at: int, depth: int = 0) -> int:
    """Steps over a DataValue (5.2.2.17)."""
    mask = body[at]
    at += 1
    if mask & 0x01:
        at = skip_variant(body, at, depth + 1)
    for bit, size in ((0x02, 4), (0x04, 8), (0x10, 2), (0x08, 8), (0x20, 2)):
        if mask & bit:
            at += size
    return _within(body, at)


def skip_diagnostic_info(body: bytes, at: int, depth: int = 0) -> int:
    """Steps over a DiagnosticInfo (5.2.2.12)."""
    if depth > _DEEPEST:
        raise Malformed("diagnostics nested too deeply")
    mask = body[at]
    at += 1
    for bit in (0x01, 0x02, 0x08, 0x04):
        if mask & bit:
            at += 4
    if mask & 0x10:
        at = _skip_span(body, at)
    if mask & 0x20:
        at += 4
    if mask & 0x40:
        at = skip_diagnostic_info(body, at, depth + 1)
    return _within(body, at)


def _skip_scalar(body: bytes, at: int, type_id: int, depth: int) -> int:
    fixed = FIXED_BYTES.get(type_id)
    if fixed is not None:
        return _within(body, at + fixed)
    if type_id in _SPANS:
        return _skip_span(body, at)
    if type_id in (17, 18):
        return _skip_node_id(body, at)
    if type_id == 20:
        return _skip_span(body, at + 2)
    if type_id == 21:
        return skip_localized_text(body, at)
    if type_id == 22:
        return extension_object(body, at)[2]
    if type_id == 23:
        return skip_data_value(body, at, depth)
    if type_id == 24:
        return skip_variant(body, at, depth + 1)
    if type_id == 25:
        return skip_diagnostic_info(body, at, depth)
    raise Malformed(f"a value of unknown type {type_id}")


def skip_variant(body: bytes, at: int, depth: int = 0) -> int:
    """Steps over a Variant of any type (5.2.2.16)."""
    if depth > _DEEPEST:
        raise Malformed("values nested too deeply")
    encoding = body[at]
    type_id = encoding & _TYPE_BITS
    at += 1
    if not encoding & ARRAY:
        return at if type_id == 0 else _skip_scalar(body, at, type_id, depth)
    fixed = FIXED_BYTES.get(type_id)
    number, at = count(body, at, fixed or 1)
    if fixed is not None:
        at += number * fixed
    else:
        for _ in range(number):
            at = _skip_scalar(body, at, type_id, depth)
    if encoding & _DIMENSIONS:
        dimensions, at = count(body, at, 4)
        at += dimensions * 4
    return at
