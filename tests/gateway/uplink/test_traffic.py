"""What goes over the wire, in which order, and what is acknowledged: with a real mosquitto."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from gateway.batch import Batch, Kind, Reading
from gateway.config.models import DatabaseSettings, OfflineSettings, UplinkSettings
from gateway.demo.broker import Broker
from gateway.errors import UplinkError
from gateway.metrics import Metrics
from gateway.spool import Spool
from gateway.uplink import Uplink, session
from tests.gateway.uplink.support import Plant, Wire, subscribed
from tests.waiting import until

PROTOCOLS = pytest.mark.parametrize("protocol", ["3.1.1", "5"])


# mosquitto 2.0.11 ends the connection after each refusal where its queue has no limit (`max_queued_messages 0`).
ENDS_NO_CONNECTION = "max_queued_messages 1000"


def settings(port: int, **more) -> UplinkSettings:
    return UplinkSettings(host="127.0.0.1", port=port, **more)


@PROTOCOLS
async def test_a_live_batch_arrives_and_is_acknowledged(broker: Broker, protocol) -> None:
    now_ns = 1_700_000_002_000_000_000
    plant = Plant(settings(broker.port, protocol=protocol), now_ns=lambda: now_ns)
    async with subscribed(broker.port, "tidegate/gw/data/#") as subscriber, plant.connected():
        seq = plant.emit(1.5, 2.5)
        await until(lambda: plant.spool.acked == [seq])
        await until(subscriber.data)
        assert await plant.uplink.drain(5.0)
    [message] = subscriber.messages
    assert message.topic == "tidegate/gw/data/press"
    assert not message.retain
    assert message.payload == {
        "gateway": "gw",
        "device": "press",
        "seq": seq,
        "part": 0,
        "replayed": False,
        "readings": [
            {"tag": "temperature", "ts": 1_700_000_000_000, "value": 1.5, "quality": "good"},
            {"tag": "temperature", "ts": 1_700_000_000_000.000001, "value": 2.5, "quality": "good"},
        ],
    }
    assert plant.count("tidegate_readings_published_total", "false") == 2
    assert plant.count("tidegate_readings_published_total", "true") == 0
    assert plant.count("tidegate_latency_seconds_count") == 1
    assert plant.count("tidegate_latency_seconds_sum") == pytest.approx(2.0)


async def test_the_parts_of_a_large_batch_are_one_row(broker: Broker) -> None:
    plant = Plant(settings(broker.port, max_message_bytes=10_000, window=3))
    values = [float(i) for i in range(1_000)]
    async with subscribed(broker.port) as subscriber, plant.connected():
        seqs = [plant.emit(*values), plant.emit(1.0)]
        await until(lambda: plant.spool.acked == seqs)
        await until(lambda: seqs[1] in subscriber.seqs())
    parts = [message for message in subscriber.data() if message.payload["seq"] == seqs[0]]
    assert [message.payload["part"] for message in parts] == list(range(len(parts)))
    assert len(parts) > 5
    assert [value for message in parts for value in message.values] == values
    assert plant.count("tidegate_readings_published_total", "false") == 1_001


async def test_a_row_is_not_acknowledged_before_its_last_part(broker: Broker) -> None:
    async with Wire(broker.port) as wire, subscribed(broker.port) as subscriber:
        plant = Plant(settings(wire.port, max_message_bytes=10_000, window=4))
        async with plant.connected():
            wire.answers.clear()
            seq = plant.emit(*map(float, range(1_000)))
            await until(lambda: len(subscriber.data()) == 4)
            assert plant.uplink.status["in_flight"] == 4
            assert plant.spool.acked == []
            wire.answers.set()
            await until(lambda: plant.spool.acked == [seq])


@PROTOCOLS
async def test_an_outage_loses_nothing_and_what_is_fresh_comes_first(broker: Broker, protocol) -> None:
    plant = Plant(settings(broker.port, protocol=protocol, window=4), OfflineSettings(replay_rate=1_000))
    stored: dict[int, list[float]] = {}

    def keep(seq: int, *values: float) -> None:
        stored[seq] = list(values)

    before = [plant.store(float(i)) for i in range(3)]  # an earlier process left these
    for seq, value in zip(before, range(3), strict=True):
        keep(seq, float(value))
    async with subscribed(broker.port) as first, plant.connected() as run:
        for i in range(10):
            keep(plant.emit(100.0 + i), 100.0 + i)
        await until(lambda: not plant.spool.rows)
        await until(lambda: set(first.seqs()) == set(stored))
        assert first.seqs(replayed=True) == before
        await broker.stop()
        with pytest.raises(UplinkError):
            await run
        outage = []
        for i in range(200):
            values = [float(i)] * 10
            outage.append(plant.emit(*values))
            keep(outage[-1], *values)
        assert sorted(plant.spool.rows) == outage
    await broker.start()
    async with subscribed(broker.port) as second, plant.connected():
        fresh = []
        for i in range(20):
            fresh.append(plant.emit(1_000.0 + i))
            keep(fresh[-1], 1_000.0 + i)
        await until(lambda: not plant.spool.rows)
        await until(lambda: set(second.seqs()) >= set(outage + fresh))
    assert second.seqs(replayed=False) == fresh
    assert second.seqs(replayed=True) == outage
    order = second.seqs()
    assert order.index(fresh[-1]) < order.index(outage[-1]), "the live rows waited for the backlog"
    for message in first.data() + second.data():
        assert message.values == stored[message.payload["seq"]]
    assert plant.count("tidegate_readings_published_total", "true") == 3 + 2_000


async def test_a_cut_in_flight_sends_again_under_the_same_number(broker: Broker) -> None:
    async with Wire(broker.port) as wire, subscribed(broker.port) as subscriber:
        plant = Plant(settings(wire.port, window=4, max_message_bytes=2_000))
        async with plant.connected() as run:
            wire.answers.clear()
            seqs = [plant.emit(*(float(i + k) for k in range(100))) for i in range(10)]
            await until(lambda: len(subscriber.data()) >= 4)
            wire.cut()
            with pytest.raises(UplinkError):
                await run
        assert plant.spool.acked == []
        wire.answers.set()
        async with plant.connected():
            await until(lambda: not plant.spool.rows)
        assert plant.spool.acked == seqs
        await until(lambda: set(subscriber.seqs()) == set(seqs))
        parts: dict[tuple[int, int], list[float]] = {}
        for message in subscriber.data():
            key = message.payload["seq"], message.payload["part"]
            assert parts.setdefault(key, message.values) == message.values, "a part is not what it was the first time"
        for i, seq in enumerate(seqs):
            joined = [v for (s, _), values in sorted(parts.items()) if s == seq for v in values]
            assert joined == [float(i + k) for k in range(100)]


async def test_a_live_overflow_comes_from_the_spool(broker: Broker) -> None:
    async with Wire(broker.port) as wire, subscribed(broker.port) as subscriber:
        plant = Plant(settings(wire.port, window=2, max_live_readings=10))
        async with plant.connected():
            wire.answers.clear()
            seqs = [plant.emit(float(i), float(i)) for i in range(20)]
            assert plant.uplink.status["live_readings"] <= 10
            wire.answers.set()
            seqs += [plant.emit(float(i)) for i in range(20, 25)]
            await until(lambda: not plant.spool.rows)
            await until(lambda: len(subscriber.data()) >= len(seqs))
        assert sorted(subscriber.seqs()) == seqs, "each row once"
        live, replayed = subscriber.seqs(replayed=False), subscriber.seqs(replayed=True)
        assert live == sorted(live)
        assert replayed == sorted(replayed)
        assert live[:5] == seqs[:5]
        assert set(seqs[5:20]) <= set(replayed)


async def test_a_free_slot_goes_to_a_live_row_first(broker: Broker) -> None:
    async with Wire(broker.port) as wire, subscribed(broker.port) as subscriber:
        plant = Plant(settings(wire.port, window=1))
        async with plant.connected():
            wire.answers.clear()
            backlog = [plant.store(float(i)) for i in range(5)]
            live = [plant.emit(10.0)]  # under way; its offer shows that the others were never offered
            await until(lambda: subscriber.seqs() == live)
            await until(lambda: plant.uplink.status["backlog"]["cursor"] == backlog[-1])
            live += [plant.emit(10.0 + i) for i in range(1, 4)]
            wire.answers.set()
            await until(lambda: not plant.spool.rows)
            await until(lambda: len(subscriber.data()) == 9)
    assert subscriber.seqs() == [*live, *backlog]


async def test_the_backlog_is_slowed_and_live_rows_are_not(broker: Broker) -> None:
    # At one reading a second, the second row is due in a quarter of an hour.
    plant = Plant(settings(broker.port), OfflineSettings(replay_rate=1))
    backlog = [plant.store(*map(float, range(1_000))) for _ in range(3)]
    async with subscribed(broker.port) as subscriber, plant.connected():
        await until(lambda: plant.spool.acked == backlog[:1])
        live = [plant.emit(float(i)) for i in range(200)]
        await until(lambda: subscriber.seqs(replayed=False) == live)
        assert subscriber.seqs(replayed=True) == backlog[:1]


async def test_with_nothing_due_the_spool_is_left_alone(broker: Broker) -> None:
    plant = Plant(settings(broker.port))
    async with plant.connected():
        for i in range(50):
            plant.emit(float(i))
            await asyncio.sleep(0.002)
        await until(lambda: not plant.spool.rows)
        queries = plant.spool.queries
        await asyncio.sleep(0.3)
        assert plant.spool.queries == queries
    assert queries <= 2


async def test_a_row_that_was_committed_and_never_offered_is_found(broker: Broker) -> None:
    plant = Plant(settings(broker.port))
    async with subscribed(broker.port) as subscriber, plant.connected():
        first = plant.emit(1.0)
        await until(lambda: plant.spool.acked == [first])
        orphan = plant.store(2.0)  # its adapter was cancelled between commit and offer
        last = plant.emit(3.0)
        await until(lambda: sorted(plant.spool.acked) == [first, orphan, last])
        await until(lambda: len(subscriber.data()) == 3)
    assert subscriber.seqs(replayed=True) == [orphan]


async def test_offline_disabled_drops_and_counts(broker: Broker) -> None:
    plant = Plant(settings(broker.port), OfflineSettings(enabled=False))
    dropped = [plant.emit(1.0, 2.0), plant.emit(3.0)]
    assert plant.spool.acked == dropped
    assert [(gap.cause, gap.readings) for gap in plant.spool.given_up.values()] == [
        ("offline_disabled", 2),
        ("offline_disabled", 1),
    ]
    assert plant.count("tidegate_readings_dropped_total", "offline_disabled") == 3
    async with subscribed(broker.port) as subscriber, plant.connected():
        seq = plant.emit(4.0)
        await until(lambda: subscriber.seqs() == [seq])
        await until(lambda: not plant.spool.rows)
    plant.emit(5.0)
    assert plant.count("tidegate_readings_dropped_total", "offline_disabled") == 4
    assert not plant.spool.rows


async def test_offline_enabled_drops_nothing() -> None:
    plant = Plant(UplinkSettings(host="127.0.0.1"))
    seqs = [plant.emit(1.0) for _ in range(5)]
    assert list(plant.spool.rows) == seqs
    assert plant.count("tidegate_readings_dropped_total", "offline_disabled") == 0


async def test_a_stop_finishes_what_is_in_flight(broker: Broker) -> None:
    async with Wire(broker.port) as wire, subscribed(broker.port) as subscriber:
        plant = Plant(settings(wire.port, window=8))
        async with plant.connected() as run:
            wire.answers.clear()
            seqs = [plant.emit(float(i)) for i in range(8)]
            await until(lambda: subscriber.seqs() == seqs)
            run.cancel()
            await until(lambda: plant.uplink.status["state"] == "stopping")
            wire.answers.set()
            with pytest.raises(asyncio.CancelledError):
                await run
        assert plant.spool.acked == seqs
        await until(lambda: subscriber.states() == ["online", "offline"])
        assert subscriber.messages[-1].payload["since"] is not None, "the will spoke, not we"


async def test_a_stop_does_not_wait_for_a_broker_that_does_not_answer(broker: Broker) -> None:
    async with Wire(broker.port) as wire, subscribed(broker.port) as subscriber:
        plant = Plant(settings(wire.port))
        async with plant.connected() as run:
            wire.answers.clear()
            seq = plant.emit(1.0)
            await until(lambda: subscriber.seqs() == [seq])
            assert not await plant.uplink.drain(0.05)
            run.cancel()
            async with asyncio.timeout(20):
                with pytest.raises(asyncio.CancelledError):
                    await run
        assert list(plant.spool.rows) == [seq]


async def test_a_broker_that_acknowledges_nothing_is_left(broker: Broker, monkeypatch) -> None:
    monkeypatch.setattr(session, "SILENCE_S", 0.2)
    async with Wire(broker.port) as wire:
        plant = Plant(settings(wire.port))
        async with plant.connected() as run:
            wire.answers.clear()
            plant.emit(1.0)
            with pytest.raises(UplinkError, match="has not acknowledged a message"):
                await run
        assert plant.spool.acked == []


async def test_a_refused_topic_stops_only_itself_and_is_tried_again(tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite #\ntopic deny tidegate/gw/data/oven\n")
    extra = [f"acl_file {rules}", ENDS_NO_CONNECTION]
    async with Broker(folder=tmp_path / "broker", kind="mosquitto", extra_config=extra) as broker:
        plant = Plant(settings(broker.port))
        async with subscribed(broker.port) as subscriber, plant.connected():
            old = [plant.store(float(i), device=device) for i in range(3) for device in ("oven", "press")]
            refused = [plant.emit(float(i), device="oven") for i in range(50)]
            passed = [plant.emit(float(i)) for i in range(50)]
            await until(lambda: set(subscriber.seqs()) >= {*passed, *old[1::2]})
            await until(lambda: plant.count("tidegate_messages_refused_total", "Not authorized (0x87)") >= 1)
            assert plant.uplink.status["refused"] == {"oven": "Not authorized (0x87)"}
            assert set(plant.spool.rows) == {*refused, *old[0::2]}
            rules.write_text("topic readwrite #\n")
            os.kill(broker.pid, signal.SIGHUP)
            await until(lambda: not plant.spool.rows)
            await until(lambda: set(subscriber.seqs()) == {*old, *refused, *passed})
            assert plant.uplink.status["refused"] == {}
            assert len(subscriber.data()) == len(old + refused + passed), "each row once"


async def test_a_refusal_that_ends_the_connection_does_not_end_each_one(tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite #\ntopic deny tidegate/gw/data/oven\n")
    extra = [f"acl_file {rules}", "max_queued_messages 0"]
    async with Broker(folder=tmp_path / "broker", kind="mosquitto", extra_config=extra) as broker:
        plant = Plant(settings(broker.port), clock=lambda: 0.0)  # the hold does not end
        refused = plant.store(1.0, device="oven")
        async with subscribed(broker.port) as subscriber:
            with pytest.raises(UplinkError):
                await plant.uplink.run()
            async with plant.connected():
                passed = [plant.emit(float(i)) for i in range(20)]
                await until(lambda: plant.spool.acked == passed)
                await until(lambda: subscriber.seqs() == passed)
        assert list(plant.spool.rows) == [refused]
        assert plant.count("tidegate_messages_refused_total", "Not authorized (0x87)") == 1


async def test_a_refused_status_topic_is_shown(tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite #\ntopic deny tidegate/gw/status\n")
    extra = [f"acl_file {rules}", ENDS_NO_CONNECTION]
    async with Broker(folder=tmp_path / "broker", kind="mosquitto", extra_config=extra) as broker:
        plant = Plant(settings(broker.port))
        async with plant.connected():
            assert plant.uplink.status["status_topic"] == "tidegate/gw/status: Not authorized (0x87)"


async def test_the_brokers_own_limits_are_kept(tmp_path: Path) -> None:
    extra = ["max_inflight_messages 3", "max_packet_size 2000"]
    async with Broker(folder=tmp_path / "broker", kind="mosquitto", extra_config=extra) as broker:
        plant = Plant(settings(broker.port, window=500))
        point = plant.points.intern("s/a/l/press/recipe", device="press")
        async with subscribed(broker.port) as subscriber, plant.connected() as run:
            assert plant.uplink.status["window"] == 3
            huge = Batch.of([Reading(0, "x" * 5_000, point, kind=Kind.STR)])
            seq = plant.spool.append("press", huge)
            plant.uplink.offer(seq, "press", huge)
            seqs = [plant.emit(*map(float, range(100))) for _ in range(20)]
            await until(lambda: plant.spool.acked == seqs)
            assert not run.done(), "the broker ended the connection"
            assert plant.uplink.status["too_large_rows"] == 1
            assert list(plant.spool.rows) == [seq]
            await until(lambda: set(subscriber.seqs()) == set(seqs))
    assert plant.count("tidegate_messages_refused_total", "too large for the broker") == 1


async def test_with_the_real_spool(broker: Broker, tmp_path: Path) -> None:
    metrics = Metrics()

    sent: set[int] = set()

    async def append(spool: Spool, uplink: Uplink | None, value: float) -> int:
        point = spool.points.intern("s/a/l/press/temperature", device="press", kind=Kind.F64)
        batch = Batch.of([Reading(1_700_000_000_000_000_000, value, point)])
        seq = await spool.append("press", batch)
        if uplink is not None:
            uplink.offer(seq, "press", batch)
        sent.add(seq)
        return seq

    spool = await Spool.open(tmp_path / "spool.db", settings=DatabaseSettings(), metrics=metrics)
    committing = asyncio.create_task(spool.run())
    try:
        for i in range(30):
            await append(spool, None, float(i))
        uplink = Uplink(
            settings(broker.port),
            OfflineSettings(),
            gateway_id="gw",
            spool=spool,
            points=spool.points,
            metrics=metrics,
        )
        async with subscribed(broker.port) as subscriber:
            for _ in range(2):
                run = asyncio.create_task(uplink.run())
                await until(lambda: uplink.status["state"] == "connected")
                await asyncio.gather(*(append(spool, uplink, 100.0 + i) for i in range(30)))
                await until(lambda: set(subscriber.seqs()) == sent)
                await until(lambda: uplink.status["in_flight"] == 0)
                run.cancel()
                await asyncio.gather(run, return_exceptions=True)
                last = [await append(spool, uplink, 200.0 + i) for i in range(30)]
        assert len(subscriber.data()) == 30 + 30 + 30 + 30, "each row once"
        await spool.flush()
        left = await spool.pending(after=0, limit_readings=1_000)
        assert [row.seq for row in left] == last
    finally:
        committing.cancel()
        await asyncio.gather(committing, return_exceptions=True)
        await spool.close()
