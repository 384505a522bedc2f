"""From a tag's value to the request that writes it: the inverse of `decode`. Pure; what does not fit is refused here.

The rules, complete:

- A coil or a holding register can be written, an input register or a discrete input cannot (MODBUS Application
  Protocol V1.1b3, 4.3). A coil is written by function 5, one register by 6, more by 16 in one request, at most 123.
  Where the device has no single writes, a coil is written by function 15 and one register by 16.
- A bit or a byte of a register is written by function 22, with which the device itself leaves the other bits alone.
  Another way is only taken where the settings ask for it (`with_bit`): reading the register and writing it back undoes
  what the device or another client changes in between.
- A bool takes true and false, and 1 and 0. A bool that is a whole register becomes 1 or 0.
- An integer takes whole numbers, 5.0 too, within the range of its type. Nothing is clipped.
- BCD takes whole numbers of at most four or eight digits.
- A float takes any finite number that its type can hold; float32 rounds to the nearest (ties to even).
- Scale and offset are undone: raw = (value - offset) / scale. For integers raw is rounded to the nearest whole number
  (ties to even), so what the device gets is off by half a step of scale at most; the read-back shows it.
- A string takes text whose UTF-8 fits into the tag's length and has no NUL. It is filled up with NUL, also in the spare
  byte that an odd length has in its last register.
"""

from __future__ import annotations

import math
import struct
import sys
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from adapters.modbus.address import Table
from adapters.modbus.items import Item
from gateway.batch import Kind, Value

__all__ = ["Function", "NotWritable", "Write", "encode", "with_bit"]

_MOST_REGISTERS: Final = 123
"""Of one request (MODBUS Application Protocol V1.1b3, 6.12)."""
_INTEGERS: Final = {
    "int16": (-(1 << 15), (1 << 15) - 1),
    "uint16": (0, (1 << 16) - 1),
    "int32": (-(1 << 31), (1 << 31) - 1),
    "uint32": (0, (1 << 32) - 1),
    "int64": (-(1 << 63), (1 << 63) - 1),
    "uint64": (0, (1 << 64) - 1),
    "bcd16": (0, 9_999),
    "bcd32": (0, 99_999_999),
    "uint8_low": (0, 255),
    "uint8_high": (0, 255),
    "int8_low": (-128, 127),
    "int8_high": (-128, 127),
}
_LARGEST: Final = sys.float_info.max
_FLOATS: Final = {"float32": (">f", 3.4028234663852886e38), "float64": (">d", _LARGEST)}
"""Format, and the largest number."""


class Function(IntEnum):
    """The functions that write."""

    COIL = 5
    REGISTER = 6
    COILS = 15
    REGISTERS = 16
    MASK = 22


class NotWritable(ValueError):
    """This value cannot be written to this tag; the text says why, and what could be."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write.

    Attributes:
        words: the coils (0 or 1 each), the registers as they stand on the wire, or AND mask and OR mask.
    """

    unit_id: int
    function: Function
    address: int
    words: tuple[int, ...]

    def __str__(self) -> str:
        return f"function {self.function.value}, address {self.address} of unit {self.unit_id}"


def encode(item: Item, value: Value, *, single: bool = True) -> Write:
    """The request that gives a tag this value.

    Args:
        item: the tag.
        value: what it is to have.
        single: whether the device knows functions 5 and 6.

    Raises:
        NotWritable: the tag cannot be written, or the value does not fit it.
    """
    if item.table is Table.INPUT:
        raise NotWritable("input registers can only be read; a holding register or a coil can be written")
    if item.table is Table.DISCRETE:
        raise NotWritable("discrete inputs can only be read; a coil or a holding register can be written")
    if item.count > _MOST_REGISTERS:
        raise NotWritable(f"it takes {item.count} registers, and one write reaches {_MOST_REGISTERS} at most")
    if item.table is Table.COIL:
        return Write(item.unit_id, Function.COIL if single else Function.COILS, item.address, (_bool(value),))
    if item.bit is not None:
        words = (0xFFFF ^ item.mask, item.mask if _bool(value) else 0)
        return Write(item.unit_id, Function.MASK, item.address, words)
    if item.byte is not None:
        words = (0xFFFF ^ item.mask, _integer(item, value) << 8 * item.byte & item.mask)
        return Write(item.unit_id, Function.MASK, item.address, words)
    registers = _registers(item, _bytes(item, value))
    function = Function.REGISTER if single and len(registers) == 1 else Function.REGISTERS
    return Write(item.unit_id, function, item.address, registers)


def with_bit(write: Write, register: int, *, single: bool = True) -> Write:
    """What a mask write does, done by writing the whole register.

    Args:
        write: the mask write.
        register: what the register held a moment ago.
        single: whether the device knows function 6.
    """
    and_mask, or_mask = write.words
    word = register & and_mask | or_mask & ~and_mask & 0xFFFF  # MODBUS Application Protocol V1.1b3, 6.16
    return Write(write.unit_id, Function.REGISTER if single else Function.REGISTERS, write.address, (word,))


def _registers(item: Item, raw: bytes) -> tuple[int, ...]:
    pairs = [raw[i : i + 2] for i in range(0, len(raw), 2)]
    registers = [int.from_bytes(pair, "little" if item.bytes_swapped else "big") for pair in pairs]
    # A string has no order of words, as in `decode`.
    return tuple(reversed(registers) if item.words_swapped and item.type != "string" else registers)


def _bytes(item: Item, value: Value) -> bytes:
    """The value as it stands in big-endian registers."""
    if item.type == "bool":
        return _bool(value).to_bytes(2, "big")
    if item.type == "string":
        return _text(value, item.length).ljust(2 * item.count, b"\0")
    if item.type in ("bcd16", "bcd32"):
        return bytes.fromhex(f"{_integer(item, value):0{4 * item.count}d}")
    if item.type in _INTEGERS:
        signed = not item.type.startswith("u")
        return _integer(item, value).to_bytes(2 * item.count, "big", signed=signed)
    return _float(item, value)


def _bool(value: Value) -> int:
    if isinstance(value, int) and value in (0, 1):
        return int(value)
    raise NotWritable(f"{_shown(value)} does not fit: it takes true or false")


def _text(value: Value, length: int) -> bytes:
    if not isinstance(value, str):
        raise NotWritable(f"{_shown(value)} does not fit: it takes a text of at most {length} bytes")
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        raise NotWritable("the text has a character that UTF-8 cannot hold") from None
    if len(raw) > length:
        raise NotWritable(f"the text has {len(raw)} bytes, and the tag takes {length} at most (UTF-8)")
    if b"\0" in raw:
        raise NotWritable("the text has a NUL in it, which would end it there")
    return raw


def _integer(item: Item, value: Value) -> int:
    low, high = _INTEGERS[item.type]
    misfit = NotWritable(f"{_shown(value)} does not fit: it takes {_range(item, low, high)}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise misfit
    if item.affine is not None:
        value = _unscaled(item.affine, value)
        if math.isfinite(value):
            value = round(value)
    if not (low <= value <= high and value == int(value)):  # NaN is in no range
        raise misfit
    return int(value)


def _float(item: Item, value: Value) -> bytes:
    form, high = _FLOATS[item.type]
    misfit = NotWritable(f"{_shown(value)} does not fit: it takes {_range(item, -high, high)}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise misfit
    if item.affine is not None:
        value = _unscaled(item.affine, value)
    if not -high <= value <= high:
        raise misfit
    return struct.pack(form, value)


def _unscaled(affine: tuple[float, float], value: float) -> float:
    scale, offset = affine
    try:
        return (value - offset) / scale
    except OverflowError:  # an integer beyond every float
        return math.nan


def _range(item: Item, low: float, high: float) -> str:
    what = "whole numbers" if item.kind in (Kind.I64, Kind.U64) else "numbers"
    if item.affine is None:
        return f"{what} from {low} to {high} ({item.type})"
    scale, offset = item.affine
    ends = sorted(max(-_LARGEST, min(_LARGEST, end * scale + offset)) for end in (low, high))
    scaled = f"{item.type} times {scale:g}" + (f" plus {offset:g}" if offset else "")
    return f"{what} from {ends[0]:.15g} to {ends[1]:.15g} ({scaled})"


def _shown(value: Value) -> str:
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 60 else f"{text[:57]}..."
