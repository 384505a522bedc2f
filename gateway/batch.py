"""The batch: the one unit that travels through the gateway.

A batch is a block of fixed records plus a heap for the values that do not fit into eight bytes.

    record, 24 bytes, little-endian, struct "<qdIHBB"
      offset  0  i64 ts_ns    source timestamp, UTC nanoseconds since 1970
      offset  8  8 B value    read by kind: f64 | i64 | u64 | (u32 offset, u32 length) into the heap
      offset 16  u32 point    number of the point in the point table
      offset 20  u16 status   upper half of the OPC UA StatusCode (OPC 10000-4, 7.39); its two top bits are the quality
      offset 22  u8  kind     which of the six kinds of value this is; 0 is none, so zeroed memory is no record
      offset 23  u8  flags    see `Flag`

Invariants
- A batch is immutable and holds the readings of one device, in the order in which the device gave them.
- A reading of bad quality carries no value: its kind is F64 and its bits are those of `NO_VALUE`.
- `Batch.check` says whether foreign bytes keep the layout. Batches made here need no check.

The layout stands here and in `modules/sdk/tidegate.h`, nowhere else; a test holds the two together. Hot paths use the
columns (strided views over the records, no object per reading); `Reading` is for people: tests, logs, screens.
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum, IntFlag
from typing import Final, NamedTuple, TypeAlias, cast

from gateway.errors import BadBatch

__all__ = [
    "BAD_COMMUNICATION",
    "EMPTY",
    "GOOD",
    "NO_VALUE",
    "RECORD",
    "RECORD_BYTES",
    "UNCERTAIN",
    "Batch",
    "BatchBuilder",
    "Flag",
    "Kind",
    "Reading",
    "Value",
    "is_bad",
    "quality",
]

if sys.byteorder != "little":  # pragma: no cover - the columns are views in native order
    raise ImportError("tidegate runs on little-endian machines only (x86-64, arm64)")

RECORD: Final = struct.Struct("<qdIHBB")
RECORD_BYTES: Final = RECORD.size
_RECORD_I64: Final = struct.Struct("<qqIHBB")
_RECORD_U64: Final = struct.Struct("<qQIHBB")
_RECORD_SPAN: Final = struct.Struct("<qIIIHBB")
_SPAN: Final = struct.Struct("<II")

NO_VALUE: Final = math.nan
"""What stands in the value of a reading that has none; the bits are those of the quiet NaN 0x7FF8000000000000."""

GOOD: Final = 0x0000
UNCERTAIN: Final = 0x4000
BAD_COMMUNICATION: Final = 0x8005
"""Upper half of BadCommunicationError (OPC 10000-6, A.2): what a silent Modbus unit's readings carry."""

Value: TypeAlias = bool | int | float | str | bytes | None


class Kind(IntEnum):
    """How the eight value bytes of a record are read."""

    BOOL = 1
    I64 = 2
    U64 = 3
    F64 = 4
    STR = 5
    BYTES = 6


class Flag(IntFlag):
    """What else is to be known about one reading."""

    LOST_BEFORE = 1
    """The source lost readings of this point right before this one (OPC UA overflow bit, missed notification)."""
    GATEWAY_TIME = 2
    """`ts_ns` is on the gateway's clock: the source gave no usable time, or its clock is not to be trusted."""
    DERIVED = 4
    """A module computed this reading; no device sent it."""


_KINDS: Final = bytes(Kind)
_ON_GATEWAY_TIME: Final = bytes(flags for flags in range(256) if flags & Flag.GATEWAY_TIME)
_WITH_GATEWAY_TIME: Final = bytes(flags | Flag.GATEWAY_TIME for flags in range(256))
_HEAP_KINDS: Final = (int(Kind.STR), int(Kind.BYTES))


class Reading(NamedTuple):
    """One record, for people. `value` is None where the quality is bad."""

    ts_ns: int
    value: Value
    point: int
    status: int = GOOD
    kind: Kind = Kind.F64
    flags: int = 0


def quality(status: int) -> str:
    """The quality in a status's two top bits (OPC 10000-4, table 176): `good`, `uncertain` or `bad`."""
    return ("good", "uncertain", "bad", "bad")[status >> 14]


def is_bad(status: int) -> bool:
    """Whether a reading of this status carries no value."""
    return status >= 0x8000


class Batch:
    """An immutable block of readings of one device.

    Args:
        records: a whole number of 24-byte records.
        heap: the bytes that records of kind STR (UTF-8) and BYTES point into.

    Raises:
        BadBatch: `records` is not a whole number of records.
    """

    __slots__ = ("heap", "records")

    def __init__(self, records: bytes, heap: bytes = b"") -> None:
        if len(records) % RECORD_BYTES:
            raise BadBatch(f"{len(records)} bytes are not a whole number of {RECORD_BYTES}-byte records")
        self.records = records
        self.heap = heap

    @classmethod
    def of(cls, readings: Iterable[Reading]) -> Batch:
        """Builds a batch from readings, one by one: for tests and cold paths."""
        builder = BatchBuilder()
        for reading in readings:
            builder.add(*reading)
        return builder.build()

    @classmethod
    def of_columns(
        cls,
        *,
        ts_ns: Sequence[int],
        words: bytes,
        points: Sequence[int],
        statuses: Sequence[int],
        kinds: bytes,
        flags: bytes,
        heap: bytes = b"",
    ) -> Batch:
        """Builds a batch from its columns, all of one length: for hot paths, about 0.2 us a reading.

        Args:
            ts_ns: source times, UTC ns since 1970.
            words: the eight value bytes of each record, one after another, as `kinds` says; NO_VALUE where bad.
            points: numbers in the point table.
            statuses: upper halves of the StatusCodes.
            kinds: one byte a reading, see `Kind`.
            flags: one byte a reading, see `Flag`.
            heap: what the words of kind STR and BYTES point into.

        Raises:
            BadBatch: the columns differ in length, or a number does not fit its field.
        """
        records = bytearray(len(ts_ns) * RECORD_BYTES)
        view = memoryview(records)
        try:
            view.cast("q")[0::3] = memoryview(array("q", ts_ns))
            view.cast("Q")[1::3] = memoryview(words).cast("Q")
            view.cast("I")[4::6] = memoryview(array("I", points))
            view.cast("H")[10::12] = memoryview(array("H", statuses))
            view[22::RECORD_BYTES] = kinds
            view[23::RECORD_BYTES] = flags
        except (ValueError, TypeError, OverflowError) as error:
            raise BadBatch(f"columns of {len(ts_ns)} readings do not make a batch: {error}") from None
        return cls(bytes(records), heap)

    def __len__(self) -> int:
        return len(self.records) // RECORD_BYTES

    def __bool__(self) -> bool:
        return bool(self.records)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Batch):
            return NotImplemented
        return self.records == other.records and self.heap == other.heap

    def __hash__(self) -> int:
        return hash((self.records, self.heap))

    def __repr__(self) -> str:
        return f"<Batch of {len(self)} readings, {self.nbytes} bytes>"

    @property
    def nbytes(self) -> int:
        """Bytes of records and heap together."""
        return len(self.records) + len(self.heap)

    # Columns: one list per field, made by strided views, in 10-20 ns a reading.

    def ts_ns(self) -> list[int]:
        """Source times, UTC ns since 1970."""
        return memoryview(self.records).cast("q")[0::3].tolist()

    def values_f64(self) -> list[float]:
        """The value bytes of every record read as f64; right only where the kind is F64."""
        return cast("list[float]", memoryview(self.records).cast("d")[1::3].tolist())

    def values_i64(self) -> list[int]:
        """The value bytes of every record read as i64; right only where the kind is I64 or BOOL."""
        return memoryview(self.records).cast("q")[1::3].tolist()

    def values_u64(self) -> list[int]:
        """The value bytes of every record read as u64; right only where the kind is U64 or BOOL."""
        return memoryview(self.records).cast("Q")[1::3].tolist()

    def points(self) -> list[int]:
        """Point numbers."""
        return memoryview(self.records).cast("I")[4::6].tolist()

    def statuses(self) -> list[int]:
        """Upper halves of the StatusCodes."""
        return memoryview(self.records).cast("H")[10::12].tolist()

    def kinds(self) -> bytes:
        """Kinds, one byte a reading."""
        return self.records[22::RECORD_BYTES]

    def flags(self) -> bytes:
        """Flags, one byte a reading."""
        return self.records[23::RECORD_BYTES]

    def values(self) -> list[Value]:
        """The values as Python objects, None where the quality is bad.

        The common case, a batch of one numeric kind and no bad reading, costs one strided view.
        """
        kinds = self.kinds()
        present = set(kinds)
        column: list[Value]
        if present <= {Kind.F64}:
            column = [*self.values_f64()]
        elif present == {Kind.I64}:
            column = [*self.values_i64()]
        elif present == {Kind.U64}:
            column = [*self.values_u64()]
        else:
            column = self._mixed_values(kinds)
        if max(self.statuses(), default=0) >= 0x8000:
            column = [None if is_bad(status) else value for status, value in zip(self.statuses(), column, strict=True)]
        return column

    def _mixed_values(self, kinds: bytes) -> list[Value]:
        heap = self.heap
        column: list[Value] = []
        for kind, real, signed, unsigned in zip(
            kinds, self.values_f64(), self.values_i64(), self.values_u64(), strict=True
        ):
            if kind == Kind.F64:
                column.append(real)
            elif kind == Kind.BOOL:
                column.append(bool(unsigned))
            elif kind == Kind.I64:
                column.append(signed)
            elif kind == Kind.U64:
                column.append(unsigned)
            else:
                start = unsigned & 0xFFFFFFFF
                span = heap[start : start + (unsigned >> 32)]
                column.append(span.decode(errors="replace") if kind == Kind.STR else span)
        return column

    def __iter__(self) -> Iterator[Reading]:
        """The readings, one object each: for people, not for hot paths."""
        for ts_ns, value, point, status, kind, flags in zip(
            self.ts_ns(), self.values(), self.points(), self.statuses(), self.kinds(), self.flags(), strict=True
        ):
            yield Reading(ts_ns, value, point, status, Kind(kind), flags)

    def slice(self, start: int, stop: int) -> Batch:
        """The readings from `start` to before `stop`, with the whole heap (spans keep their offsets)."""
        return Batch(self.records[start * RECORD_BYTES : stop * RECORD_BYTES], self.heap)

    def on_gateway_time(self, ahead_ns: int) -> Batch:
        """The same readings with times of the gateway's clock, marked `Flag.GATEWAY_TIME`; about 0.1 us each.

        What lies between two readings stays as the source said. Readings that are on the gateway's clock already stay.

        Args:
            ahead_ns: how far the source's clock is ahead of the gateway's.
        """
        records = bytearray(self.records)
        flags = self.flags()
        times = self.ts_ns()
        if flags.translate(None, _ON_GATEWAY_TIME) == flags:
            moved = [_clamp(time - ahead_ns) for time in times]
        else:
            moved = [
                time if flag & Flag.GATEWAY_TIME else _clamp(time - ahead_ns)
                for time, flag in zip(times, flags, strict=True)
            ]
        memoryview(records).cast("q")[0::3] = memoryview(array("q", moved))
        records[23::RECORD_BYTES] = flags.translate(_WITH_GATEWAY_TIME)
        return Batch(bytes(records), self.heap)

    def check(self) -> Batch:
        """Returns self when foreign bytes keep the layout: known kinds, spans inside the heap.

        Raises:
            BadBatch: they do not.
        """
        kinds = self.kinds()
        unknown = set(kinds.translate(None, _KINDS))
        if unknown:
            raise BadBatch(f"records with unknown kinds of value: {sorted(unknown)}")
        if any(kind in kinds for kind in _HEAP_KINDS):
            size = len(self.heap)
            for kind, span in zip(kinds, self.values_u64(), strict=True):
                if kind in _HEAP_KINDS and (span & 0xFFFFFFFF) + (span >> 32) > size:
                    raise BadBatch(f"a value reaches beyond the heap of {size} bytes")
        return self


def _clamp(ts_ns: int) -> int:
    return min(max(ts_ns, -(1 << 63)), (1 << 63) - 1)


EMPTY: Final = Batch(b"")


class BatchBuilder:
    """Builds a batch reading by reading. Costs about a microsecond each: hot paths pack whole batches."""

    __slots__ = ("_heap", "_records")

    def __init__(self) -> None:
        self._records = bytearray()
        self._heap = bytearray()

    def __len__(self) -> int:
        return len(self._records) // RECORD_BYTES

    def add(
        self, ts_ns: int, value: Value, point: int, status: int = GOOD, kind: Kind = Kind.F64, flags: int = 0
    ) -> None:
        """Appends one reading.

        Args:
            ts_ns: UTC nanoseconds since 1970.
            value: must fit `kind`; ignored where `status` is bad; None counts as no value.
            point: number in the point table.
            status: upper half of the StatusCode.
            kind: how to store the value.
            flags: a combination of `Flag`.

        Raises:
            BadBatch: the value does not fit the kind, or a field is out of its range.
        """
        try:
            self._add(ts_ns, value, point, status, kind, flags)
        except (struct.error, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise BadBatch(f"{value!r} cannot be stored as {kind!r} of point {point}: {error}") from None

    def _add(self, ts_ns: int, value: Value, point: int, status: int, kind: Kind, flags: int) -> None:
        if value is None and not is_bad(status):
            raise ValueError("a reading without a value needs a bad status")
        if is_bad(status):
            self._records += RECORD.pack(ts_ns, NO_VALUE, point, status, Kind.F64, flags)
        elif kind == Kind.F64:
            self._records += RECORD.pack(ts_ns, value, point, status, kind, flags)
        elif kind == Kind.BOOL:
            self._records += _RECORD_U64.pack(ts_ns, 1 if value else 0, point, status, kind, flags)
        elif kind == Kind.I64:
            self._records += _RECORD_I64.pack(ts_ns, value, point, status, kind, flags)
        elif kind == Kind.U64:
            self._records += _RECORD_U64.pack(ts_ns, value, point, status, kind, flags)
        else:
            span = value.encode() if isinstance(value, str) else bytes(memoryview(value))  # type: ignore[arg-type]
            record = _RECORD_SPAN.pack(ts_ns, len(self._heap), len(span), point, status, kind, flags)
            self._heap += span
            self._records += record

    def build(self) -> Batch:
        """The batch of all readings added so far; the builder is empty afterwards."""
        batch = Batch(bytes(self._records), bytes(self._heap))
        self._records = bytearray()
        self._heap = bytearray()
        return batch
