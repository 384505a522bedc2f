"""A child with a file system of its own that another program has filled to the last byte when the spool is opened."""

import asyncio
import sys
from pathlib import Path

from gateway.metrics import Metrics
from tests.gateway.spool.harness import batch_of, drain, dropped, running
from tests.gateway.spool.mounts import fill, mount
from tests.waiting import until

ROWS = 50


async def main(path: Path) -> None:
    filler = path.with_name("filler")
    reserve = path.with_name("spool.db.reserve")
    metrics = Metrics()
    async with running(path, metrics=metrics) as spool:
        seqs = [await spool.append("plc", batch_of(100, mark=n)) for n in range(ROWS)]
    full_bytes = reserve.stat().st_size
    fill(filler)
    async with running(path, metrics=metrics) as spool:
        assert not reserve.stat().st_size, "there was no other room to open it in"
        assert [row.seq for row in await drain(spool)] == seqs
        spool.ack(seqs)
        await spool.flush()
        assert not spool.stats.backlog_batches
        filler.unlink()
        assert await spool.append("plc", batch_of(1)) == seqs[-1] + 1
        await until(lambda: reserve.stat().st_size == full_bytes)
    path.unlink()
    reserve.unlink()
    fill(filler)
    async with running(path, metrics=metrics, patient=True) as spool:
        assert not spool.is_open, "a fresh file needs room, and there is none"
        assert "full" in spool.stats.error
        filler.unlink()
        await spool.opened()
        assert await spool.append("plc", batch_of(1)) > seqs[-1]
    assert dropped(metrics) == {"spool_damaged": 1}, "the row of the file that was deleted"


if __name__ == "__main__":
    mount(Path(sys.argv[1]), mib=24)
    asyncio.run(main(Path(sys.argv[1]) / "spool.db"))
