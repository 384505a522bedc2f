"""Looks at a spool's file for people: what is in it, and whether all of it can be read. Changes nothing.

Both give plain data, as it is printed. A running gateway is not in the way; see `snapshot.py`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

from gateway.errors import BadBatch
from gateway.spool.files import size_bytes
from gateway.spool.snapshot import Snapshot
from gateway.spool.stored import StoredBlock

__all__ = ["stats", "verify"]

_MOST_TOLD: Final = 20


def stats(path: Path, *, by_device: bool) -> dict[str, Any]:
    """What is in the file.

    Args:
        path: the spool's file.
        by_device: open every block to see whose readings it holds; half a second for a million of them.

    Raises:
        SpoolError: it cannot be read.
    """
    with Snapshot(path) as snapshot:
        totals = snapshot.totals
        told: dict[str, Any] = {
            "file": str(path),
            "file_bytes": size_bytes(path),
            "batches": totals.batches,
            "readings": totals.readings,
            "bytes": totals.size_bytes,
            "bytes_per_reading": _ratio(totals.size_bytes, totals.readings),
            "oldest_ns": totals.oldest_at_ns,
            "last_seq": totals.last_seq,
            "points": len(snapshot.points),
            "accepted_batches": totals.accepted_batches,
            "accepted_readings": totals.accepted_readings,
            "blocks": {
                "blocks": totals.blocks,
                "readings": totals.block_readings,
                "bytes": totals.block_bytes,
                "bytes_per_reading": _ratio(totals.block_bytes, totals.block_readings),
            },
            "set_aside": {
                "batches": totals.aside_batches,
                "readings": totals.aside_readings,
                "bytes": totals.aside_bytes,
            },
            "dropped": dict(snapshot.dropped),
        }
        if by_device:
            told["devices"] = _devices(snapshot)
    return told


def verify(path: Path) -> dict[str, Any]:
    """Opens every row and block, and compares the totals with them. `problems` says what is wrong.

    Args:
        path: the spool's file.

    Raises:
        SpoolError: it cannot be read.
    """
    problems: list[str] = []
    unreadable = 0

    def broken(what: str, readings: int) -> None:
        nonlocal unreadable
        unreadable += readings
        problems.append(f"{what}; {readings} readings")

    with Snapshot(path) as snapshot:
        verdict = snapshot.quick_check()
        if verdict != "ok":
            problems.append(f"SQLite says: {verdict}")
        batches = readings = blocks = last = 0
        for stored in snapshot.items(broken=broken):
            is_block = isinstance(stored, StoredBlock)
            blocks += is_block
            batches += stored.batches
            readings += stored.waiting
            name = f"{'block' if is_block else 'row'} {stored.last}"
            if stored.first <= last:
                problems.append(f"{name}: number {stored.first} stands in what was before it")
            last = stored.last
            try:
                highest = max((max(row.batch.check().points()) for row in stored.rows()), default=0)
            except BadBatch as error:
                broken(f"{name}: {error}", stored.waiting)
                continue
            if highest > len(snapshot.points):
                problems.append(f"{name}: a reading of point {highest}, of {len(snapshot.points)} points")
        totals = snapshot.totals
        if not problems and (totals.batches, totals.readings, totals.blocks) != (batches, readings, blocks):
            problems.append(
                f"the totals say {totals.batches} batches, {totals.readings} readings, {totals.blocks} blocks"
            )
        if last > totals.last_seq:
            problems.append(f"number {last} lies above the last that was given, {totals.last_seq}")
    more = len(problems) - _MOST_TOLD
    return {
        "file": str(path),
        "whole": not problems,
        "batches": batches,
        "readings": readings,
        "blocks": blocks,
        "unreadable_readings": unreadable,
        "problems": problems[:_MOST_TOLD] + ([f"and {more} more"] if more > 0 else []),
    }


def _devices(snapshot: Snapshot) -> list[dict[str, Any]]:
    batches: Counter[str] = Counter()
    readings: Counter[str] = Counter()
    for stored in snapshot.items(broken=lambda _what, _readings: None):
        try:
            rows = stored.rows()
        except BadBatch:
            rows = []
            readings["(cannot be read)"] += stored.waiting
        for row in rows:
            batches[row.device] += 1
            readings[row.device] += row.readings
    return [{"device": device, "batches": batches[device], "readings": readings[device]} for device in sorted(readings)]


def _ratio(size: int, count: int) -> float | None:
    return round(size / count, 3) if count else None
