"""What the spool writes to the disk while the broker takes what comes: bytes a reading, commits a second, latency.

Each load is a number of devices, read at their own pace, as adapters do it: a device's next batch comes when the one
before is durable, and not before its time. A broker of no thickness takes each batch `BROKER_S` after it was offered.
Bytes are what the kernel counts for this process (`/proc/self/io`), the journal of the file system not included.
TIDEGATE_BENCH_SECONDS says how long each load lasts, TIDEGATE_BENCH_DIR on which disk.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time

from gateway.batch import Batch
from gateway.demo.ledger import percentile
from gateway.spool import Spool
from tests.bench.disk import Load, folder, show
from tests.bench.disk import spool as open_spool
from tests.bench.signals import one_kind
from tests.bench.spool import written_bytes

__all__ = ["run"]

SECONDS = float(os.environ.get("TIDEGATE_BENCH_SECONDS", "10"))
BROKER_S = 0.003

LOADS = (
    Load("12/s, 12 devices of one tag", 12, 1, 1.0),
    Load("12/s, one device", 1, 1, 12.0),
    Load("1,000/s, 10 devices, 10 a batch", 10, 10, 10.0),
    Load("10,000/s, one device, 100 a batch", 1, 100, 100.0),
    Load("10,000/s, 10 devices, 100 a batch", 10, 100, 10.0),
    Load("10,000/s, 10 devices, 1,000 a batch", 10, 1000, 1.0),
    Load("12/s, 12 devices of one tag, linger_ms = 1_000", 12, 1, 1.0, {"linger_ms": 1000}),
    Load("12/s, 12 devices of one tag, hold_ms = 100", 12, 1, 1.0, {"hold_ms": 100}),
    Load("10,000/s, 10 devices, 100 a batch, hold_ms = 100", 10, 100, 10.0, {"hold_ms": 100}),
)


def run() -> dict[str, float]:
    """Measures and prints a table; the names say the units."""
    results: dict[str, float] = {}
    for load in LOADS:
        results |= {f"{load.name}: {key}": value for key, value in asyncio.run(_measure(load)).items()}
    show(results)
    return results


async def _measure(load: Load) -> dict[str, float]:
    with folder() as disk:
        batches = [sent.batch for sent in one_kind("two decimals", tags=load.batch_readings, seconds=20)]
        waits_s: list[float] = []
        async with open_spool(disk / "spool.db", **load.settings) as spool:
            await _emit(spool, load, batches, 1.0, [])
            await spool.flush()
            before, written, commits = spool.stats, written_bytes(), spool.stats.commits
            cpu_s = time.process_time()
            await _emit(spool, load, batches, SECONDS, waits_s)
            await spool.flush()
            cpu_s = time.process_time() - cpu_s
            readings = spool.stats.accepted_readings - before.accepted_readings
            return {
                "readings a second": readings / SECONDS,
                "written to disk, bytes a reading": (written_bytes() - written) / readings,
                "commits a second": (spool.stats.commits - commits) / SECONDS,
                "CPU, us a reading": cpu_s / readings * 1e6,
                "until durable, ms, median": statistics.median(waits_s) * 1e3,
                "until durable, ms, p99": percentile(sorted(waits_s), 0.99) * 1e3,
            }


async def _emit(spool: Spool, load: Load, batches: list[Batch], seconds: float, waits_s: list[float]) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def device(number: int) -> None:
        for count in range(round(seconds * load.batches_s)):
            due = began + (count + number / load.devices) / load.batches_s
            await asyncio.sleep(max(0.0, due - loop.time()))
            began_wait = loop.time()
            offered: list[int] = []

            def offer(seq: int, offered: list[int] = offered) -> bool:
                offered.append(seq)
                loop.call_later(BROKER_S, spool.ack, (seq,))
                return True

            seq = await spool.append(f"device-{number}", batches[count % len(batches)], offer=offer)
            waits_s.append(loop.time() - began_wait)
            if not offered:
                offer(seq)

    await asyncio.gather(*(device(number) for number in range(load.devices)))
