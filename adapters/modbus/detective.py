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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

from adapters.modbus.settings import ByteOrder, TypeName

__all__ = ["Candidate", "Number", "rank"]

Number: TypeAlias = "int | float | str | None"

_ORDERS: Final[dict[int, tuple[ByteOrder, ...]]] = {
    1: ("AB", "BA"),
    2: ("ABCD", "CDAB", "BADC", "DCBA"),
    4: ("ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA"),
}
_FORMATS: Final[dict[TypeName, tuple[int, str]]] = {
    "uint16": (1, ">H"),
    "int16": (1, ">h"),
    "float32": (2, ">f"),
    "uint32": (2, ">I"),
    "int32": (2, ">i"),
    "float64": (4, ">d"),
    "uint64": (4, ">Q"),
    "int64": (4, ">q"),
}
_BCD: Final[dict[TypeName, int]] = {"bcd16": 1, "bcd32": 2}
_SCALES: Final = (1.0, 0.1, 0.01, 0.001)
_SCALED: Final = (1.0, 0.7, 0.6, 0.5)
_OUT_OF_RANGE: Final = 0.02
_NOT_ALL: Final = 0.7
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
    if type_ == "string":
        return count
    return _BCD.get(type_) or _FORMATS[type_][0]


def _ways(reads: Sequence[Sequence[int]], count: int) -> Iterator[tuple[TypeName, ByteOrder, int, tuple[Number, ...]]]:
    for type_, (width, form) in _FORMATS.items():
        yield from _laid_out(reads, count, type_, width, lambda raw, form=form: struct.unpack(form, raw)[0])  # type: ignore[misc]
    for type_, width in _BCD.items():
        yield from _laid_out(reads, count, type_, width, _decimal)
    if 2 * count >= _LEAST_TEXT:
        for order in _ORDERS[2][::2]:
            texts = tuple(_text(_bytes(words, order)) for words in reads)
            yield "string", order, 0, texts


def _laid_out(
    reads: Sequence[Sequence[int]], count: int, type_: TypeName, width: int, read: Callable[[bytes], Number]
) -> Iterator[tuple[TypeName, ByteOrder, int, tuple[Number, ...]]]:
    for order in _ORDERS[width]:
        for offset in range(0, count - width + 1, width):
            values = tuple(read(_bytes(words[offset : offset + width], order)) for words in reads)
            yield type_, order, offset, values


def _bytes(words: Sequence[int], order: ByteOrder) -> bytes:
    """The value's bytes, the most significant first, of registers that hold them in this order."""
    little = order in ("BA", "BADC", "DCBA", "BADCFEHG", "HGFEDCBA")
    swapped = order in ("CDAB", "DCBA", "GHEFCDAB", "HGFEDCBA")
    return b"".join(word.to_bytes(2, "little" if little else "big") for word in (reversed(words) if swapped else words))


def _decimal(raw: bytes) -> int | None:
    digits = raw.hex()
    return int(digits) if digits.isdecimal() else None


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
        return 0.0, ("a digit beyond 9" if type_ in _BCD else "not readable as text",), 1.0
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
    if type_ in _BCD:
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
