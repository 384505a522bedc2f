"""Texts: each different one is kept once in a block, and a reading has its number.

A batch's heap can be made again from the texts where its readings use it up from front to back without a gap, as every
batch that was built here does. The heap of any other batch (a module may leave parts unused) is kept as it is, and so
are the words that point into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final

from gateway.batch import Kind
from gateway.errors import BadBatch
from gateway.spool.block.columns import ColumnReader, ColumnWriter
from gateway.spool.block.lanes import pack
from gateway.spool.block.times import read_numbers, write_numbers

__all__ = ["LARGEST_HEAPS_BYTES", "TEXT_KINDS", "HeapMaker", "Texts", "read_texts"]

_LENGTH_BIT: Final = 32
_OFFSET_MASK: Final = (1 << _LENGTH_BIT) - 1
TEXT_KINDS: Final = (int(Kind.STR), int(Kind.BYTES))
LARGEST_HEAPS_BYTES: Final = 16 * 1024 * 1024
"""Of one block, unpacked: twice what the spool puts into one. Three such things may be in memory twice: 100 MB."""


class Texts:
    """Takes the texts out of batches, one batch after the other."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._replaced: list[int] = []
        self._kept: list[bytes] = []
        self._lengths: list[int] = []

    def take(self, heap: bytes, words: list[int], places: Sequence[int]) -> None:
        """The next batch.

        Args:
            heap: its heap.
            words: the words of all readings; those of texts that are taken become their numbers.
            places: where the batch's text readings are among them.
        """
        spans = _spans(heap, [words[place] for place in places]) if heap else None
        self._replaced.append(spans is not None)
        if spans is None:
            self._kept.append(heap)
            self._lengths.append(len(heap))
            return
        self._lengths.append(0)
        numbers = self._numbers
        for place, span in zip(places, spans, strict=True):
            words[place] = numbers.setdefault(span, len(numbers))

    def write(self, writer: ColumnWriter) -> None:
        """Writes what was taken."""
        texts = list(self._numbers)
        writer.number(len(texts))
        write_numbers(writer, [len(text) for text in texts])
        writer.stream(b"".join(texts))
        writer.words(pack(self._replaced))
        write_numbers(writer, self._lengths)
        writer.stream(b"".join(self._kept))


def read_texts(reader: ColumnReader, *, batches: int, readings: int) -> tuple[list[bytes], list[bytes | None]]:
    """The texts by number, and the heap of each batch; None where a `HeapMaker` makes it."""
    count = reader.number()
    if count > readings:
        raise BadBatch(f"{count} texts of {readings} readings")
    texts = _pieces(reader, count)
    replaced = memoryview(reader.words(batches)).cast("Q").tolist()
    heaps = _pieces(reader, batches)
    return texts, [None if gone else heap for gone, heap in zip(replaced, heaps, strict=True)]


class HeapMaker:
    """Makes the heaps of batches from texts.

    Args:
        texts: by number.
    """

    def __init__(self, texts: Sequence[bytes]) -> None:
        self._texts = texts
        self._made_bytes = 0

    def heap(self, words: list[int], places: Sequence[int]) -> bytes:
        """The heap of one batch; the numbers of its texts become words that point into it.

        Args:
            words: the words of all readings.
            places: where the batch's text readings are among them.
        """
        parts = []
        offset = 0
        for place in places:
            number = words[place]
            if number >= len(self._texts):
                raise BadBatch(f"text {number} of {len(self._texts)}")
            text = self._texts[number]
            words[place] = len(text) << _LENGTH_BIT | offset
            parts.append(text)
            offset += len(text)
            self._made_bytes += len(text)
            if self._made_bytes > LARGEST_HEAPS_BYTES:
                raise BadBatch("its texts are longer than those of any block")
        return b"".join(parts)


def _pieces(reader: ColumnReader, count: int) -> list[bytes]:
    lengths = read_numbers(reader, count)
    total = sum(lengths)
    if lengths and (min(lengths) < 0 or total > LARGEST_HEAPS_BYTES):
        raise BadBatch("texts or heaps of a length that cannot be")
    content = reader.stream(total)
    return [content[start:end] for start, end in pairwise(accumulate(lengths, initial=0))]


def _spans(heap: bytes, words: Sequence[int]) -> list[bytes] | None:
    """The texts, where they fill the heap from front to back."""
    spans = []
    end = 0
    for word in words:
        offset, length = word & _OFFSET_MASK, word >> _LENGTH_BIT
        if offset != end:
            return None
        end += length
        spans.append(heap[offset:end])
    return spans if end == len(heap) else None
