"""A child that appends while its files may not grow, and prints the numbers of what is not delivered at its end."""

import asyncio
import resource
import sys
from pathlib import Path

from tests.gateway.spool.harness import batch_of, drain, running
from tests.waiting import until

LIMIT_BYTES = 300_000


def limit(file_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, resource.RLIM_INFINITY))


async def main(path: Path) -> None:
    async with running(path) as spool:
        limit(LIMIT_BYTES)
        # Rows that come and go take little room; the log alone reaches the limit, and must be begun anew each time.
        async with asyncio.timeout(60):
            for mark in range(100):
                spool.ack([await spool.append("plc", batch_of(100, mark=mark))])
        await spool.flush()
        seqs: list[int] = []
        while True:
            append = asyncio.create_task(spool.append("plc", batch_of(100, mark=len(seqs))))
            await until(lambda append=append: append.done() or spool.stats.state == "failing")
            if not append.done():
                await asyncio.wait([append], timeout=0.5)  # one failure may only have had the log begun anew
            if not append.done():
                break
            seqs.append(await append)
        assert len(await drain(spool)) == len(seqs)
        limit(resource.RLIM_INFINITY)
        seqs.append(await append)
    print(*seqs)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
