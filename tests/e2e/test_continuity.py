"""1,000 changes a second from an OPC UA server, through a pulled cable and three deaths of the gateway.

The counters of the plant go up by one at each change, and the server's queues are large enough for what happens: each
value between the first and the last has to arrive, and each of them once. The cable is pulled for `TIDEGATE_CUT_S`
seconds, 8 unless it is set; `make endurance` pulls it for 30.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from adapters.plant.catalogue import NAMESPACE, load_node
from gateway.demo.books import read_books
from gateway.demo.broker import Broker
from gateway.demo.gateway_process import GatewayProcess
from gateway.demo.ledger import Ledger, Message
from gateway.demo.plant_process import PlantProcess
from tests.bad_line import BadLine
from tests.listening import listening
from tests.waiting import until

CUT_S = float(os.environ.get("TIDEGATE_CUT_S", "8"))
TAGS = 100
RATE_HZ = 10.0
DEVICE = "counters"


class Book(Ledger):
    """A ledger that also knows how often each count came."""

    def __init__(self) -> None:
        super().__init__()
        self.times: Counter[tuple[str, int]] = Counter()

    def add(self, message: Message, *, arrived_ms: float) -> bool:
        new = super().add(message, arrived_ms=arrived_ms)
        if new:
            self.times.update((reading.tag, reading.value) for reading in message.readings)
        return new

    @property
    def twice(self) -> int:
        """Counts that came in more than one batch."""
        return sum(times > 1 for times in self.times.values())

    @property
    def highest(self) -> int:
        """The count up to which all counters have come."""
        highest: dict[str, int] = {}
        for tag, value in self.times:
            highest[tag] = max(value, highest.get(tag, 0))
        return min(highest.values()) if len(highest) == TAGS else 0


def config(*, folder: Path, port: int, path: str, broker_port: int) -> dict[str, object]:
    counters = [load_node(number) for number in range(1, TAGS + 1)]
    return {
        "gateway": {"id": "e2e"},
        "database": {"path": str(folder / "spool.db")},
        "offline": {"sync_interval": 1.0},
        "uplink": {"host": "127.0.0.1", "port": broker_port, "protocol": "5"},
        "devices": [
            {
                "name": DEVICE,
                "type": "opcua",
                "url": f"opc.tcp://127.0.0.1:{port}{path}",
                "timeout_s": 2.0,
                "sampling_interval_ms": 10.0,
                "queue_size": 5_000,
                "tags": [{"name": counter, "node": f"ns={NAMESPACE};s={counter}"} for counter in counters],
            }
        ],
    }


async def plugged_in(cable: BadLine) -> None:
    """The cable is in again; the connections from before are dead, for their ends have given different bytes up."""
    await cable.cut()
    cable.mend()


@pytest.mark.timeout(300 + 4 * CUT_S)
async def test_a_pulled_cable_and_sigkill_lose_nothing_that_the_server_queued(tmp_path: Path) -> None:
    book = Book()
    async with (
        Broker(folder=tmp_path / "broker") as broker,
        PlantProcess(log=tmp_path / "plant.log", tags=TAGS, rate_hz=RATE_HZ) as plant,
        BadLine(urlsplit(plant.opcua_url).port or 0) as cable,
        listening(broker, book, "tidegate/e2e/data/#"),
    ):
        settings = config(
            folder=tmp_path, port=cable.port, path=urlsplit(plant.opcua_url).path, broker_port=broker.port
        )
        async with GatewayProcess(folder=tmp_path, config=settings) as gateway:

            async def facts() -> dict[str, object]:
                status = await gateway.status()
                return {} if status is None else status["devices"].get(DEVICE, {})

            async def goes_on(within_s: float = 90) -> None:
                """Fresh counts come again, from the subscription of the life before."""
                reached = book.highest
                await until(lambda: book.highest > reached + 2 * RATE_HZ, within_s=within_s, what="counts come again")
                found = await facts()
                assert found.get("continued") is True, found

            await until(lambda: book.highest > 2 * RATE_HZ, within_s=90, what="all counters arrive")

            cable.silent = True
            await asyncio.sleep(CUT_S)
            await plugged_in(cable)
            await goes_on()

            # Dead while readings flow: what was committed and what was only on its way must not be mixed up.
            await gateway.kill()
            await asyncio.sleep(2)
            await gateway.start()
            await goes_on()

            # Dead while the cable is out, and started while it still is.
            cable.silent = True
            await asyncio.sleep(1)
            await gateway.kill()
            await gateway.start()
            await asyncio.sleep(CUT_S / 2)
            await plugged_in(cable)
            await goes_on()

            # A clean stop in between keeps the subscription too.
            assert await gateway.stop() == 0
            await asyncio.sleep(1)
            await gateway.start()
            await goes_on()
            assert await gateway.stop() == 0

        books = await read_books(tmp_path / "spool.db")
        await until(
            lambda: book.received >= books.accepted - books.kept(book.seqs), within_s=60, what="all that was accepted"
        )

    assert book.counters == TAGS
    assert book.counter_holes() == {}
    assert book.twice == 0
    assert book.highest > RATE_HZ * (2 * CUT_S)
