"""From one answer's registers to records, in a few whole-column operations whatever the number of tags.

A decoder is prepared once for a request. It sorts the request's tags into lanes: tags of one type, byte order and
scaling. For each poll a lane picks all its registers with one prepared `itemgetter`, lets `array` and `memoryview` read
them as a column of numbers, and writes that column, strided, over a template of records in which point, kind, status
and flags already stand. There is no Python-level loop over tags, except for bools, strings, BCD and scaled tags.

A number that is NaN or infinite is no measurement: its reading is bad and carries no value. A lane whose column may
hold such says what they mean: `errors.NOT_FINITE`, or for BCD, where NaN stands for a digit beyond 9, `errors.NOT_BCD`.
A string ends at its first NUL; blanks at its end are padding; bytes that are not UTF-8 become U+FFFD.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

from adapters.modbus.errors import NOT_BCD, NOT_FINITE, Fault
from adapters.modbus.items import Item
from adapters.modbus.planner import Request
from adapters.modbus.settings import TypeName
from gateway.batch import GOOD, NO_VALUE, RECORD, RECORD_BYTES, Flag, Kind

__all__ = ["BCD", "FORMATS", "Decoded", "Decoder", "bad_record"]

FORMATS: Final[dict[TypeName, str]] = {
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
    "bcd16": "H",
    "bcd32": "I",
    "uint8_low": "B",
    "uint8_high": "B",
    "int8_low": "b",
    "int8_high": "b",
}
"""How `struct` and `array` name a number of each type."""
BCD: Final[tuple[TypeName, ...]] = ("bcd16", "bcd32")
"""Types whose half bytes are decimal digits."""
_COLUMN: Final = {Kind.BOOL: "Q", Kind.U64: "Q", Kind.I64: "q", Kind.F64: "d", Kind.STR: "Q"}
_SPAN_SHIFT: Final = 32


class Decoded(NamedTuple):
    """Records of one answer, and how many of them are bad because what came is no number, by what that means."""

    records: bytearray
    bad: Mapping[Fault, int]


_Column = Callable[[Sequence[int], bytearray], "array[Any]"]


@dataclass(frozen=True, slots=True)
class _Lane:
    """Tags that are read in one go: their records in the template, and how their column comes about."""

    format: str
    values: slice
    first: int
    fault: Fault | None
    column: _Column


class Decoder:
    """Reads the answers to one request.

    Args:
        request: what is asked.
        points: number of each tag's point, by `Item.index`.
    """

    __slots__ = ("_count", "_lanes", "_template")

    def __init__(self, request: Request, points: Sequence[int]) -> None:
        items = sorted(request.items, key=_lane_key)
        self._count = len(items)
        self._template = b"".join(
            RECORD.pack(0, NO_VALUE, points[item.index], GOOD, item.kind, Flag.GATEWAY_TIME) for item in items
        )
        self._lanes: list[_Lane] = []
        first = 0
        for _, group in groupby(items, key=_lane_key):
            lane = list(group)
            self._lanes.append(_prepare(lane, request.address, first))
            first += len(lane)

    def decode(self, words: Sequence[int], ts_ns: int, heap: bytearray) -> Decoded:
        """The records of one answer.

        Args:
            words: the request's registers, 0 to 65535 each, or its bits.
            ts_ns: when the answer was received, UTC ns since 1970.
            heap: where the bytes of strings are appended; spans count from its start.
        """
        records = bytearray(self._template)
        view = memoryview(records)
        view.cast("q")[0::3] = array("q", (ts_ns,)) * self._count
        bad: Counter[Fault] = Counter()
        for lane in self._lanes:
            column = lane.column(words, heap)
            odd: list[int] = []
            if lane.fault is not None and not math.isfinite(sum(column)):
                odd = [i for i, value in enumerate(column) if not math.isfinite(value)]
            if column.typecode != lane.format:  # BCD that is not scaled: whole numbers, and NaN
                column = array(lane.format, [int(value) if math.isfinite(value) else 0 for value in column])
            view.cast(lane.format)[lane.values] = column  # type: ignore[call-overload]
            for i in odd:
                at = (lane.first + i) * RECORD_BYTES
                point = RECORD.unpack_from(records, at)[2]
                assert lane.fault is not None
                records[at : at + RECORD_BYTES] = bad_record(point, lane.fault.status, ts_ns)
                bad[lane.fault] += 1
        return Decoded(records, bad)


def bad_record(point: int, status: int, ts_ns: int) -> bytes:
    """A reading without a value."""
    return RECORD.pack(ts_ns, NO_VALUE, point, status, Kind.F64, Flag.GATEWAY_TIME)


def _lane_key(item: Item) -> tuple[str, bool, bool, bool]:
    return item.type, item.words_swapped, item.bytes_swapped, item.affine is not None


def _prepare(items: list[Item], start: int, first: int) -> _Lane:
    kind = items[0].kind
    if kind is Kind.BOOL:
        column = _bools(items, start)
    elif kind is Kind.STR:
        column = _strings(items, start)
    else:
        column = _numbers(items, start)
        if items[0].type in BCD:
            column = _digits(column)
        if items[0].affine:
            column = _scaled(column, items)
    fault = NOT_BCD if items[0].type in BCD else NOT_FINITE if kind is Kind.F64 else None
    return _Lane(_COLUMN[kind], slice(1 + 3 * first, 1 + 3 * (first + len(items)), 3), first, fault, column)


def _numbers(items: list[Item], start: int) -> _Column:
    wire_format = FORMATS[items[0].type]
    plain = items[0].affine is None and items[0].type not in BCD
    wide_format = _COLUMN[items[0].kind] if plain else wire_format
    swap = items[0].bytes_swapped
    offsets: list[int] = []
    for item in items:
        registers = range(item.address - start, item.end - start)
        # The machine is little-endian: the least significant register has to come first.
        offsets += registers if item.words_swapped else reversed(registers)
    pick = _picker(offsets)

    if wire_format == "H" and not swap:
        return lambda words, _heap: array(wide_format, pick(words))

    byte = items[0].byte
    if byte is not None:

        def halves(words: Sequence[int], _heap: bytearray) -> array[Any]:
            view = memoryview(array("H", pick(words))).cast("B").cast(wire_format)  # type: ignore[call-overload]
            return array(wide_format, view[byte::2].tolist())

        return halves

    def column(words: Sequence[int], _heap: bytearray) -> array[Any]:
        packed = array("H", pick(words))
        if swap:
            packed.byteswap()
        return array(wide_format, memoryview(packed).cast("B").cast(wire_format).tolist())  # type: ignore[call-overload]

    return column


def _digits(column: _Column) -> _Column:
    """Binary coded decimals: each half byte is a digit. NaN where one is beyond 9; 8 digits are exact in a float."""

    def digits(words: Sequence[int], heap: bytearray) -> array[Any]:
        texts = [f"{value:x}" for value in column(words, heap)]
        return array("d", [int(text) if text.isdecimal() else math.nan for text in texts])

    return digits


def _scaled(column: _Column, items: list[Item]) -> _Column:
    affine = [item.affine or (1.0, 0.0) for item in items]

    def scaled(words: Sequence[int], heap: bytearray) -> array[Any]:
        return array(
            "d",
            [value * scale + offset for value, (scale, offset) in zip(column(words, heap), affine, strict=True)],
        )

    return scaled


def _bools(items: list[Item], start: int) -> _Column:
    pick = _picker([item.address - start for item in items])
    masks = [item.mask for item in items]
    return lambda words, _heap: array(
        "Q", [1 if word & mask else 0 for word, mask in zip(pick(words), masks, strict=True)]
    )


def _strings(items: list[Item], start: int) -> _Column:
    order = "little" if items[0].bytes_swapped else "big"
    spans = [(item.address - start, item.end - start, item.length) for item in items]

    def column(words: Sequence[int], heap: bytearray) -> array[Any]:
        values = array("Q")
        for begin, end, length in spans:
            packed = array("H", words[begin:end])
            if order == "big":
                packed.byteswap()
            text = packed.tobytes()[:length].partition(b"\0")[0].decode(errors="replace").rstrip(" ").encode()
            values.append(len(text) << _SPAN_SHIFT | len(heap))
            heap += text
        return values

    return column


def _picker(offsets: list[int]) -> Callable[[Sequence[int]], Sequence[int]]:
    """Picks these positions; a slice where they follow each other, which also gives a sequence for a single one."""
    if offsets == list(range(offsets[0], offsets[0] + len(offsets))):
        return itemgetter(slice(offsets[0], offsets[0] + len(offsets)))
    return itemgetter(*offsets)
