"""A child whose broker takes most batches at once, some too late and some never; prints what becomes of each number."""

import asyncio
import random
import sys
from pathlib import Path

from tests.gateway.spool.harness import batch_of, running

WORKERS = 8


async def main(path: Path) -> None:
    chance = random.Random(7)
    loop = asyncio.get_running_loop()
    async with running(path, hold_ms=30) as spool:

        def say(what: str, seq: int) -> None:
            print(what, seq, flush=True)

        def take(seq: int) -> None:
            say("taken", seq)
            spool.ack([seq])

        def offer(seq: int) -> bool:
            say("sent", seq)
            if chance.random() < 0.995:
                loop.call_later(chance.random() * 0.005, take, seq)
            return True

        async def work(worker: int) -> None:
            mark = worker
            while True:
                say("told", await spool.append(f"plc-{worker}", batch_of(3, mark=mark), offer=offer))
                mark += WORKERS

        async with asyncio.TaskGroup() as group:
            for worker in range(WORKERS):
                group.create_task(work(worker))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
