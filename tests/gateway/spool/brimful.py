"""A child with a file system of its own, which the spool alone fills to the brim, twice.

It is started in a mount namespace: what it mounts is seen by nobody else and goes with it.
"""

import asyncio
import sys
from pathlib import Path

from gateway.metrics import Metrics
from gateway.spool import Spool
from tests.gateway.spool.harness import batch_of, dropped, running
from tests.gateway.spool.mounts import mount
from tests.waiting import until


async def fill(spool: Spool) -> list[asyncio.Task[int]]:
    """Appends until the disk refuses; the appends, of which the last ones still wait."""
    appends: list[asyncio.Task[int]] = []
    while True:
        group = [asyncio.create_task(spool.append("plc", batch_of(100, mark=n))) for n in range(100)]
        appends += group
        await until(lambda group=group: all(task.done() for task in group) or spool.stats.state == "failing")
        if spool.stats.state == "failing":
            assert not group[-1].done()
            return appends


async def deliver(spool: Spool, *, appends: list[asyncio.Task[int]], after: int) -> int:
    """Acknowledges everything, as the broker would, until nothing waits any more; the last number."""
    async with asyncio.timeout(120):
        while spool.stats.backlog_batches or not all(task.done() for task in appends):
            if rows := await spool.pending(after=after, limit_readings=20_000):
                after = rows[-1].seq
                spool.ack(row.seq for row in rows)
            await asyncio.sleep(0.02)
    return after


async def main(path: Path) -> None:
    reserve = path.with_name("spool.db.reserve")
    metrics = Metrics()
    async with running(path, metrics=metrics, max_bytes=1 << 32) as spool:
        full_bytes = reserve.stat().st_size
        assert full_bytes
        first_seq = await spool.append("plc", batch_of(1))
        appends = await fill(spool)
        assert reserve.stat().st_size == full_bytes, "new rows must not have it"
        last_seq = await deliver(spool, appends=appends, after=0)
        appends += await fill(spool)
        last_seq = await deliver(spool, appends=appends, after=last_seq)
        assert [task.result() for task in appends] == list(range(first_seq + 1, last_seq + 1))
        async with asyncio.timeout(120):
            while reserve.stat().st_size != full_bytes:
                spool.ack([await spool.append("plc", batch_of(1))])
                await asyncio.sleep(0.1)
        assert spool.stats.state == "ok"
        assert (await spool._file.fetch("PRAGMA max_page_count"))[0][0] > 1 << 30, "growth is free again"
    assert dropped(metrics) == {}


if __name__ == "__main__":
    mount(Path(sys.argv[1]), mib=24)
    asyncio.run(main(Path(sys.argv[1]) / "spool.db"))
