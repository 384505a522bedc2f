"""The values of one point after another: each such series is written in the way that suits it.

    CONSTANT       one word
    WORDS + n      the words without the zeros at their low end, as differences. Floats of 32 bits have 29 such zeros
    DECIMAL + k    floats that are whole multiples of 10**-k: the multiples, as differences. Only where each of them,
                   divided again, gives the very same bits; -0.0 and NaN do not

The series of one way stand in one column, one behind the other, so that its planes are long.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import chain, repeat
from operator import mul, or_, truediv
from typing import Final

from gateway.batch import Kind
from gateway.errors import BadBatch
from gateway.spool.block.columns import ColumnReader, ColumnWriter
from gateway.spool.block.lanes import WORD_MASK, differences, shift_right, sums

__all__ = ["read_series", "write_series"]

_CONSTANT: Final = 0
_WORDS: Final = 1
_DECIMAL: Final = 8
_SHIFTS: Final = (0, 16, 29, 40)
_SCALES: Final = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6)
_LARGEST_EXACT: Final = float(1 << 53)


def write_series(writer: ColumnWriter, series: Sequence[Sequence[int]], kinds: bytes) -> None:
    """Writes the series.

    Args:
        writer: where to.
        series: the words of each; none is empty.
        kinds: the `Kind` of each.
    """
    columns: dict[int, list[Sequence[int]]] = {}
    ways = bytearray()
    for words, kind in zip(series, kinds, strict=True):
        way, written = _fit(words, kind)
        ways.append(way)
        columns.setdefault(way, []).append(written)
    writer.stream(bytes(ways))
    for way in sorted(columns):
        column = array("Q", chain.from_iterable(columns[way])).tobytes()
        if _WORDS < way < _DECIMAL:
            column = shift_right(column, _SHIFTS[way - _WORDS])
        writer.words(differences(column))


def read_series(reader: ColumnReader, counts: Sequence[int]) -> list[Iterator[int]]:
    """The words of each series.

    Args:
        reader: stands before the series.
        counts: how many values each has.
    """
    ways = reader.stream(len(counts))
    found: list[Iterator[int]] = [iter(())] * len(counts)
    for way in sorted(set(ways)):
        members = [number for number, of_way in enumerate(ways) if of_way == way]
        if way == _CONSTANT:
            words = sums(reader.words(len(members)))
            for number, word in zip(members, words, strict=True):
                found[number] = repeat(word)
            continue
        words = _restore(way, sums(reader.words(sum(counts[number] for number in members))))
        start = 0
        for number in members:
            found[number] = iter(words[start : start + counts[number]])
            start += counts[number]
    return found


def _fit(words: Sequence[int], kind: int) -> tuple[int, Sequence[int]]:
    if words.count(words[0]) == len(words):
        return _CONSTANT, words[:1]
    if kind != Kind.F64:
        return _WORDS, words
    used = reduce(or_, words)
    zeros = (used & -used).bit_length() - 1
    shift = max(place for place, bits in enumerate(_SHIFTS) if bits <= zeros)
    decimal = _decimal(words)
    return decimal or (_WORDS + shift, words)


def _decimal(words: Sequence[int]) -> tuple[int, Sequence[int]] | None:
    column = array("Q", words).tobytes()
    values = memoryview(column).cast("d").tolist()
    for places, scale in enumerate(_SCALES):
        if not all(_is_multiple(value, scale) for value in (values[0], values[-1], values[len(values) // 2])):
            continue
        try:
            whole = list(map(round, map(mul, values, repeat(scale))))
        except (ValueError, OverflowError):
            return None  # no number, or an infinite one
        if max(map(abs, whole)) < _LARGEST_EXACT and _divide(whole, scale) == column:
            return _DECIMAL + places, [number & WORD_MASK for number in whole]
    return None


def _is_multiple(value: float, scale: float) -> bool:
    scaled = value * scale
    return math.isfinite(scaled) and round(scaled) / scale == value


def _divide(whole: Sequence[int], scale: float) -> bytes:
    return array("d", map(truediv, whole, repeat(scale))).tobytes()


def _restore(way: int, words: list[int]) -> list[int]:
    if way < _WORDS + len(_SHIFTS):
        bits = _SHIFTS[way - _WORDS]
        return [word << bits & WORD_MASK for word in words] if bits else words
    if not _DECIMAL <= way < _DECIMAL + len(_SCALES):
        raise BadBatch(f"values written in way {way}, which is not known to this version")
    whole = memoryview(array("Q", words)).cast("B").cast("q").tolist()
    return memoryview(_divide(whole, _SCALES[way - _DECIMAL])).cast("Q").tolist()
