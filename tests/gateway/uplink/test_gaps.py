"""Gaps on their way to the broker: with a real mosquitto, and the real ledger where it matters."""

from __future__ import annotations

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from gateway.batch import Batch, Reading
from gateway.config.models import OfflineSettings
from gateway.demo.broker import Broker
from gateway.errors import SpoolError
from gateway.gap import Gap
from gateway.metrics import Metrics
from gateway.spool import Spool
from gateway.spool.ledger.gaps import QUIET_NS, Entry, Telling
from gateway.uplink import gaps
from gateway.uplink.gaps import gap_message
from tests.gateway.spool.harness import running
from tests.gateway.uplink.support import Plant, Wire, connected, subscribed, uplink_of
from tests.gateway.uplink.test_traffic import ENDS_NO_CONNECTION, settings
from tests.waiting import until

START_NS = 1_700_000_000_000_000_000


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(gaps, "_INTERVAL_S", 0.02)


def entry(number: int) -> Entry:
    return Entry(number, Gap("press", "spool_full", START_NS, START_NS + 5, number), START_NS, START_NS)


@pytest.mark.parametrize(
    ("gap", "told"),
    [
        (
            Gap("press", "spool_full", START_NS, START_NS + 500, 70),
            {"device": "press", "tag": None, "group": None, "from": 1_700_000_000_000, "readings": 70}
            | {"to": 1_700_000_000_000.0005, "cause": "spool_full"},
        ),
        (
            Gap("", "spool_damaged", 0, START_NS, None),
            {"device": None, "tag": None, "group": None, "from": 0, "readings": None}
            | {"to": 1_700_000_000_000, "cause": "spool_damaged"},
        ),
        (
            Gap("press", "corrupt", 1_000_000, 2_000_000, 1, tag="force", group="unit 3"),
            {"device": "press", "tag": "force", "group": "unit 3", "from": 1, "readings": 1}
            | {"to": 2, "cause": "corrupt"},
        ),
    ],
)
def test_a_gap_as_json(gap, told):
    assert json.loads(gap_message("gw", 17, gap)) == {"gateway": "gw", "number": 17} | told


async def test_gaps_are_told_one_after_the_other_and_noted(broker: Broker) -> None:
    plant = Plant(settings(broker.port, window=1))
    plant.spool.gaps.waiting = [entry(number) for number in range(1, 121)]
    async with subscribed(broker.port) as subscriber, plant.connected():
        seqs = [plant.emit(float(n)) for n in range(20)]
        await until(lambda: plant.spool.gaps.told_numbers == list(range(1, 121)))
        await until(lambda: len(subscriber.gaps()) == 120)
        await until(lambda: plant.spool.acked == seqs)
    assert [told["number"] for told in subscriber.gaps()] == list(range(1, 121))
    assert {message.topic for message in subscriber.messages if message.topic.endswith("gaps")} == {"tidegate/gw/gaps"}


async def test_a_gap_that_was_not_acknowledged_is_told_again_under_its_number(broker: Broker) -> None:
    async with Wire(broker.port) as wire, subscribed(broker.port) as subscriber:
        plant = Plant(settings(wire.port))
        async with plant.connected() as run:
            wire.answers.clear()
            plant.spool.gaps.waiting = [entry(4)]
            await until(subscriber.gaps)
            wire.cut()
            await asyncio.wait((run,))
        assert plant.spool.gaps.told_numbers == []
        wire.answers.set()
        async with plant.connected():
            await until(lambda: plant.spool.gaps.told_numbers == [4])
    first, *others = subscriber.gaps()
    assert others
    assert all(again == first for again in others)


async def test_a_stop_notes_what_was_told_and_waits_for_what_is_under_way(broker: Broker) -> None:
    async with Wire(broker.port) as wire, subscribed(broker.port) as subscriber:
        plant = Plant(settings(wire.port))
        plant.spool.gaps.waiting = [entry(number) for number in range(1, 51)]
        async with plant.connected() as run:
            await until(lambda: len(subscriber.gaps()) >= 5)
            wire.answers.clear()
            await until(lambda: plant.uplink._courier._gaps.sent_at_s is not None)
            told = plant.spool.gaps.told_numbers
            run.cancel()
            await asyncio.sleep(0.05)
            wire.answers.set()
            await asyncio.wait((run,))
        await until(lambda: [one["number"] for one in subscriber.gaps()] == told)
    assert 5 <= len(told) < 50


async def test_a_broker_that_refuses_gaps_gets_the_readings_and_is_asked_again(tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite #\ntopic deny tidegate/gw/gaps\n")
    extra = [f"acl_file {rules}", ENDS_NO_CONNECTION]
    async with Broker(folder=tmp_path / "broker", kind="mosquitto", extra_config=extra) as broker:
        plant = Plant(settings(broker.port), OfflineSettings(sync_interval=0.2))
        plant.spool.gaps.waiting = [entry(1), entry(2)]
        async with plant.connected() as run:
            await until(lambda: plant.count("tidegate_messages_refused_total", "Not authorized (0x87)") >= 2)
            assert plant.spool.gaps.told_numbers == []
            assert plant.uplink.status["refused"] in ({}, {"tidegate/gw/gaps": "Not authorized (0x87)"})
            seqs = [plant.emit(float(n)) for n in range(20)]
            await until(lambda: plant.spool.acked == seqs)
            assert not run.done()


async def test_a_broker_that_takes_only_small_packets_keeps_its_connection(tmp_path: Path) -> None:
    async with Broker(folder=tmp_path / "broker", kind="mosquitto", extra_config=["max_packet_size 250"]) as broker:
        plant = Plant(settings(broker.port))
        plant.spool.gaps.waiting = [entry(1)._replace(gap=Gap("press" * 25, "corrupt", 0, 0, 1))]
        async with plant.connected() as run:
            await until(lambda: plant.count("tidegate_messages_refused_total", "too large for the broker") == 1)
            assert plant.uplink.status["refused"] == {"tidegate/gw/gaps": "too large for the broker"}
            assert not run.done()


async def test_a_disk_that_refuses_ends_no_connection(broker: Broker, monkeypatch) -> None:
    plant = Plant(settings(broker.port))
    ledger = plant.spool.gaps
    tried: list[str] = []

    async def refuse(*_: object) -> None:
        tried.append("")
        raise SpoolError("full")

    ledger.waiting = [entry(1)]
    monkeypatch.setattr(ledger, "take", refuse)
    async with subscribed(broker.port) as subscriber, plant.connected() as run:
        await until(lambda: len(tried) >= 2)
        monkeypatch.undo()
        monkeypatch.setattr(gaps, "_INTERVAL_S", 0.02)
        monkeypatch.setattr(ledger, "told", refuse)
        await until(lambda: len(tried) >= 5)
        assert len(subscriber.gaps()) == 1, "what the broker has taken is not told again while that cannot be noted"
        monkeypatch.undo()
        await until(lambda: ledger.told_numbers == [1])
        assert not run.done()


class _Clock:
    def __init__(self) -> None:
        self.now_ns = START_NS

    def __call__(self) -> int:
        return self.now_ns


async def test_what_an_outage_cost_is_told_once_the_broker_is_back(broker: Broker, tmp_path: Path) -> None:
    """Each reading that was accepted arrives, or is counted in a gap; a crash between telling and noting repeats it."""
    clock = _Clock()
    metrics = Metrics()
    stored = 0

    def storing() -> AbstractAsyncContextManager[Spool]:
        return running(tmp_path / "spool.db", metrics=metrics, now_ns=clock, max_bytes=5 * 244)

    async def append(spool: Spool) -> None:
        nonlocal stored
        clock.now_ns += 1_000_000_000
        point = spool.points.intern("s/a/l/press/force", device="press")
        await spool.append("press", Batch.of(Reading(clock.now_ns + n, 1.0, point) for n in range(10)))
        stored += 10

    async with Wire(broker.port) as wire, subscribed(broker.port) as subscriber:
        async with storing() as spool:
            for _ in range(20):
                await append(spool)
            assert spool.stats.gaps_to_tell == 1
            clock.now_ns += QUIET_NS
            async with connected(uplink_of(spool, wire.port, metrics=metrics)):
                await until(lambda: len(subscriber.data()) == 5 and subscriber.gaps())
                # The ledger may have noted it or not: both happen at a crash.
        async with storing() as spool:
            for _ in range(7):
                await append(spool)
            clock.now_ns += QUIET_NS
            async with connected(uplink_of(spool, wire.port, metrics=metrics)):
                await until(lambda: len({told["number"] for told in subscriber.gaps()}) == 2)
                await until(lambda: spool.stats.gaps_to_tell == 0)
            entries = await spool.gaps.all()
    told = {one["number"]: one for one in subscriber.gaps()}
    arrived = {(m.payload["seq"], m.payload["part"]): len(m.payload["readings"]) for m in subscriber.data()}
    assert sum(arrived.values()) + sum(one["readings"] for one in told.values()) == stored
    assert all(one == told[one["number"]] for one in subscriber.gaps())
    assert [(one.number, one.telling) for one in entries] == [(number, Telling.TOLD) for number in sorted(told)]
    first = min(told.values(), key=lambda one: one["number"])
    assert (first["device"], first["cause"], first["readings"]) == ("press", "spool_full", 150)
    assert first["from"] == (START_NS + 1_000_000_000) / 1e6


async def test_what_offline_disabled_drops_is_told(broker: Broker, tmp_path: Path) -> None:
    clock = _Clock()
    metrics = Metrics()
    path = tmp_path / "spool.db"
    async with subscribed(broker.port) as subscriber, running(path, metrics=metrics, now_ns=clock) as spool:
        batch = Batch.of(Reading(START_NS + n, 1.0, 1) for n in range(3))
        away = uplink_of(spool, broker.port, metrics=metrics, offline=OfflineSettings(enabled=False))
        away.offer(await spool.append("press", batch), "press", batch)
        await until(lambda: spool.stats.gaps_to_tell == 1)
        assert spool.stats.backlog_batches == 0
        clock.now_ns += QUIET_NS
        async with connected(uplink_of(spool, broker.port, metrics=metrics)):
            await until(subscriber.gaps)
    (told,) = subscriber.gaps()
    assert (told["cause"], told["readings"], told["from"]) == ("offline_disabled", 3, START_NS / 1e6)
