"""What stands in the sections of a carried file, and back. Foreign bytes are refused, in bounded memory. Pure."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from gateway.batch import Kind
from gateway.config.keys import NAME_PATTERN, Name
from gateway.errors import BadBatch
from gateway.points import Point
from gateway.spool.blocks import Left
from gateway.spool.carry.frames import LARGEST_SECTION_BYTES
from gateway.spool.codec import Codec
from gateway.spool.rows import Row
from gateway.spool.stored import Stored, StoredBlock, StoredRow

__all__ = [
    "CarriedGap",
    "Header",
    "Kinds",
    "Summary",
    "checked_rows",
    "of_json",
    "pack_block",
    "pack_json_list",
    "pack_points",
    "pack_row",
    "to_json",
    "unpack_block",
    "unpack_gaps",
    "unpack_json_list",
    "unpack_points",
    "unpack_row",
]

_Model = TypeVar("_Model")
_BLOCK: Final = struct.Struct("<qqqIIII")
_ROW: Final = struct.Struct("<qqIIH")
_LARGEST_LIST_BYTES: Final = 16 * 1024 * 1024
_LEVEL: Final = 6
_NAME: Final = re.compile(NAME_PATTERN)
_LONGEST_NAME: Final = 1024
_Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
_Nanoseconds = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]


class Kinds(IntEnum):
    """Kinds of sections. A number is given once and never changes its meaning."""

    HEADER = 1
    BLOCK = 2
    ROW = 3
    GAPS = 4
    POINTS = 5
    SUMMARY = 6
    END = 255


class Header(Struct, kw_only=True, frozen=True):
    """Where the readings are from, and what their messages look like.

    Attributes:
        gateway: its id.
        topic: head of its topics, as configured.
        format: of the payloads.
        max_message_bytes: where a batch is cut into several messages; as the gateway does it, so that parts fit.
        made_ns: UTC ns since 1970.
        version: of tidegate, that wrote it.
        origin: `spool`, or `salvage`: what was left of a damaged one.
    """

    gateway: Name
    topic: Annotated[str, Meta(min_length=1, max_length=65_535, pattern=r"^[^+#\x00-\x1f\x7f]+(?!\n)$")]
    format: Literal["json"] = "json"
    max_message_bytes: Annotated[int, Meta(ge=1_000, le=268_435_455)]
    made_ns: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
    version: Annotated[str, Meta(max_length=100)]
    origin: Literal["spool", "salvage"] = "spool"


class CarriedGap(Struct, kw_only=True, frozen=True):
    """One row of the gap ledger; see `gateway.gap.Gap`."""

    number: _Count
    device: str
    cause: str
    from_ns: _Nanoseconds
    to_ns: _Nanoseconds
    readings: _Count | None
    tag: str | None
    group: str | None


class Summary(Struct, kw_only=True, frozen=True):
    """What is in the file, and what is not.

    Attributes:
        batches: batches.
        readings: their readings.
        first: the lowest number; 0: there is none.
        last: the highest.
        points: points.
        gaps: known gaps.
        dropped: readings that the spool dropped since it was made, by cause.
        broken: rows and blocks that could not be read.
        aside: readings that are set aside, and are not carried.
    """

    batches: _Count
    readings: _Count
    first: _Count
    last: _Count
    points: _Count
    gaps: _Count = 0
    dropped: dict[str, _Count] = {}
    broken: _Count = 0
    aside: _Count = 0


def checked_rows(stored: Stored) -> list[Row]:
    """The batches in it, with everything in them that a message will be made of.

    Raises:
        BadBatch: it is not what was written, or its device cannot be a level of a topic.
    """
    rows = stored.rows()
    for row in rows:
        row.batch.check()
        if len(row.device) > _LONGEST_NAME or not _NAME.match(row.device):
            raise BadBatch(f"a device that is called {row.device[:40]!r}")
    return rows


def to_json(model: Struct) -> bytes:
    """A header or a summary as it stands in a file."""
    return msgspec.json.encode(model)


def of_json(content: bytes, model: type[_Model]) -> _Model:
    """A header or a summary.

    Raises:
        BadBatch: it is none.
    """
    try:
        return msgspec.json.decode(content, type=model)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadBatch(f"{model.__name__.lower()}: {error}") from None


def pack_block(block: StoredBlock) -> tuple[bytes, ...]:
    """The parts of a block's section."""
    last, first, at_ns, batches, readings, codec, check, data = block.columns
    if codec != Codec.BLOCK:
        raise BadBatch(f"a block of codec {codec}")
    left = block.left.packed()
    return _BLOCK.pack(last, first, at_ns, batches, readings, check, len(left)), left, data


def unpack_block(content: bytes) -> StoredBlock:
    """The block of a section; it is not opened yet.

    Raises:
        BadBatch: it is none.
    """
    if len(content) < _BLOCK.size:
        raise BadBatch("a block without a head")
    last, first, at_ns, batches, readings, check, left_bytes = _BLOCK.unpack_from(content)
    start = _BLOCK.size + left_bytes
    left = Left.read(last, first, content[_BLOCK.size : start])
    return StoredBlock((last, first, at_ns, batches, readings, int(Codec.BLOCK), check, content[start:]), left)


def pack_row(row: StoredRow) -> tuple[bytes, ...]:
    """The parts of a row's section."""
    if row.codec != Codec.PLAIN:
        raise BadBatch(f"a row of codec {row.codec}")
    packed = zlib.compress(row.data, _LEVEL)
    pays = len(packed) < len(row.data)
    head = _ROW.pack(row.seq, row.at_ns, row.readings, row.checksum, len(row.device))
    return head, row.device, bytes([pays]), packed if pays else row.data


def unpack_row(content: bytes) -> StoredRow:
    """The row of a section.

    Raises:
        BadBatch: it is none.
    """
    if len(content) <= _ROW.size:
        raise BadBatch("a row without a head")
    seq, at_ns, readings, check, device_bytes = _ROW.unpack_from(content)
    start = _ROW.size + device_bytes
    device, packed, data = content[_ROW.size : start], content[start : start + 1], content[start + 1 :]
    if packed == b"\1":
        data = _inflate(data, LARGEST_SECTION_BYTES)
    elif packed != b"\0":
        raise BadBatch("a row that is packed in an unknown way")
    return StoredRow(seq, device, at_ns, readings, int(Codec.PLAIN), check, data)


def pack_points(points: Iterable[Point]) -> bytes:
    """A section of points."""
    return pack_json_list([(number, path, device, unit, kind) for number, path, device, unit, kind in points])


def unpack_points(content: bytes) -> list[Point]:
    """The points of a section.

    Raises:
        BadBatch: they are none.
    """
    points = []
    for found in unpack_json_list(content):
        try:
            number, path, device, unit, kind = found
            points.append(Point(number, path, device, unit, None if kind is None else Kind(kind)))
        except (TypeError, ValueError) as error:
            raise BadBatch(f"a point that is none: {error}") from None
        if type(number) is not int or not all(isinstance(text, str) for text in (path, device, unit)):
            raise BadBatch("a point that is none")
    return points


def unpack_gaps(content: bytes) -> list[CarriedGap]:
    """The gaps of a section.

    Raises:
        BadBatch: they are none.
    """
    try:
        return msgspec.convert(unpack_json_list(content), list[CarriedGap])
    except msgspec.ValidationError as error:
        raise BadBatch(f"a gap that is none: {error}") from None


def pack_json_list(items: Sequence[Any]) -> bytes:
    """A section that is a list."""
    return zlib.compress(msgspec.json.encode(items), _LEVEL)


def unpack_json_list(content: bytes) -> list[Any]:
    """What stands in a section that is a list.

    Raises:
        BadBatch: it is none.
    """
    try:
        return msgspec.json.decode(_inflate(content, _LARGEST_LIST_BYTES), type=list[Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadBatch(f"a list that is none: {error}") from None


def _inflate(packed: bytes, most_bytes: int) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(packed, most_bytes)
    except zlib.error as error:
        raise BadBatch(f"it cannot be unpacked: {error}") from None
    if not unpacker.eof or unpacker.unused_data:
        raise BadBatch("it does not end where it should")
    return content
