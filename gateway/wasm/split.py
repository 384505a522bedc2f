"""Batches cut by point and put together again, for batches that are set aside. Cold paths, reading by reading."""

from __future__ import annotations

from gateway.batch import EMPTY, RECORD_BYTES, Batch, Kind

__all__ = ["join", "split"]

_HEAP_KINDS = (Kind.STR, Kind.BYTES)


def split(batch: Batch, points: frozenset[int]) -> tuple[Batch, Batch]:
    """The readings of all other points, and those of `points`; each in its old order."""
    numbers = batch.points()
    present = set(numbers)
    if present <= points:
        return EMPTY, batch
    if present.isdisjoint(points):
        return batch, EMPTY
    others, theirs = bytearray(), bytearray()
    records = batch.records
    for index, number in enumerate(numbers):
        side = theirs if number in points else others
        side += records[index * RECORD_BYTES : (index + 1) * RECORD_BYTES]
    return Batch(bytes(others), batch.heap), Batch(bytes(theirs), batch.heap)


def join(first: Batch, second: Batch) -> Batch:
    """The readings of both, the first's before the second's."""
    if not first:
        return second
    if not second:
        return first
    if second.heap:
        second = Batch(_shifted(second, len(first.heap)), second.heap)
    return Batch(first.records + second.records, first.heap + second.heap)


def _shifted(batch: Batch, offset: int) -> bytes:
    """The records with their spans moved by `offset` bytes."""
    records = bytearray(batch.records)
    for index, (kind, span) in enumerate(zip(batch.kinds(), batch.values_u64(), strict=True)):
        if kind in _HEAP_KINDS:
            at = index * RECORD_BYTES + 8  # the span's offset is the lower half of the value
            records[at : at + 4] = ((span & 0xFFFFFFFF) + offset).to_bytes(4, "little")
    return bytes(records)
