"""A second reader of blocks, from the format's text (`gateway.spool.block`), with plain loops. Trusts its input."""

from __future__ import annotations

import struct
import zlib

from gateway.batch import Batch
from gateway.spool.block import Entry

_MASK = (1 << 64) - 1
_SHIFTS = {1: 0, 2: 16, 3: 29, 4: 40}


def signed(word: int) -> int:
    return (word & _MASK) - (1 << 64) if word & 1 << 63 else word & _MASK


class Input:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, length: int) -> bytes:
        self.at += length
        assert self.at <= len(self.data)
        return self.data[self.at - length : self.at]

    def number(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def stream(self, length: int) -> bytes:
        method = self.take(1)[0]
        content = self.take(int.from_bytes(self.take(4), "little"))
        if method == 1:
            content = zlib.decompress(content)
        assert len(content) == length
        return content

    def words(self, count: int) -> list[int]:
        mask = self.take(1)[0]
        content = self.stream(count * mask.bit_count())
        words = [0] * count
        start = 0
        for bit in range(8):
            if mask & 1 << bit:
                for index in range(count):
                    words[index] |= content[start + index] << 8 * bit
                start += count
        return words

    def zigzag(self, count: int) -> list[int]:
        return [word >> 1 if not word & 1 else -(word >> 1) - 1 for word in self.words(count)]

    def numbers(self, count: int) -> list[int]:
        step = self.number() or 1
        return [number * step for number in self.zigzag(count)]

    def differences(self, count: int) -> list[int]:
        total = 0
        words = []
        for number in self.zigzag(count):
            total = (total + number) & _MASK
            words.append(total)
        return words

    def rising(self, count: int) -> list[int]:
        total = self.number()
        found = [signed(total)]
        for number in self.numbers(count - 1):
            total += number
            found.append(signed(total))
        return found

    def pieces(self, count: int) -> list[bytes]:
        lengths = self.numbers(count)
        content = self.stream(sum(lengths))
        found = []
        for length in lengths:
            found.append(content[:length])
            content = content[length:]
        return found


def decode(data: bytes) -> list[Entry]:
    source = Input(data)
    batches, readings = source.number(), source.number()
    seqs, accepted = source.rising(batches), source.rising(batches)
    names = [name.decode() for name in source.pieces(source.number())]
    devices = [names[index] for index in source.words(batches)]

    count = source.number()
    points, rests = source.differences(count), source.words(count)
    lengths = source.numbers(source.number())
    flat = source.differences(sum(lengths))
    shapes = []
    for length in lengths:
        shapes.append(flat[:length])
        flat = flat[length:]
    shape_of = [shapes[index] for index in source.words(batches)]
    channel_of = [channel for shape in shape_of for channel in shape]
    assert len(channel_of) == readings

    times = read_times(source, accepted, shape_of, channel_of, count)
    texts = source.pieces(source.number())
    made = source.words(batches)
    heaps = source.pieces(batches)
    words = read_series(source, [channel_of.count(channel) for channel in range(count)])
    assert source.at == len(data)

    entries = []
    place = 0
    for seq, at_ns, device, shape, from_texts, heap in zip(seqs, accepted, devices, shape_of, made, heaps, strict=True):
        records = b""
        for channel in shape:
            word = words[channel].pop(0)
            if from_texts and rests[channel] >> 16 & 0xFF in (5, 6):
                offset, heap = len(heap), heap + texts[word]
                word = offset | len(texts[word]) << 32
            records += struct.pack("<qQII", signed(times[place]), word, points[channel], rests[channel])
            place += 1
        entries.append(Entry(seq, at_ns, device, Batch(records, heap)))
    return entries


def read_times(
    source: Input, accepted: list[int], shape_of: list[list[int]], channel_of: list[int], channels: int
) -> list[int]:
    if source.number() == 1:
        flat = source.rising(len(channel_of))
        found = [0] * len(channel_of)
        for channel in range(channels):
            for place, one in enumerate(channel_of):
                if one == channel:
                    found[place] = flat.pop(0)
        return found
    ages = source.numbers(len(accepted))
    count = source.number()
    steps, lengths = source.numbers(count), source.numbers(count)
    gaps = {}
    place = 0
    for step, length in zip(steps, lengths, strict=True):
        place += step
        gaps[place] = length
    found = []
    for at_ns, age, shape in zip(accepted, ages, shape_of, strict=True):
        time = at_ns - age
        for index in range(len(shape)):
            if index:
                time += gaps.get(len(found), 0)
            found.append(time & _MASK)
    return found


def read_series(source: Input, counts: list[int]) -> list[list[int]]:
    ways = source.stream(len(counts))
    found: list[list[int]] = [[] for _ in counts]
    for way in sorted(set(ways)):
        members = [channel for channel, one in enumerate(ways) if one == way]
        if way == 0:
            for channel, word in zip(members, source.differences(len(members)), strict=True):
                found[channel] = [word] * counts[channel]
            continue
        column = source.differences(sum(counts[channel] for channel in members))
        for channel in members:
            mine, column = column[: counts[channel]], column[counts[channel] :]
            if way in _SHIFTS:
                found[channel] = [word << _SHIFTS[way] & _MASK for word in mine]
            else:
                found[channel] = [
                    int.from_bytes(struct.pack("<d", signed(word) / 10 ** (way - 8)), "little") for word in mine
                ]
    return found
