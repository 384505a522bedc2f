"""The order of a block's columns, and the way from batches to columns and back. The format stands in `__init__.py`.

A channel is what is left of a record without time and value. A device gives the same points in the same order again and
again: that order is a shape, and a batch is one index. One series is the values of one channel.

Every column's length follows from what was read before it, and none is longer than the block has readings, of which
there are at most `MOST_READINGS`; texts and heaps have a bound of their own (`texts.py`). So what a damaged or hostile
block can take of memory and time is bounded. Whether it is the block that was written, the spool's checksum says.

Cost, 2 shared cores, Python 3.11 (`make bench ARGS=spool`): 0.3 to 1.2 us a reading to encode, 0.3 to 0.8 to decode;
the least for constants, the most for many small batches. An outage at 10,000 readings a second so takes 2 % of a core
for merging. A kernel in C could save most of that, in an outage; it would cost a second codec, and is not written.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, chain, pairwise
from operator import sub
from typing import Final, NamedTuple

from gateway.batch import RECORD_BYTES, Batch
from gateway.errors import BadBatch
from gateway.spool.block.columns import ColumnReader, ColumnWriter
from gateway.spool.block.lanes import WORD_MASK, differences, pack, sums
from gateway.spool.block.series import read_series, write_series
from gateway.spool.block.texts import TEXT_KINDS, HeapMaker, Texts, read_texts
from gateway.spool.block.times import (
    BY_SERIES,
    IN_ORDER,
    Gaps,
    read_numbers,
    read_rising,
    read_times_in_order,
    write_numbers,
    write_rising,
)

__all__ = ["MOST_READINGS", "Entry", "decode_block", "encode_block"]

MOST_READINGS: Final = 1 << 17
"""Of one block. Bounds the memory to decode it: 200 bytes a reading, 600 where each is a batch of its own."""

_LONGEST_NAMES_BYTES: Final = 1 << 24
_INDEX_BYTES: Final = 4
_KIND_BIT: Final = 48
_TEXT_KINDS: Final = frozenset(TEXT_KINDS)


class Entry(NamedTuple):
    """One batch in a block.

    Attributes:
        seq: its number.
        at_ns: when the spool took it, UTC ns.
        device: whose it is.
        batch: the readings, at least one.
    """

    seq: int
    at_ns: int
    device: str
    batch: Batch


def encode_block(entries: Sequence[Entry]) -> bytes:
    """The block of these batches.

    Args:
        entries: at least one, in the order in which they are to come back. At most `MOST_READINGS` readings.
    """
    batches = [entry.batch for entry in entries]
    sizes = [len(batch) for batch in batches]
    starts = list(accumulate(sizes[:-1], initial=0))
    words = memoryview(b"".join([batch.records for batch in batches])).cast("Q")
    values, channel_of = words[1::3].tolist(), words[2::3].tolist()
    times = words.cast("B").cast("q")[0::3].tolist()
    channels = list(dict.fromkeys(channel_of))
    numbers = {channel: number for number, channel in enumerate(channels)}
    channel_numbers = list(map(numbers.__getitem__, channel_of))
    kinds = bytes([channel >> _KIND_BIT & 0xFF for channel in channels])

    writer = ColumnWriter()
    writer.number(len(entries))
    writer.number(len(times))
    write_rising(writer, [entry.seq for entry in entries])
    write_rising(writer, [entry.at_ns for entry in entries])
    _write_devices(writer, [entry.device for entry in entries])
    _write_channels(writer, channels)
    _write_shapes(writer, channel_numbers, starts, sizes)
    gaps = Gaps(times, starts)
    writer.number(IN_ORDER if gaps.few else BY_SERIES)
    if gaps.few:
        write_numbers(writer, [entry.at_ns - times[start] for entry, start in zip(entries, starts, strict=True)])
        gaps.write(writer)
    else:
        write_rising(writer, list(chain.from_iterable(_by_channel(times, channel_numbers, len(channels)))))
    texts = Texts()
    for batch, start, size in zip(batches, starts, sizes, strict=True):
        heap = batch.heap
        texts.take(heap, values, _places(kinds, channel_numbers, start, start + size) if heap else ())
    texts.write(writer)
    write_series(writer, _by_channel(values, channel_numbers, len(channels)), kinds)
    return writer.done()


def decode_block(data: bytes, *, batches: int, readings: int) -> list[Entry]:
    """The batches in a block.

    Args:
        data: the block.
        batches: how many it should hold.
        readings: the same of readings.

    Raises:
        BadBatch: it is no block, or holds another number.
    """
    try:
        return _decode(data, batches=batches, readings=readings)
    except (UnicodeDecodeError, OverflowError) as error:
        raise BadBatch(f"no block: {error}") from None


def _decode(data: bytes, *, batches: int, readings: int) -> list[Entry]:
    if not 1 <= batches <= readings <= MOST_READINGS:
        raise BadBatch(f"a block of {batches} batches with {readings} readings cannot be")
    reader = ColumnReader(data)
    if (reader.number(), reader.number()) != (batches, readings):
        raise BadBatch(f"a block that does not hold {batches} batches with {readings} readings")
    seqs = read_rising(reader, batches)
    accepted = read_rising(reader, batches)
    devices = _read_devices(reader, batches)
    channels = _read_channels(reader, readings)
    channel_numbers, sizes = _read_shapes(reader, batches=batches, readings=readings, channels=len(channels))
    counted = Counter(channel_numbers)
    counts = [counted[number] for number in range(len(channels))]
    times = _read_times(reader, accepted, sizes, channel_numbers, counts)
    texts, heaps = read_texts(reader, batches=batches, readings=readings)
    series = read_series(reader, counts)
    reader.end()

    values = list(map(next, map(series.__getitem__, channel_numbers)))
    kinds = bytes([channel >> _KIND_BIT & 0xFF for channel in channels])
    maker = HeapMaker(texts)
    found_heaps = []
    start = 0
    for heap, size in zip(heaps, sizes, strict=True):
        if heap is None:
            heap = maker.heap(values, _places(kinds, channel_numbers, start, start + size))
        found_heaps.append(heap)
        start += size
    records = bytearray(readings * RECORD_BYTES)
    words = memoryview(records).cast("Q")
    words[0::3] = memoryview(times).cast("Q")
    words[1::3] = memoryview(array("Q", values))
    words[2::3] = memoryview(array("Q", map(channels.__getitem__, channel_numbers)))
    block = bytes(records)
    ends = accumulate((size * RECORD_BYTES for size in sizes), initial=0)
    cut = [block[begin:end] for begin, end in pairwise(ends)]
    return list(map(Entry, seqs, accepted, devices, map(Batch, cut, found_heaps)))


def _by_channel(numbers: Sequence[int], channel_numbers: Sequence[int], channels: int) -> list[list[int]]:
    """The same numbers, those of one channel together."""
    series: list[list[int]] = [[] for _ in range(channels)]
    append = [one.append for one in series]
    for channel, number in zip(channel_numbers, numbers, strict=True):
        append[channel](number)
    return series


def _places(kinds: bytes, channel_numbers: Sequence[int], start: int, stop: int) -> list[int]:
    """Which readings from `start` to before `stop` are texts."""
    return [place for place in range(start, stop) if kinds[channel_numbers[place]] in _TEXT_KINDS]


def _write_devices(writer: ColumnWriter, devices: Sequence[str]) -> None:
    names = list(dict.fromkeys(devices))
    numbers = {name: number for number, name in enumerate(names)}
    encoded = [name.encode() for name in names]
    writer.number(len(names))
    write_numbers(writer, [len(name) for name in encoded])
    writer.stream(b"".join(encoded))
    writer.words(pack(map(numbers.__getitem__, devices)))


def _read_devices(reader: ColumnReader, batches: int) -> list[str]:
    count = _bounded(reader, batches, "devices")
    lengths = read_numbers(reader, count)
    if count and (min(lengths) < 0 or sum(lengths) > _LONGEST_NAMES_BYTES):
        raise BadBatch("devices with names of a length that cannot be")
    names = reader.stream(sum(lengths))
    cut = [names[start:end].decode() for start, end in pairwise(accumulate(lengths, initial=0))]
    return list(map(cut.__getitem__, _indexes(reader, batches, of=count)))


def _write_channels(writer: ColumnWriter, channels: Sequence[int]) -> None:
    writer.number(len(channels))
    writer.words(differences(pack(channel & 0xFFFFFFFF for channel in channels)))
    writer.words(pack(channel >> 32 for channel in channels))


def _read_channels(reader: ColumnReader, readings: int) -> list[int]:
    count = _bounded(reader, readings, "channels")
    points = sums(reader.words(count))
    rests = memoryview(reader.words(count)).cast("Q").tolist()
    return [(rest << 32 | point) & WORD_MASK for point, rest in zip(points, rests, strict=True)]


def _write_shapes(
    writer: ColumnWriter, channel_numbers: Sequence[int], starts: Sequence[int], sizes: Sequence[int]
) -> None:
    column = array("I", channel_numbers).tobytes()
    shapes: dict[bytes, int] = {}
    indexes = [
        shapes.setdefault(column[start * _INDEX_BYTES : (start + size) * _INDEX_BYTES], len(shapes))
        for start, size in zip(starts, sizes, strict=True)
    ]
    writer.number(len(shapes))
    write_numbers(writer, [len(shape) // _INDEX_BYTES for shape in shapes])
    writer.words(differences(pack(memoryview(b"".join(shapes)).cast("I"))))
    writer.words(pack(indexes))


def _read_shapes(reader: ColumnReader, *, batches: int, readings: int, channels: int) -> tuple[list[int], list[int]]:
    """The channel of each reading, and how many readings each batch has."""
    count = _bounded(reader, batches, "shapes")
    lengths = read_numbers(reader, count)
    if count and (min(lengths) < 1 or sum(lengths) > readings):
        raise BadBatch("shapes of a length that cannot be")
    numbers = sums(reader.words(sum(lengths)))
    if numbers and max(numbers) >= channels:
        raise BadBatch(f"channel {max(numbers)} of {channels}")
    shapes = [numbers[start:end] for start, end in pairwise(accumulate(lengths, initial=0))]
    indexes = _indexes(reader, batches, of=count)
    sizes = list(map(lengths.__getitem__, indexes))
    if sum(sizes) != readings:
        raise BadBatch(f"batches of {sum(sizes)} readings where {readings} belong")
    return list(chain.from_iterable(map(shapes.__getitem__, indexes))), sizes


def _read_times(
    reader: ColumnReader,
    accepted: Sequence[int],
    sizes: Sequence[int],
    channel_numbers: Sequence[int],
    counts: Sequence[int],
) -> bytes:
    way = reader.number()
    if way == IN_ORDER:
        firsts = list(map(sub, accepted, read_numbers(reader, len(accepted))))
        return read_times_in_order(reader, firsts, sizes)
    if way != BY_SERIES:
        raise BadBatch(f"times written in way {way}, which is not known to this version")
    together = iter(read_rising(reader, len(channel_numbers)))
    series = [iter([next(together) for _ in range(count)]) for count in counts]
    return pack(map(next, map(series.__getitem__, channel_numbers)))


def _bounded(reader: ColumnReader, most: int, what: str) -> int:
    count = reader.number()
    if count > most:
        raise BadBatch(f"{count} {what} where at most {most} can be")
    return count


def _indexes(reader: ColumnReader, count: int, *, of: int) -> list[int]:
    indexes: list[int] = memoryview(reader.words(count)).cast("Q").tolist()
    if max(indexes) >= of:
        raise BadBatch(f"index {max(indexes)} into {of}")
    return indexes
