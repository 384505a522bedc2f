"""A spool with every sort of content, as others find it: rows, texts, blocks, half of them taken, a log."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from gateway.batch import Batch, Kind, Reading
from gateway.points import Point
from gateway.spool import Row, SpoolStats
from tests.gateway.spool.harness import START_NS, batch_of, copy_of, drain, running

POINTS = 90


class Original(NamedTuple):
    """What was made.

    Attributes:
        path: a copy that nobody has open; its log lies beside it.
        rows: what waits in it.
        points: the point table.
        stats: of the spool.
        sent: what was ever stored, by number.
    """

    path: Path
    rows: list[Row]
    points: list[Point]
    stats: SpoolStats
    sent: dict[int, tuple[str, Batch]]


def text_batch(mark: int, length: int) -> Batch:
    return Batch.of([Reading(START_NS, f"{mark}:" + "x" * length, 1 + mark % POINTS, kind=Kind.STR)])


async def make(folder: Path) -> Original:
    """A spool with every sort of content, and its log; a copy of it that nobody has open."""
    sent: dict[int, tuple[str, Batch]] = {}

    async def send(device: str, batch: Batch) -> int:
        sent[seq := await spool.append(device, batch)] = (device, batch)
        return seq

    async with running(folder / "spool.db") as spool:
        for number in range(POINTS):
            spool.points.intern(f"acme/hall/line/plc/a tag with a long name {number}", device="plc", unit="mm")
        spool._merger.readings = 400
        seqs = [await send(f"plc-{n % 3}", batch_of(10, mark=n, point=1 + n % POINTS)) for n in range(100)]
        assert [await spool._merger.merge() for _ in range(2)] == [400, 400]
        seqs += [await send("texts", text_batch(n, n * n * 8)) for n in range(40)]
        await spool.append("plc-0", batch_of(7), set_aside=True)
        spool.ack([*seqs[3:9], *seqs[95:100]])
        await spool.flush()
        # What was worked into the database, and what stands in the log only.
        await spool._file.fetch("PRAGMA wal_checkpoint(TRUNCATE)")
        seqs += [await send("plc-1", batch_of(10, mark=n)) for n in range(5)]
        spool.ack([seqs[10], seqs[120]])
        await spool.flush()
        copy_of(folder / "spool.db", folder / "copy.db")
        return Original(folder / "copy.db", await drain(spool), list(spool.points), spool.stats, sent)
