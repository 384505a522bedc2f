"""The spool in an outage: bytes and CPU a reading of its blocks, and whole outages with the clock passed in.

An outage is real but for its time: batches of the plant's signals go through `append` into a file on disk, are merged
by the spool's own merger (which rests no longer than it must here), and at the end everything is read back, compared
with what was put in, and acknowledged. TIDEGATE_BENCH_HOURS sets how long the one at 10,000 readings a second is: 24
hours take the better part of an hour, the default of 1 two minutes. TIDEGATE_BENCH_DIR says on which disk.
"""

from __future__ import annotations

import asyncio
import math
import os
import resource
import time
from array import array
from collections import defaultdict
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from gateway.batch import Batch
from gateway.config.models import DatabaseSettings
from gateway.metrics import Metrics
from gateway.spool import Spool, merge
from gateway.spool.block import Entry, decode_block, encode_block
from gateway.spool.budget.thinning import thin
from gateway.spool.merge import BLOCK_READINGS
from gateway.spool.written import process_written_bytes
from tests.bench.disk import folder, show
from tests.bench.signals import KINDS, SECOND_NS, START_NS, Sent, one_kind, polled_plant, scattered_plant

__all__ = ["run", "written_bytes"]

HOURS = float(os.environ.get("TIDEGATE_BENCH_HOURS", "1"))
CYCLE_S = 240
"""The plant's signals are made for so long and then repeat: blocks are seconds long, and know nothing of each other."""

DRAIN_READINGS = 10_000
ROUNDS = 3


def run() -> dict[str, float]:
    """Measures and prints a table; the names say the units."""
    results: dict[str, float] = {}
    for name, sent in _samples():
        results |= _codec(name, sent)
    for name, readings_s, hours in (
        ("1,000/s for 1 h", 1000, 1.0),
        ("1,000,000/day for 25 h", 12, 25.0),
        (f"10,000/s for {HOURS:g} h", 10_000, HOURS),
    ):
        results |= {f"{name}: {key}": value for key, value in asyncio.run(_outage(readings_s, hours)).items()}
    show(results)
    return results


def _samples() -> list[tuple[str, list[Sent]]]:
    plant = [
        ("plant, 1,000 tags a batch", list(polled_plant(devices=1, cells=40, seconds=33))),
        ("plant, 10 devices of 1,000 tags", list(polled_plant(devices=10, cells=40, seconds=4))),
        ("plant, 12 small devices", list(scattered_plant(cells=4, seconds=80))),
        ("plant, 300 small devices", list(scattered_plant(cells=100, seconds=4))),
    ]
    return plant + [(kind, list(one_kind(kind))) for kind in KINDS]


def _codec(name: str, sent: Sequence[Sent]) -> dict[str, float]:
    entries: list[Entry] = []
    readings = 0
    for seq, (at_ns, device, batch) in enumerate(sent, start=1):
        if readings < BLOCK_READINGS:
            entries.append(Entry(seq, at_ns // 1000 * 1000, device, batch))
            readings += len(batch)
    encode_us, decode_us = [], []
    for _ in range(ROUNDS):
        began = time.thread_time()
        block = encode_block(entries)
        encoded = time.thread_time()
        assert decode_block(block, batches=len(entries), readings=readings) == entries
        encode_us.append((encoded - began) / readings * 1e6)
        decode_us.append((time.thread_time() - encoded) / readings * 1e6)
    bounds = _bounds(entries)
    began = time.thread_time()
    left = thin(entries, bounds)
    thin_us = (time.thread_time() - began) / readings * 1e6
    return {
        f"{name}: bytes a reading": len(block) / readings,
        f"{name}: the same, thinned within 1 % of the span": len(encode_block(left.entries)) / readings,
        f"{name}: readings that stay, of 100": 100 - 100 * left.readings / readings,
        f"{name}: thin, us a reading": thin_us,
        f"{name}: encode, us a reading": min(encode_us),
        f"{name}: decode and compare, us a reading": min(decode_us),
    }


def _bounds(entries: Sequence[Entry]) -> dict[int, float]:
    """A hundredth of the span of each point's numbers."""
    values: dict[int, list[float]] = defaultdict(list)
    for entry in entries:
        for point, value in zip(entry.batch.points(), entry.batch.values(), strict=True):
            if isinstance(value, int | float) and math.isfinite(value):
                values[point].append(value)
    return {point: (max(found) - min(found)) / 100 for point, found in values.items()}


class _Plant:
    """The same plant for as long as is asked for: a cycle of batches, each time with new times."""

    def __init__(self, readings_s: int) -> None:
        if readings_s < 1000:  # one small plant, read every two seconds
            self._cycle = list(polled_plant(devices=1, cells=1, seconds=CYCLE_S))[::2]
            self.step_ns, self.together = 2 * SECOND_NS, 1
        else:
            self.together = readings_s // 1000
            self._cycle = list(polled_plant(devices=self.together, cells=40, seconds=CYCLE_S))
            self.step_ns = SECOND_NS

    def step(self, number: int) -> list[Sent]:
        """All batches of one step."""
        steps = len(self._cycle) // self.together
        place = number % steps
        later_ns = number * self.step_ns - (self._cycle[place * self.together].at_ns - START_NS) // 10**9 * 10**9
        return [_later(sent, later_ns) for sent in self._cycle[place * self.together : (place + 1) * self.together]]


def _later(sent: Sent, later_ns: int) -> Sent:
    records = bytearray(sent.batch.records)
    (ts_ns,) = memoryview(records)[:8].cast("q")
    memoryview(records).cast("q")[0::3] = memoryview(array("q", [ts_ns + later_ns]) * len(sent.batch))
    return Sent(sent.at_ns + later_ns, sent.device, Batch(bytes(records), sent.batch.heap))


async def _outage(readings_s: int, hours: float) -> dict[str, float]:
    plant = _Plant(readings_s)
    steps = int(hours * 3600 * SECOND_NS / plant.step_ns)
    merge.REST_PART = 0.0
    with folder() as disk:
        now_ns = START_NS
        path = disk / "spool.db"
        settings = DatabaseSettings(max_bytes=1 << 40)
        spool = await Spool.open(path, settings=settings, metrics=Metrics(), now_ns=lambda: now_ns)
        task = asyncio.create_task(spool.run(), name="spool")
        began, began_cpu = time.monotonic(), time.process_time()
        settled_bytes = highest_bytes = 0
        slowest_s = 0.0
        written = written_bytes()
        for number in range(steps):
            now_ns = START_NS + number * plant.step_ns
            began_append = time.monotonic()
            await asyncio.gather(*(spool.append(sent.device, sent.batch) for sent in plant.step(number)))
            slowest_s = max(slowest_s, time.monotonic() - began_append)
            while spool.stats.backlog_readings - spool.stats.block_readings > 5 * BLOCK_READINGS:
                await asyncio.sleep(0.001)  # Time is compressed for the sources, not for the merger.
            if number % 100 == 0 or number == steps - 1:
                highest_bytes = max(highest_bytes, _resident_bytes())
                settled_bytes = settled_bytes or (highest_bytes if number >= steps / 20 else 0)
        took_s, took_cpu_s = time.monotonic() - began, time.process_time() - began_cpu
        stats = spool.stats
        assert stats.backlog_readings == stats.accepted_readings
        assert not stats.dropped
        await spool._file.fetch("PRAGMA wal_checkpoint(TRUNCATE)")
        result = {
            "readings, millions": stats.backlog_readings / 1e6,
            "compressed in time": hours * 3600 / took_s,
            "file bytes a reading": path.stat().st_size / stats.backlog_readings,
            "of it in blocks, bytes a reading in them": stats.block_bytes / max(1, stats.block_readings),
            "of it in blocks, per cent of the readings": 100 * stats.block_readings / stats.backlog_readings,
            "written to disk, bytes a reading": (written_bytes() - written) / stats.backlog_readings,
            "CPU of all of it, us a reading": took_cpu_s / stats.backlog_readings * 1e6,
            "slowest append, ms": slowest_s * 1e3,
        }
        began, drained = time.monotonic(), await _drain(spool, plant)
        assert drained == stats.backlog_readings
        result["read back and acknowledged, times real time"] = hours * 3600 / (time.monotonic() - began)
        highest_bytes = max(highest_bytes, _resident_bytes())
        result["memory growth after the first twentieth, MB"] = (highest_bytes - settled_bytes) / 1e6
        await spool.flush()
        assert spool.stats.backlog_readings == 0
        await spool.close()
        await task
    return result


async def _drain(spool: Spool, plant: _Plant) -> int:
    """Reads everything back, compares it with what was put in, and acknowledges it; how many readings there were."""
    drained, after = 0, 0
    expected = (sent for number in range(1 << 62) for sent in plant.step(number))
    while rows := await spool.pending(after=after, limit_readings=DRAIN_READINGS):
        for row, sent in zip(rows, islice(expected, len(rows)), strict=True):
            assert (row.device, row.batch) == (sent.device, sent.batch)
            assert not after or row.seq == after + 1
            after = row.seq
        spool.ack(row.seq for row in rows)
        drained += sum(row.readings for row in rows)
    return drained


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def written_bytes() -> int:
    """What the kernel counts as written by this process."""
    counted = process_written_bytes()
    assert counted is not None, "this kernel does not count what a process writes"
    return counted
