"""The image at work: the plant's load under 128 MiB and one CPU, and an outage in which the container is killed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.plant.config import LOAD_DEVICE, MODBUS_LOAD_DEVICE, gateway_config
from gateway.config.models import DatabaseSettings
from gateway.demo.broker import Broker
from gateway.demo.ledger import Ledger
from gateway.demo.plant_process import PlantProcess
from gateway.demo.subscriber import Subscriber
from gateway.demo.verdict import Window, unexplained
from gateway.metrics import Metrics
from gateway.spool import Spool
from tests.image_build.container import ARCHIVE, Container, Podman

TAGS = 500
"""On each of the two servers: 1,000 in all, beside the machines' own."""
LIVE_S = 20
DOWN_S = 8
MOST_PSS_BYTES = 100_000_000


@pytest.fixture
async def podman() -> AsyncIterator[Podman]:
    async with Podman() as ready:
        yield ready


async def until(condition, *, within_s: float, what: str, container: Container) -> None:
    try:
        async with asyncio.timeout(within_s):
            while not await condition():
                await asyncio.sleep(0.2)
    except TimeoutError:
        pytest.fail(f"not within {within_s} s: {what}\n{await container.logs()}")


def tell(**measured: float) -> None:
    """Keeps what was measured beside the image, for people: nothing passes or fails by it."""
    ARCHIVE.with_name("measured.json").write_text(json.dumps(measured, indent=2) + "\n")


@pytest.mark.timeout(300)
async def test_nothing_is_lost_when_the_container_is_killed_in_an_outage(tmp_path: Path, podman: Podman) -> None:
    book = Ledger()
    async with (
        Broker(folder=tmp_path / "broker") as broker,
        PlantProcess(log=tmp_path / "plant.log", tags=TAGS, rate_hz=1.0) as plant,
    ):
        subscriber = Subscriber(host=broker.host, port=broker.port, topic="tidegate/image/data/#", ledger=book)
        listening = asyncio.create_task(subscriber.run())
        config = gateway_config(
            gateway_id="image",
            database="/data/spool.db",
            opcua_url=plant.opcua_url,
            modbus_port=plant.modbus_port,
            broker_port=broker.port,
            tags=TAGS,
            interval_s=1.0,
        )
        gateway = Container(podman, folder=tmp_path, config=config)
        try:
            await asyncio.wait_for(subscriber.subscribed.wait(), 20)
            began_s = time.monotonic()
            await gateway.start()

            async def first_arrives() -> bool:
                return book.received > 0

            async def all_tags_arrive() -> bool:
                seen = {device for device, _ in book.last}
                return {LOAD_DEVICE, MODBUS_LOAD_DEVICE} <= seen and len(book.last) > 2 * TAGS

            async def all_devices_read() -> bool:
                status = await gateway.status()
                return status is not None and all(device["readings"] for device in status["devices"].values())

            async def backlog() -> int:
                status = await gateway.status()
                return -1 if status is None else int(status["spool"]["backlog_readings"])

            await until(first_arrives, within_s=60, what="the first reading arrived", container=gateway)
            start_s = time.monotonic() - began_s
            await until(all_tags_arrive, within_s=60, what="readings of all tags arrived", container=gateway)
            await asyncio.sleep(LIVE_S)
            pss_bytes = await gateway.pss_bytes()

            await broker.stop()
            before = book.received
            await asyncio.sleep(DOWN_S)
            assert await backlog() > TAGS
            dead_from_ms = time.time() * 1e3
            await gateway.kill()
            await gateway.start()
            await until(all_devices_read, within_s=60, what="the new container reads every device", container=gateway)
            dead_until_ms = time.time() * 1e3
            await asyncio.sleep(DOWN_S)
            assert book.received == before

            await broker.start()

            async def drained() -> bool:
                return 0 <= await backlog() < 2 * TAGS and book.received > before

            await until(drained, within_s=60, what="the backlog drained", container=gateway)
            pss_after_bytes = await gateway.pss_bytes()
            assert await gateway.stop() == 0

            database = gateway.data / "spool.db"
            spool = await Spool.open(database, settings=DatabaseSettings(path=str(database)), metrics=Metrics())
            stats = spool.stats
            await spool.close()

            async def everything_is_here() -> bool:
                return book.received >= stats.accepted_readings - stats.backlog_readings

            await until(everything_is_here, within_s=30, what="all accepted readings arrived", container=gateway)
        finally:
            await gateway.remove()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    tell(
        archive_bytes=ARCHIVE.stat().st_size,
        start_to_first_reading_s=round(start_s, 2),
        pss_bytes=pss_bytes,
        pss_after_outage_bytes=pss_after_bytes,
        readings=book.received,
        p50_ms=round(book.latency_ms(0.5)[0], 1),
        p99_ms=round(book.latency_ms(0.99)[0], 1),
    )
    assert max(pss_bytes, pss_after_bytes) < MOST_PSS_BYTES
    assert book.received == stats.accepted_readings - stats.backlog_readings
    assert sum(stats.dropped.values()) == 0
    assert book.seq_holes() == []
    assert book.conflicts == 0
    assert book.replayed > 2 * TAGS
    # The plant's counters go up by one at each change: outside the time in which no container ran, all are here.
    assert book.counters == TAGS
    dead = Window(dead_from_ms, dead_until_ms)
    assert unexplained((hole for holes in book.counter_holes().values() for hole in holes), [dead]) == 0


async def test_a_root_that_is_read_only_is_enough_and_there_is_no_shell(podman: Podman) -> None:
    code, out, err = await podman.attempt("run", "--rm", "--network=none", "--read-only", podman.image, "--version")
    assert (code, err) == (0, "")
    assert out.startswith("tidegate ")
    code, _, _ = await podman.attempt(
        "run", "--rm", "--network=none", "--entrypoint=/bin/sh", podman.image, "-c", "true"
    )
    assert code != 0
