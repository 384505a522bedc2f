"""What an image has to bear, whatever runs it: the plant's load, and an outage in which it is killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

from adapters.plant.config import LOAD_DEVICE, MODBUS_LOAD_DEVICE, gateway_config
from gateway.config.models import DatabaseSettings
from gateway.demo.broker import Broker
from gateway.demo.ledger import Ledger
from gateway.demo.plant_process import PlantProcess
from gateway.demo.subscriber import Subscriber
from gateway.demo.verdict import Window, unexplained
from gateway.metrics import Metrics
from gateway.spool import Spool
from tests.waiting import until

__all__ = ["Box", "killed_in_an_outage"]


class Box(Protocol):
    """A gateway in something that can be killed, and that keeps its spool."""

    @property
    def database(self) -> Path:
        """Its spool's file, as we see it."""

    async def start(self) -> None:
        """Starts it, the first time or anew."""

    async def status(self) -> dict[str, Any] | None:
        """What `tidegate status` tells; None while it does not answer."""

    async def pss_bytes(self) -> int:
        """Memory of its process."""

    async def kill(self) -> None:
        """Ends it without warning, so that only its spool is left."""

    async def stop(self) -> int:
        """Asks it to stop; gives its exit status."""

    async def remove(self) -> None:
        """Leaves nothing of it but the spool."""

    async def logs(self) -> str:
        """What it wrote, for a failed check."""


async def killed_in_an_outage(
    make: Callable[[dict[str, Any]], Box],
    *,
    broker: Broker,
    folder: Path,
    database: str,
    tags: int,
    live_s: float,
    down_s: float,
    look: Callable[[], Awaitable[None]] | None = None,
) -> dict[str, float]:
    """Runs a gateway through it; fails the check when a reading is lost. Gives what was measured, for people.

    Args:
        make: makes the box from the gateway's configuration, without starting it.
        broker: a started broker.
        folder: for the plant's log.
        database: the spool's file, as the gateway sees it.
        tags: counters on each of the two servers, once a second, beside the machines' own.
        live_s: how long it runs before the broker goes away, in seconds.
        down_s: how long without broker before it is killed, and again after, in seconds.
        look: looks at the box while all is well.
    """
    book = Ledger()
    async with PlantProcess(log=folder / "plant.log", tags=tags, rate_hz=1.0) as plant:
        box = make(
            gateway_config(
                gateway_id="image",
                database=database,
                opcua_url=plant.opcua_url,
                modbus_port=plant.modbus_port,
                broker_port=broker.port,
                tags=tags,
                interval_s=1.0,
            )
        )
        subscriber = Subscriber(host=broker.host, port=broker.port, topic="tidegate/+/data/#", ledger=book)
        listening = asyncio.create_task(subscriber.run())
        logs = ""

        async def come(condition: Callable[[], object], what: str) -> None:
            await until(condition, within_s=90, every_s=0.2, what=what)

        def all_tags_arrive() -> bool:
            seen = {device for device, _ in book.last}
            return {LOAD_DEVICE, MODBUS_LOAD_DEVICE} <= seen and len(book.last) > 2 * tags

        async def all_devices_read() -> bool:
            status = await box.status()
            return status is not None and all(device["readings"] for device in status["devices"].values())

        async def backlog() -> int:
            status = await box.status()
            return -1 if status is None else int(status["spool"]["backlog_readings"])

        async def waits_on_disk() -> bool:
            return await backlog() > tags

        async def drained() -> bool:
            return 0 <= await backlog() < 2 * tags and book.received > before

        try:
            await asyncio.wait_for(subscriber.subscribed.wait(), 20)
            began_s = time.monotonic()
            await box.start()
            await come(lambda: book.received > 0, "the first reading arrived")
            start_s = time.monotonic() - began_s
            await come(all_tags_arrive, "readings of all tags arrived")
            await asyncio.sleep(live_s)
            pss_bytes = await box.pss_bytes()
            live_p50_ms, live_p99_ms = book.latency_ms(0.5)[0], book.latency_ms(0.99)[0]

            if look is not None:
                await look()

            await broker.stop()
            before = book.received
            await asyncio.sleep(down_s)
            await come(waits_on_disk, "readings wait on disk")
            dead_from_ms = time.time() * 1e3
            await box.kill()
            await box.start()
            await come(all_devices_read, "the new one reads every device")
            dead_until_ms = time.time() * 1e3
            await asyncio.sleep(down_s)
            assert book.received == before

            await broker.start()
            await come(drained, "the backlog drained")
            pss_after_bytes = await box.pss_bytes()
            assert await box.stop() == 0

            settings = DatabaseSettings(path=str(box.database))
            spool = await Spool.open(box.database, settings=settings, metrics=Metrics())
            stats = spool.stats
            await spool.close()
            owed = stats.accepted_readings - stats.backlog_readings
            await come(lambda: book.received >= owed, "all accepted readings arrived")
        except BaseException:
            logs = await box.logs()
            raise
        finally:
            print(logs)
            await box.remove()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    assert book.received == owed
    assert sum(stats.dropped.values()) == 0
    assert book.seq_holes() == []
    assert book.conflicts == 0
    assert book.replayed > 2 * tags
    # The plant's counters go up by one at each change: outside the time in which nothing ran, all are here.
    assert book.counters == tags
    dead = Window(dead_from_ms, dead_until_ms)
    assert unexplained((hole for holes in book.counter_holes().values() for hole in holes), [dead]) == 0
    return {
        "start_to_first_reading_s": round(start_s, 2),
        "pss_bytes": pss_bytes,
        "pss_after_outage_bytes": pss_after_bytes,
        "readings": book.received,
        "live_p50_ms": round(live_p50_ms, 1),
        "live_p99_ms": round(live_p99_ms, 1),
    }
