"""A child whose writes are recorded: a spool's short life with batches, deliveries, a block, and several checkpoints.

What it was told goes into the record as well, as a line in a file of the same folder: `stored SEQ MARK`, or before a
delivery is told to the spool, `taken SEQ`.
"""

import asyncio
import os
import sys
from pathlib import Path

from tests.gateway.spool.harness import batch_of, running

TOLD = "told"
ROUNDS = 8


def readings(mark: int) -> int:
    """Of the batch of this mark."""
    return 1 + mark % 40


async def main(folder: Path) -> None:
    told = os.open(folder / TOLD, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    mark = 0

    async with running(folder / "spool.db") as spool:
        await spool._file.fetch("PRAGMA wal_autocheckpoint = 30")

        async def append() -> int:
            nonlocal mark
            mark += 1
            mine = mark
            spool.points.intern(f"a/b/c/plc/{mine}", device="plc")
            seq = await spool.append("plc", batch_of(readings(mine), mark=mine))
            os.write(told, b"stored %d %d\n" % (seq, mine))
            return seq

        for turn in range(ROUNDS):
            seqs = [await append() for _ in range(3)]
            seqs += await asyncio.gather(*(append() for _ in range(4)))
            taken = seqs[turn % 3 :: 3]
            for seq in taken:
                os.write(told, b"taken %d\n" % seq)
            spool.ack(taken)
            if turn % 2:
                await spool.flush()
            if turn in (3, 5):
                spool._merger.readings = 60
                assert await spool._merger.merge()
    os.close(told)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
