"""The way to the broker, taken away and put back: what nobody could offer is sent all the same."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.batch import Batch, Reading
from gateway.config.models import Config, DatabaseSettings, UplinkSettings
from gateway.crew import Crew, end
from gateway.demo.broker import Broker
from gateway.demo.ledger import Ledger
from gateway.health import Health
from gateway.metrics import Metrics
from gateway.outlet import Outlet
from gateway.spool import Spool
from gateway.spool.repair import recovery
from gateway.spool.repair.salvage import Salvage
from tests.gateway.spool.harness import replace, rescued
from tests.listening import listening
from tests.waiting import until


@asynccontextmanager
async def outlet_at(broker: Broker, folder: Path):
    """An outlet over a real spool, and the book of who listens at the broker."""
    book, metrics = Ledger(), Metrics()
    spool = await Spool.open(folder / "spool.db", settings=DatabaseSettings(), metrics=metrics)
    point = spool.points.intern("s/a/l/press/force", device="press")

    async def store() -> tuple[int, Batch]:
        batch = Batch.of([Reading(1, 1.0, point)])
        return await spool.append("press", batch), batch

    try:
        async with listening(broker, book, "+/data/#"), asyncio.TaskGroup() as group:
            storing = group.create_task(spool.run())
            crew = Crew(group, health=Health(), metrics=metrics)
            outlet = Outlet(spool, crew=crew, metrics=metrics, now_ns=lambda: 1)
            try:
                yield outlet, spool, store, book
            finally:
                await outlet.stop()
                await end(storing)
    finally:
        await spool.close()


def config(broker: Broker, topic: str) -> Config:
    return Config(uplink=UplinkSettings(host=broker.host, port=broker.port, topic=topic))


async def test_a_row_whose_source_was_ended_is_sent_though_no_other_follows(broker: Broker, tmp_path: Path) -> None:
    async with outlet_at(broker, tmp_path) as (outlet, spool, store, book):
        outlet.start(config(broker, "a"))
        seq, batch = await store()
        outlet.offer(seq, "press", batch)
        await until(lambda: book.received == 1)
        await store()  # and nobody lives to offer it
        outlet.look_again(spool.stats.last_seq)
        await until(lambda: book.received == 2)
        assert book.seq_holes() == []


async def test_what_comes_while_there_is_no_uplink_is_sent_by_the_next(broker: Broker, tmp_path: Path) -> None:
    async with outlet_at(broker, tmp_path) as (outlet, _, store, book):
        outlet.start(config(broker, "a"))
        seq, batch = await store()
        outlet.offer(seq, "press", batch)
        await until(lambda: book.received == 1)
        await outlet.change(Config())
        assert outlet.status["state"] == "no broker is configured"
        seq, batch = await store()
        outlet.offer(seq, "press", batch)
        await outlet.change(config(broker, "b"))
        seq, batch = await store()
        outlet.offer(seq, "press", batch)
        await until(lambda: book.received == 3)
        assert book.seq_holes() == []
        assert book.duplicates == 0


async def test_rows_that_are_saved_from_a_damaged_file_are_sent_though_later_ones_were(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()

    def salvage(path: Path) -> Salvage:
        assert gate.wait(60)
        return Salvage(path)

    monkeypatch.setattr(recovery, "Salvage", salvage)
    async with outlet_at(broker, tmp_path) as (outlet, spool, store, book):
        try:
            early = {(await store())[0] for _ in range(20)}
            await replace(spool)
            outlet.start(config(broker, "a"))
            seq, batch = await store()
            outlet.offer(seq, "press", batch)
            await until(lambda: book.received == 1)
            assert book.seqs == {seq}
        finally:
            gate.set()
        await until(lambda: book.received == 21)
        assert book.seqs == {seq, *early}
        await rescued(spool)
        assert spool.stats.dropped == {}
        assert spool.stats.accepted_batches == 21
