"""Whether what a module answered makes sense for its device, and what it did to the batch. Pure functions."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from gateway.batch import NO_VALUE, Batch, Flag, Kind, is_bad
from gateway.wasm.failure import GuestFailure

__all__ = ["Change", "weigh"]

_HIGH_STATUS_BYTE: Final = 21
_RECORD_BYTES: Final = 24
_TEXT_BYTES: Final = 1_024
"""Bytes of text for each reading of an answer, beyond those that came in: the heap is stored as it is."""
_LET_GO: Final = 65_536
"""Readings of earlier batches that one answer may let go: a module may have left out millions over the weeks."""
_NOT_DERIVED: Final = bytes(value for value in range(256) if not value & Flag.DERIVED)
(_NO_VALUE_BITS,) = struct.unpack("<Q", struct.pack("<d", NO_VALUE))


class Change(NamedTuple):
    """How many readings a module left out, and how many it added."""

    filtered: int
    """Below zero where it lets go what it held back of earlier batches."""
    derived: int


def weigh(before: Batch, after: Batch, known: frozenset[int], *, held: int = 0, outputs: int = 1) -> Change:
    """Counts what a module did, and refuses what no module may do.

    Args:
        before: what it was given.
        after: what it answered; its layout is checked already.
        known: numbers of the points that readings of this device may have.
        held: readings of earlier batches that this instance left out so far; it may let them go now.
        outputs: derived readings that one reading may give.

    Raises:
        GuestFailure: it made up a point, gave a bad reading a value, added readings that are not marked as derived, or
            added too much.
    """
    if _point_column(after) != _point_column(before):
        strangers = set(after.points()) - known
        if strangers:
            raise GuestFailure("bad_output", f"it answered with points that are not this device's: {_some(strangers)}")
    # Bad is a status from 0x8000 on: the top bit of its upper byte, and that bit is all that `isascii` looks at.
    if not after.records[_HIGH_STATUS_BYTE::_RECORD_BYTES].isascii():
        _check_bad_readings(after)
    derived = max(0, _count_derived(after) - _count_derived(before))
    filtered = len(before) - (len(after) - derived)
    if filtered < -held:
        what = f"it added {-filtered - held} readings without marking them as derived"
        raise GuestFailure("bad_output", what)
    if -filtered > _LET_GO:
        what = f"it let go {-filtered} readings of earlier batches at once, and may let go {_LET_GO}"
        raise GuestFailure("bad_output", what)
    room = len(before.heap) + _TEXT_BYTES * len(after)
    if len(after.heap) > room:
        what = f"its texts take {len(after.heap)} bytes, and may take {room}: what came in, and {_TEXT_BYTES} a reading"
        raise GuestFailure("bad_output", what)
    most = len(before) * max(1, outputs)
    if derived > most:
        what = f"it added {derived} readings to {len(before)}, and may add {most}: one for each reading and output"
        raise GuestFailure("bad_output", what)
    return Change(filtered, derived)


def _check_bad_readings(batch: Batch) -> None:
    for status, kind, bits, point in zip(
        batch.statuses(), batch.kinds(), batch.values_u64(), batch.points(), strict=True
    ):
        if is_bad(status) and (kind != Kind.F64 or bits != _NO_VALUE_BITS):
            raise GuestFailure("bad_output", f"it gave a reading of bad quality a value, point {point}")


def _count_derived(batch: Batch) -> int:
    return len(batch.flags().translate(None, _NOT_DERIVED))


def _point_column(batch: Batch) -> memoryview:
    """The point numbers as a view: most answers keep them all, and comparing views costs a tenth of a set."""
    return memoryview(batch.records).cast("I")[4::6]


def _some(numbers: set[int]) -> str:
    ordered = sorted(numbers)
    return ", ".join(map(str, ordered[:5])) + (f" and {len(ordered) - 5} more" if len(ordered) > 5 else "")
