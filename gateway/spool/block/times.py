"""The columns of times: when batches were accepted, and when readings were taken.

    numbers of any kind   the largest step that divides them all (0: all are zero), then the quotients in zigzag
    IN_ORDER              per batch: how long before its acceptance the first reading was taken; then, within batches,
                          the gaps that are not zero: places, as differences, and lengths
    BY_SERIES             the times of one point after the other, as differences

Readings that a device gave in one answer have one time, so in order there is hardly a gap. Where each point is sampled
on a clock of its own, the gaps in order are noise, but those of one point are regular.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, chain, compress, pairwise, repeat
from operator import add, sub
from typing import Final

from gateway.errors import BadBatch
from gateway.spool.block.columns import ColumnReader, ColumnWriter
from gateway.spool.block.lanes import WORD_MASK, pack, unzigzag, zigzag

__all__ = [
    "BY_SERIES",
    "IN_ORDER",
    "Gaps",
    "read_numbers",
    "read_rising",
    "read_times_in_order",
    "write_numbers",
    "write_rising",
]

IN_ORDER: Final = 0
BY_SERIES: Final = 1
_MOST_GAPS: Final = 2
"""In order pays as long as not more than one reading in so many has a gap before it."""


def write_numbers(writer: ColumnWriter, numbers: Sequence[int]) -> None:
    """Writes numbers that are small, or multiples of something: milliseconds, microseconds."""
    step = math.gcd(*numbers)
    writer.number(step & WORD_MASK)
    if step > 1:
        numbers = [number // step for number in numbers]
    writer.words(zigzag(pack(numbers)))


def read_numbers(reader: ColumnReader, count: int) -> list[int]:
    """The numbers, modulo 2**64 where they did not fit into 63 bits."""
    step = reader.number()
    numbers = unzigzag(reader.words(count))
    return numbers if step <= 1 else [number * step for number in numbers]


def write_rising(writer: ColumnWriter, numbers: Sequence[int]) -> None:
    """Writes numbers of which each is a little more than the one before: the first, then the steps."""
    writer.number(numbers[0] & WORD_MASK)
    write_numbers(writer, list(map(sub, numbers[1:], numbers)))


def read_rising(reader: ColumnReader, count: int) -> list[int]:
    """The numbers, signed, of which there is at least one."""
    first = reader.number()
    column = pack(accumulate(read_numbers(reader, count - 1), initial=first))
    return memoryview(column).cast("q").tolist()


class Gaps:
    """The gaps between the times of neighbours within their batches.

    Args:
        times: of all readings, in order.
        starts: where each batch begins.
    """

    def __init__(self, times: Sequence[int], starts: Sequence[int]) -> None:
        lengths = [0, *map(sub, times[1:], times)]
        for start in starts:
            lengths[start] = 0
        self._places = list(compress(range(len(lengths)), lengths))
        self._lengths = list(filter(None, lengths))
        self.few = len(self._places) * _MOST_GAPS <= len(times)

    def write(self, writer: ColumnWriter) -> None:
        """Writes them."""
        writer.number(len(self._places))
        write_numbers(writer, [after - before for before, after in pairwise([0, *self._places])])
        write_numbers(writer, self._lengths)


def read_times_in_order(reader: ColumnReader, firsts: Sequence[int], sizes: Sequence[int]) -> bytes:
    """The times as words.

    Args:
        reader: stands before the gaps.
        firsts: the time of each batch's first reading.
        sizes: how many readings each batch has.
    """
    readings = sum(sizes)
    count = reader.number()
    if count > readings:
        raise BadBatch(f"{count} gaps between {readings} readings")
    places = list(accumulate(read_numbers(reader, count)))
    lengths = read_numbers(reader, count)
    if count and not 0 <= min(places) <= max(places) < readings:
        raise BadBatch("a gap between readings that are not there")
    gaps = [0] * readings
    for place, length in zip(places, lengths, strict=True):
        gaps[place] = length
    times = list(accumulate(gaps))
    starts = accumulate(sizes[:-1], initial=0)
    bases = [first - times[start] for first, start in zip(firsts, starts, strict=True)]
    return pack(map(add, times, chain.from_iterable(map(repeat, bases, sizes))))
