"""The byte-order detective: registers under every type and byte order, ranked by plausibility. Pure.

Manuals say "32 bit, float" and leave open which register comes first. What a wrong guess gives is rarely plausible:
a float of 1e-38, an integer of a thousand million, or a number that leaps between two reads although the thing it
measures does not. So each reading of the registers is judged by

- whether it is a number at all: finite, its decimal digits digits, its text readable;
- the range that the person knows it must be in, as it stands or divided by 10, 100 or 1000;
- its size, where no range is given: measurements are rarely tiny or huge;
- steadiness: how far it moves between reads, compared with its size;
- whether it uses all the registers that were asked for.

The score is a product of these, from 0 to 1. It says what to look at first; it is no proof.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, TypeAlias, get_args

from adapters.modbus.decode import BCD, FORMATS
from adapters.modbus.items import BYTES_SWAPPED, REGISTERS, WORDS_SWAPPED
from adapters.modbus.settings import ByteOrder, TypeName

__all__ = ["Candidate", "Number", "rank"]

Number: TypeAlias = "int | float | str | None"

_ORDERS: Final[tuple[ByteOrder, ...]] = get_args(ByteOrder)
_NUMBERS: Final[tuple[TypeName, ...]] = (
    *("uint16", "int16", "float32", "uint32", "int32", "float64", "uint64", "int64"),
    *BCD,
)
"""The usual ones first."""
_SCALES: Final = (1.0, 0.1, 0.01, 0.001)
_SCALED: Final = (1.0, 0.7, 0.6, 0.5)
_OUT_OF_RANGE: Final = 0.02
_NOT_ALL: Final = 0.7
_TEXT_ORDERS: Final[tuple[ByteOrder, ...]] = ("ABCD", "BADC")
_LEAST_TEXT: Final = 4
"""Characters; two letters side by side are more often a number."""
_USUAL: Final = (1e-3, 1e6)
"""Sizes that measurements usually have."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """The registers read in one way.

    Attributes:
        type: as a tag's `type`.
        byte_order: as a tag's `byte_order`.
        offset: first register it uses, counted from the first that was read.
        values: one for each read; None where that read gives no value.
        score: 0 to 1.
        why: what speaks for it and against it.
        scale: what the tag's `scale` would have to be for it to lie in the range.
    """

    type: TypeName
    byte_order: ByteOrder
    offset: int
    values: tuple[Number, ...]
    score: float
    why: tuple[str, ...]
    scale: float = 1.0


def rank(reads: Sequence[Sequence[int]], *, low: float | None = None, high: float | None = None) -> list[Candidate]:
    """Every way to read the registers, the most plausible first.

    Args:
        reads: the registers, 0 to 65535 each, one list for each time they were read; all of one length.
        low: the least value the person expects.
        high: the greatest.
    """
    count = len(reads[0])
    found = []
    for type_, order, offset, values in _ways(reads, count):
        width = _width(type_, count)
        score, why, scale = _judge(type_, values, low, high)
        if width < count:
            score *= _NOT_ALL
        found.append(Candidate(type_, order, offset, values, round(score, 4), why, scale))
    found.sort(key=lambda one: -one.score)  # stable: the usual order and type comes first
    return found


def _width(type_: TypeName, count: int) -> int:
    return REGISTERS.get(type_, count)


def _ways(reads: Sequence[Sequence[int]], count: int) -> Iterator[tuple[TypeName, ByteOrder, int, tuple[Number, ...]]]:
    for type_ in _NUMBERS:
        width = REGISTERS[type_]
        for order in _ORDERS:
            if len(order) != 2 * width:
                continue
            for offset in range(0, count - width + 1, width):
                values = tuple(_number(type_, _bytes(words[offset : offset + width], order)) for words in reads)
                yield type_, order, offset, values
    if 2 * count >= _LEAST_TEXT:
        for order in _TEXT_ORDERS:
            texts = tuple(_text(_bytes(words, order)) for words in reads)
            yield "string", order, 0, texts


def _bytes(words: Sequence[int], order: ByteOrder) -> bytes:
    """The value's bytes, the most significant first, of registers that hold them in this order."""
    end: Literal["little", "big"] = "little" if order in BYTES_SWAPPED else "big"
    return b"".join(word.to_bytes(2, end) for word in (reversed(words) if order in WORDS_SWAPPED else words))


def _number(type_: TypeName, raw: bytes) -> Number:
    if type_ in BCD:
        digits = raw.hex()
        return int(digits) if digits.isdecimal() else None
    number: Number = struct.unpack(f">{FORMATS[type_]}", raw)[0]
    return number


def _text(raw: bytes) -> str | None:
    text, _, rest = raw.partition(b"\0")
    if rest.strip(b"\0") or not text or not all(32 <= byte < 127 for byte in text):
        return None
    return text.decode().rstrip()


def _judge(
    type_: TypeName, values: Sequence[Number], low: float | None, high: float | None
) -> tuple[float, tuple[str, ...], float]:
    """Score, reasons and scale."""
    if any(value is None for value in values):
        return 0.0, ("a digit beyond 9" if type_ in BCD else "not readable as text",), 1.0
    if type_ == "string":
        return _judge_text([str(value) for value in values], ranged=low is not None or high is not None)
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    if not all(map(math.isfinite, numbers)):
        return 0.0, ("not a finite number",), 1.0
    why: list[str] = []
    score, scale = 1.0, 1.0
    if low is not None or high is not None:
        score, scale, told = _range_score(type_, numbers, low, high)
        why.append(told)
    # A range says more about the size than habit does; habit still tells 1e-38 from 0 in a range that has both.
    size, told = _size_score(numbers)
    score *= size if low is None and high is None else max(size, 0.5)
    if told:
        why.append(told)
    steady, told = _steadiness(numbers)
    score *= steady
    if told:
        why.append(told)
    if type_ in BCD:
        score *= 0.6  # rare, and every number whose digits are 0 to 9 looks like it
    return score, tuple(why), scale


def _judge_text(texts: Sequence[str], *, ranged: bool) -> tuple[float, tuple[str, ...], float]:
    if len(min(texts, key=len)) < _LEAST_TEXT:
        return 0.1, ("a short text",), 1.0
    score = 0.95 if len(set(texts)) == 1 else 0.5
    return (score * (0.1 if ranged else 1.0)), ("readable text",), 1.0


def _range_score(
    type_: TypeName, numbers: Sequence[float], low: float | None, high: float | None
) -> tuple[float, float, str]:
    least, most = (-math.inf if low is None else low), (math.inf if high is None else high)
    for scale, score in zip(_SCALES, _SCALED, strict=True):
        if scale != 1.0 and type_.startswith("float"):
            break
        if all(least <= number * scale <= most for number in numbers):
            return score, scale, "in range" if scale == 1.0 else f"in range, times {scale:g}"
    return _OUT_OF_RANGE, 1.0, "out of range"


def _size_score(numbers: Sequence[float]) -> tuple[float, str]:
    """How usual the size of the largest is: 1 within the usual ones, less by a fifth with each power of ten beyond."""
    size = max(map(abs, numbers))
    if size == 0:
        return 0.5, "0 in any order"
    low, high = map(math.log10, _USUAL)
    power = math.log10(size)
    beyond = max(low - power, power - high, 0.0)
    if beyond < 1:
        return 0.8**beyond, ""
    return 0.8**beyond, "very small" if size < 1 else "very large"


def _steadiness(numbers: Sequence[float]) -> tuple[float, str]:
    """1 while it moves by less than a twentieth of its size between two reads; less the more it leaps."""
    size = max(map(abs, numbers))
    # Two finite floats may be further apart than any float is large.
    steps = [abs(after / size - before / size) for before, after in pairwise(numbers) if size]
    if not steps or max(steps) == 0:
        return 1.0, ""
    leap = max(steps)
    if leap <= 0.05:
        return 1.0, "steady"
    return max(0.1, 0.05 / leap), "leaps" if leap > 1 else "moves"
