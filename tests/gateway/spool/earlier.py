"""Makes a spool's file as this version makes it, for the tests of later versions.

    python -m tests.gateway.spool.earlier      # writes tests/golden/spool/schema-N.db.gz, where it is not there yet

Run it before a migration is added: what is committed of a version stays as that version made it. The same stands in
each file, and `tests/gateway/spool/test_earlier.py` knows it; later kinds of content are in the later files only.
"""

from __future__ import annotations

import asyncio
import gzip
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from gateway.batch import Batch, Kind, Reading
from gateway.config.models import DatabaseSettings
from gateway.metrics import Metrics
from gateway.spool import Spool

FOLDER = Path(__file__).parents[2] / "golden" / "spool"
START_NS = 1_763_900_000_000_000_000
FIRST_SEQ = START_NS // 1000
TAKEN = (3, 4, 17)
"""Of the batches, those that were acknowledged."""

_MERGED = 8
"""Batches in the one block of a version that makes blocks."""


def batches() -> Iterator[tuple[str, Batch]]:
    """What was stored, in order: numbers, a bad reading, texts, bytes, extremes."""
    for number in range(20):
        time = START_NS + number * 1_000_000_000
        yield (
            "press" if number % 2 else "tank",
            Batch.of(
                [
                    Reading(time, 20.0 + number / 10, 1),
                    Reading(time, None, 1, 0x8005),
                    Reading(time + 1, f"state {number}", 2, kind=Kind.STR),
                    Reading(time + 2, bytes(range(number)), 2, kind=Kind.BYTES),
                    Reading(time + 3, -(2**63) + number, 3, kind=Kind.I64),
                    Reading(time + 4, 2**64 - 1 - number, 3, 0x4000, kind=Kind.U64, flags=3),
                    Reading(time + 5, bool(number % 3), 3, kind=Kind.BOOL),
                ]
            ),
        )


async def fill(path: Path) -> int:
    """Makes the file; the version of its schema."""
    spool = await Spool.open(
        path, settings=DatabaseSettings(), metrics=Metrics(), now_ns=lambda: START_NS, jitter=lambda: 0.0
    )
    task = asyncio.create_task(spool.run())
    for number, kind in enumerate((Kind.F64, Kind.STR, None), start=1):
        spool.points.intern(f"acme/hall/line/press/tag-{number}", device="press", unit="mm", kind=kind)
    seqs = [await spool.append(device, batch) for device, batch in batches()]
    await spool.append("tank", Batch.of([Reading(START_NS, 1.0, 1)]), set_aside=True)
    if hasattr(spool, "memory"):
        await spool.append("press", Batch.of([]), mark=b"a mark")
        await spool.memory("press").keep(b"a state")
    if hasattr(spool, "_merger"):
        spool._merger.readings = _MERGED * 7
        assert await spool._merger.merge() == _MERGED * 7
    spool.ack([seqs[place] for place in TAKEN])
    await spool.flush()
    await spool.close()
    await task
    with closing(sqlite3.connect(path)) as connection:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def main(folder: Path = FOLDER) -> None:
    """Writes the file of this version."""
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "spool.db"
        version = asyncio.run(fill(path))
        target = folder / f"schema-{version}.db.gz"
        if target.exists():
            print(f"{target} is there already")
            return
        folder.mkdir(parents=True, exist_ok=True)
        target.write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
        print(f"{target}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
