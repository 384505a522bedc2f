"""How fast a backlog drains beside live readings, and what that does to the live ones: a real spool, a real mosquitto.

An outage of `OUTAGE_S` at each load is put into the spool, its time compressed, and merged into blocks as outages are.
Live readings flow at the same rate: for a while without a backlog (before), then beside it until it is gone (during).
Latency is from `emit` to the broker's acknowledgement. The factor is the outage's length over the time until the broker
has acknowledged all of it. The mosquitto runs on the same cores; nobody subscribes. TIDEGATE_BENCH_OUTAGE_S and
TIDEGATE_BENCH_DIR change length and disk.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.batch import Batch
from gateway.config.models import OfflineSettings
from gateway.demo.broker import Broker
from gateway.demo.ledger import percentile
from gateway.errors import UplinkError
from gateway.flow import Flow
from gateway.metrics import Metrics
from gateway.spool import Spool, merge
from tests.bench.disk import Load, folder, show
from tests.bench.disk import spool as open_spool
from tests.bench.signals import one_kind
from tests.gateway.uplink.support import Unchanged, uplink_of

__all__ = ["run"]

OUTAGE_S = float(os.environ.get("TIDEGATE_BENCH_OUTAGE_S", "600"))
BEFORE_S = 5.0

LOADS = (
    Load("1,000/s, 10 devices, 50 a batch", 10, 50, 2.0),
    Load("5,000/s, 10 devices, 100 a batch", 10, 100, 5.0),
)


def run() -> dict[str, float]:
    """Measures and prints a table; the names say the units."""
    results: dict[str, float] = {}
    for load in LOADS:
        results |= {f"{load.name}: {key}": value for key, value in asyncio.run(measure(load)).items()}
    show(results)
    return results


async def measure(load: Load, *, offline: OfflineSettings | None = None) -> dict[str, float]:
    """One load.

    Args:
        load: what flows.
        offline: the settings of the drain; the defaults where None.
    """
    with folder() as disk:
        async with Broker(folder=disk / "broker", kind="mosquitto") as broker:
            site = _Site(load, broker.port, offline or OfflineSettings())
            before = await site.live_alone(disk / "before.db")
            return {**before, **await site.drain(disk / "spool.db")}


class _Site:
    """One plant and its broker."""

    def __init__(self, load: Load, port: int, offline: OfflineSettings) -> None:
        self._load = load
        self._port = port
        self._offline = offline

    async def live_alone(self, path: Path) -> dict[str, float]:
        """Live readings without a backlog."""
        async with open_spool(path) as spool, _working(self._load, spool, self._port, self._offline) as live:
            await asyncio.sleep(BEFORE_S / 4)
            live.waits_s.clear()
            await asyncio.sleep(BEFORE_S)
            return _latency("before", live.waits_s)

    async def drain(self, path: Path) -> dict[str, float]:
        """Live readings beside a backlog, until that is gone."""
        async with open_spool(path) as spool:
            await _fill(self._load, spool)
            backlog = spool.stats
            began, cpu_s = time.monotonic(), time.process_time()
            async with _working(self._load, spool, self._port, self._offline) as live:
                while live.old_batches:
                    await asyncio.sleep(0.02)
                took_s, cpu_s = time.monotonic() - began, time.process_time() - cpu_s
                return {
                    "backlog, millions of readings": backlog.backlog_readings / 1e6,
                    "drained, times real time": OUTAGE_S / took_s,
                    "drained, readings a second": backlog.backlog_readings / took_s,
                    "live readings a second meanwhile": len(live.waits_s) * self._load.batch_readings / took_s,
                    **_latency("during", live.waits_s),
                    "CPU, cores": cpu_s / took_s,
                }


@asynccontextmanager
async def _working(load: Load, spool: Spool, port: int, offline: OfflineSettings) -> AsyncIterator[_Live]:
    """Flow, uplink and devices at work."""
    metrics = Metrics()
    uplink = uplink_of(spool, port, metrics=metrics, offline=offline)
    live = _Live(load, Flow(spool, uplink, metrics), spool)

    async def stay_connected() -> None:
        while True:
            try:
                await uplink.run()
            except UplinkError as error:
                print(error)

    tasks = [asyncio.create_task(stay_connected())]
    try:
        while uplink.status["state"] != "connected":
            await asyncio.sleep(0.01)
        tasks += [asyncio.create_task(live.device(number)) for number in range(load.devices)]
        yield live
    finally:
        for task in tasks[::-1]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _latency(when: str, waits_s: list[float]) -> dict[str, float]:
    ordered = sorted(waits_s)
    return {
        f"live latency {when}, ms, median": percentile(ordered, 0.5) * 1e3,
        f"live latency {when}, ms, p99": percentile(ordered, 0.99) * 1e3,
    }


def _batches(load: Load, spool: Spool) -> list[Batch]:
    for tag in range(1, load.batch_readings + 1):
        spool.points.intern(f"acme/hall/line/device/tag-{tag}", device="device")
    return [sent.batch for sent in one_kind("two decimals", tags=load.batch_readings, seconds=20)]


async def _fill(load: Load, spool: Spool) -> None:
    batches = _batches(load, spool)
    usual, merge.REST_PART = merge.REST_PART, 0.0
    for count in range(round(OUTAGE_S * load.batches_s)):
        batch = batches[count % len(batches)]
        await asyncio.gather(*(spool.append(f"device-{number}", batch) for number in range(load.devices)))
        while spool.stats.backlog_readings - spool.stats.block_readings > 5 * merge.BLOCK_READINGS:
            await asyncio.sleep(0.001)
    merge.REST_PART = usual


class _Live:
    """Devices that send, and how long each batch took from `emit` to the broker's acknowledgement.

    Attributes:
        waits_s: seconds, of each batch.
        old_batches: how many of the backlog's batches the broker has not acknowledged.
    """

    def __init__(self, load: Load, flow: Flow, spool: Spool) -> None:
        self.waits_s: list[float] = []
        self.old_batches = spool.stats.backlog_batches
        self._load = load
        self._flow = flow
        self._batches = _batches(load, spool)
        self._spool = spool
        self._ack, spool.ack = spool.ack, self._acked  # type: ignore[method-assign]
        self._append, spool.append = spool.append, self._appended  # type: ignore[method-assign]
        self._began_s: dict[int, float] = {}
        self._last_old = spool.stats.last_seq

    async def device(self, number: int) -> None:
        """Sends at the device's pace."""
        loop = asyncio.get_running_loop()
        emit = self._flow.emit(f"device-{number}", lambda: Unchanged)
        began_s = loop.time() + number / self._load.devices / self._load.batches_s
        for count in range(1 << 62):
            await asyncio.sleep(max(0.0, began_s + count / self._load.batches_s - loop.time()))
            await emit(self._batches[count % len(self._batches)])

    async def _appended(self, device: str, batch: Batch, **options: Any) -> int:
        began_s = time.monotonic()
        seq = await self._append(device, batch, **options)
        self._began_s[seq] = began_s
        return seq

    def _acked(self, seqs: Iterable[int]) -> None:
        seqs = list(seqs)
        now_s = time.monotonic()
        for seq in seqs:
            if (began_s := self._began_s.pop(seq, None)) is not None:
                self.waits_s.append(now_s - began_s)
            self.old_batches -= seq <= self._last_old
        self._ack(seqs)
