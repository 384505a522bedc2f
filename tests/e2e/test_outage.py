"""The main job under the conditions it was built for: an outage of the broker, and a crash in the middle of it.

TIDEGATE_OUTAGE_S says how long the outage is; `make endurance` runs the long form.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest

from adapters.plant.config import LOAD_DEVICE, MODBUS_LOAD_DEVICE
from gateway.demo.books import read_books
from gateway.demo.broker import Broker
from gateway.demo.gateway_process import GatewayProcess
from gateway.demo.ledger import Ledger, Message
from gateway.demo.verdict import Window, unexplained
from tests.e2e.load import TAGS, all_tags_arrived, load_config, load_plant
from tests.gateway.spool.harness import read_gaps
from tests.listening import listening
from tests.waiting import until

OUTAGE_S = float(os.environ.get("TIDEGATE_OUTAGE_S", "6"))
LIVE_S = AFTER_S = OUTAGE_S
DOWN_BEFORE_KILL_S = DOWN_AFTER_KILL_S = OUTAGE_S / 2


class Book(Ledger):
    """A ledger that also keeps what it needs to say whether each tag's readings came in order."""

    def __init__(self) -> None:
        super().__init__()
        self.times: dict[tuple[str, str], list[tuple[int, int, float]]] = defaultdict(list)

    def add(self, message: Message, *, arrived_ms: float) -> bool:
        new = super().add(message, arrived_ms=arrived_ms)
        if new:
            for reading in message.readings:
                self.times[message.device, reading.tag].append((message.seq, message.part, reading.ts))
        return new

    def out_of_order(self) -> list[tuple[str, str]]:
        """Tags whose readings, put in the order of (seq, part), go back in time."""
        return [
            tag
            for tag, times in self.times.items()
            if any(later < earlier for (_, _, earlier), (_, _, later) in pairwise(sorted(times, key=lambda t: t[:2])))
        ]


async def backlog(gateway: GatewayProcess) -> int:
    status = await gateway.status()
    return -1 if status is None else int(status["spool"]["backlog_readings"])


@pytest.mark.timeout(180 + 6 * OUTAGE_S)
async def test_every_accepted_reading_arrives_once_and_in_order(tmp_path: Path) -> None:
    book = Book()
    database = tmp_path / "spool.db"
    async with (
        Broker(folder=tmp_path / "broker") as broker,
        load_plant(tmp_path) as plant,
        listening(broker, book, "tidegate/e2e/data/#"),
    ):
        config = load_config(database, plant, broker)
        async with GatewayProcess(folder=tmp_path, config=config) as gateway:
            await until(lambda: all_tags_arrived(book), within_s=60, what="readings of all 1,000 tags arrived")
            await asyncio.sleep(LIVE_S)

            await broker.stop()
            before = book.received
            await asyncio.sleep(DOWN_BEFORE_KILL_S)
            assert await backlog(gateway) > TAGS
            dead_from_ms = time.time() * 1e3
            await gateway.kill()
            await asyncio.sleep(1)
            await gateway.start()

            async def all_devices_read() -> bool:
                status = await gateway.status()
                return status is not None and all(device["readings"] for device in status["devices"].values())

            await until(all_devices_read, within_s=30, what="the restarted gateway reads every device")
            dead_until_ms = time.time() * 1e3
            await asyncio.sleep(DOWN_AFTER_KILL_S)
            assert book.received == before

            await broker.start()
            await asyncio.sleep(AFTER_S)

            async def drained() -> bool:
                return 0 <= await backlog(gateway) < 2 * TAGS and book.received > before

            await until(drained, within_s=60, what="the backlog drained")
            assert await gateway.stop() == 0

        books = await read_books(database)
        expected = books.accepted - sum(books.waiting.values())
        await until(lambda: book.received >= expected, within_s=30, what=f"{expected} readings arrived")

    assert books.accepted > 2 * TAGS * (LIVE_S + AFTER_S) / 2
    assert book.received == expected
    assert books.dropped == 0
    assert book.seq_holes() == []
    assert book.conflicts == 0
    assert book.replayed > 2 * TAGS
    assert book.out_of_order() == []
    # The plant's counters go up by one at each change: outside the time in which the gateway was dead, all are here.
    assert book.counters == TAGS
    dead = Window(dead_from_ms, dead_until_ms)
    holes = book.counter_holes()
    assert unexplained((hole for tag_holes in holes.values() for hole in tag_holes), [dead]) == 0
    # And the gap ledger says the same: nothing is missing but what was never read while the gateway was dead.
    gaps = [entry.gap for entry in read_gaps(database)]
    assert {(gap.cause, gap.readings) for gap in gaps} == {("gateway_stopped", None)}
    assert MODBUS_LOAD_DEVICE in {gap.device for gap in gaps}
    assert LOAD_DEVICE not in {gap.device for gap in gaps}, "its server kept what changed meanwhile"
    told = [Window(gap.from_ns / 1e6, gap.to_ns / 1e6) for gap in gaps]
    assert all(window.from_ms < dead_until_ms and window.to_ms > dead_from_ms for window in told)
    assert unexplained((hole for tag_holes in holes.values() for hole in tag_holes), told) == 0
