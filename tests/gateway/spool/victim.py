"""A child that appends and acknowledges until it is killed, and prints what it was told: the number, and the mark."""

import asyncio
import sys
from pathlib import Path

from tests.gateway.spool.harness import batch_of, running

WORKERS = 8


async def main(path: Path) -> None:
    async with running(path) as spool:

        async def work(worker: int) -> None:
            mark = worker
            while True:
                spool.points.intern(f"a/b/c/plc/{mark}", device="plc")
                seq = await spool.append(f"plc-{worker}", batch_of(1 + mark % 30, mark=mark))
                print(seq, mark, flush=True)
                if mark % 3 == 0:
                    spool.ack([seq])
                mark += WORKERS

        async with asyncio.TaskGroup() as group:
            for worker in range(WORKERS):
                group.create_task(work(worker))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
