"""A carried file reaches a real broker as the gateway's own messages would: once, to its end, also after a cut."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.batch import Batch, Kind, Reading
from gateway.config.models import UplinkSettings
from gateway.demo.broker import Broker
from gateway.errors import UplinkError
from gateway.spool.carry.contents import Kinds, Summary, pack_block, pack_points, pack_row, to_json
from gateway.spool.carry.reader import CarryReader
from gateway.spool.rows import Row
from gateway.uplink.forward import Forwarded, Progress, forward, plan
from gateway.uplink.forward.progress import Ranges
from tests.gateway.spool.carry.forge import HEADER, POINTS, a_batch, block, forged, row, sections, write
from tests.gateway.uplink.support import Plant, Wire, subscribed
from tests.gateway.uplink.test_traffic import ENDS_NO_CONNECTION
from tests.waiting import until


def settings(port: int, **more) -> UplinkSettings:
    return UplinkSettings(host="127.0.0.1", port=port, **more)


def many(tmp_path: Path, batches: int, *, device: str = "plc") -> Path:
    """A file of so many batches, in blocks of fifty."""
    blocks = [
        (Kinds.BLOCK, b"".join(pack_block(block(range(first, first + 50), a_batch(1.0, float(first)), device))))
        for first in range(1, batches, 50)
    ]
    end = Summary(batches=batches, readings=batches * 3, first=1, last=batches, points=2)
    parts = [
        (Kinds.HEADER, to_json(HEADER)),
        *blocks,
        (Kinds.POINTS, pack_points(POINTS)),
        (Kinds.SUMMARY, to_json(end)),
    ]
    return write(tmp_path / "many.tide", forged(parts))


def progress(path: Path, carried: CarryReader, broker: str = "b:1883", **more) -> Progress:
    return Progress(path.with_name("progress"), file=carried.seal.digest, broker=broker, clock=time.monotonic, **more)


async def send(path: Path, port: int, **more) -> Forwarded:
    with CarryReader(path) as carried:
        noted = progress(path, carried, **more)
        return await forward(carried, settings(port), progress=noted, rate=1e6)


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
async def test_messages_are_those_of_the_gateway(broker: Broker, tmp_path: Path, protocol) -> None:
    """The same batch, sent by an uplink from its backlog, gives the very same topic and payload."""
    path = write(tmp_path / "a.tide", forged(sections()))
    plant = Plant(settings(broker.port, protocol=protocol))
    point = plant.points.intern("a/b/c/plc/level", device="plc", unit="mm", kind=Kind.F64)
    name = plant.points.intern("a/b/c/plc/name", device="plc")
    assert (point, name) == (1, 2)
    async with subscribed(broker.port) as watcher:
        with CarryReader(path) as carried:
            done = await forward(
                carried, settings(broker.port, protocol=protocol), progress=progress(path, carried), rate=1e6
            )
        await until(lambda: len(watcher.messages) == 4)
        carried_messages = watcher.messages[:]
        assert watcher.states() == [], "whoever forwards is not the gateway, and says nothing of its state"
        plant.spool._last = 9
        for seq in (10, 11, 13, 20):
            plant.spool._last = seq - 1
            plant.spool.append("plc", a_batch(3.0, 4.0) if seq == 20 else a_batch(1.0, 2.5))
        async with plant.connected():
            await until(lambda: len(watcher.data()) == 8)
        assert [(one.topic, one.payload) for one in watcher.data()[4:]] == [
            (one.topic, one.payload) for one in carried_messages
        ]
    assert done == Forwarded(batches=4, readings=12)
    assert all(message.payload["replayed"] is True for message in carried_messages)
    assert [message.payload["seq"] for message in carried_messages] == [10, 11, 13, 20]


async def test_a_second_run_sends_nothing_unless_it_is_asked_to(broker: Broker, tmp_path: Path) -> None:
    path = write(tmp_path / "a.tide", forged(sections()))
    async with subscribed(broker.port) as watcher:
        assert (await send(path, broker.port)).batches == 4
        assert await send(path, broker.port) == Forwarded(skipped=4)
        with CarryReader(path) as carried:
            assert plan(carried, progress(path, carried).delivered) == {}
            assert plan(carried, progress(path, carried, "another:1883").delivered)["tidegate/gw/data/plc"].batches == 4
        assert (await send(path, broker.port, again=True)).batches == 4
        await until(lambda: len(watcher.messages) == 8)


@pytest.mark.parametrize("for_good", [False, True], ids=["a moment", "for good"])
async def test_a_run_that_is_cut_off_goes_on_where_it_was(broker: Broker, tmp_path: Path, for_good) -> None:
    """By itself where the line is back at once; else with the next run."""
    path = many(tmp_path, 1_500)
    async with subscribed(broker.port) as watcher, Wire(broker.port) as wire:
        cut = False
        noted: Progress | None = None

        def clock() -> float:
            nonlocal cut
            if not cut and noted is not None and sum(last - first + 1 for first, last in noted.delivered.pairs()) > 300:
                cut = True
                if for_good:
                    wire.close()
                wire.cut()
            return time.monotonic()

        with CarryReader(path) as carried:
            noted = progress(path, carried)
            run = forward(carried, settings(wire.port), progress=noted, rate=1e6, clock=clock)
            if for_good:
                with pytest.raises(UplinkError, match=rf"MQTT broker 127\.0\.0\.1:{wire.port}: "):
                    await run
            else:
                assert await run == Forwarded(batches=1_500, readings=4_500)
        assert cut
        if for_good:
            done = await send(path, broker.port)
            assert 300 - 16 < done.skipped < 1_500
            assert done.batches == 1_500 - done.skipped
        await until(lambda: {message.payload["seq"] for message in watcher.messages} == {*range(1, 1_501)})
        # What was under way when the line was cut, and nothing else, is sent twice.
        assert len(watcher.messages) <= 1_500 + 16
        assert await send(path, broker.port) == Forwarded(skipped=1_500)


async def test_a_lost_connection_waits_for_what_is_being_read(broker: Broker, tmp_path: Path) -> None:
    """The next connection begins to read the same open file anew."""
    asked, goes_on = threading.Event(), threading.Event()

    class Slow(CarryReader):
        def rows(self) -> Iterator[Row]:
            asked.set()
            goes_on.wait()
            yield from super().rows()

    path = many(tmp_path, 100)
    async with Wire(broker.port) as wire:
        with Slow(path) as carried:
            run = asyncio.create_task(forward(carried, settings(wire.port), progress=progress(path, carried), rate=1e6))
            try:
                await until(asked.is_set)
                (send_task,) = (task for task in asyncio.all_tasks() if task.get_name() == "forward send")
                wire.cut()
                await until(send_task.cancelling)
                for _ in range(10):
                    await asyncio.sleep(0)
                assert not send_task.done()
            finally:
                goes_on.set()
            assert await run == Forwarded(batches=100, readings=300)


async def test_a_large_batch_is_cut_where_the_gateway_cuts_it(broker: Broker, tmp_path: Path) -> None:
    batch = Batch.of([Reading(1_700_000_000_000_000_000 + n, float(n), 1) for n in range(200)])
    end = Summary(batches=1, readings=200, first=7, last=7, points=2)
    path = write(
        tmp_path / "a.tide",
        forged(
            [
                (Kinds.HEADER, to_json(HEADER)),
                (Kinds.ROW, b"".join(pack_row(row(7, batch)))),
                (Kinds.POINTS, pack_points(POINTS)),
                (Kinds.SUMMARY, to_json(end)),
            ]
        ),
    )
    async with subscribed(broker.port) as watcher:
        assert (await send(path, broker.port)).batches == 1
        await until(lambda: sum(len(message.values) for message in watcher.messages) == 200)
        assert [message.payload["part"] for message in watcher.messages] == [*range(len(watcher.messages))]
        assert len(watcher.messages) > 5


@pytest.mark.parametrize("ends_with_it", [False, True], ids=["the connection stays", "the connection is ended"])
async def test_what_the_broker_refuses_is_told_and_the_rest_is_sent(tmp_path: Path, ends_with_it) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite #\ntopic deny tidegate/gw/data/oven\n")
    extra = [f"acl_file {rules}", "max_queued_messages 0" if ends_with_it else ENDS_NO_CONNECTION]
    parts = sections()
    parts[1] = (Kinds.BLOCK, b"".join(pack_block(block((10, 11, 13), a_batch(1.0, 2.5), "oven"))))
    path = write(tmp_path / "a.tide", forged(parts))
    kept = Broker(folder=tmp_path / "broker", kind="mosquitto", extra_config=extra)
    async with kept as broker, subscribed(broker.port) as watcher:
        done = await send(path, broker.port)
        await until(lambda: watcher.seqs() == [20])
        assert done == Forwarded(batches=1, readings=3, refused={"oven": "Not authorized (0x87)"}, refused_readings=9)
        rules.write_text("topic readwrite #\n")
        os.kill(broker.pid, signal.SIGHUP)
        batches = 0
        while not batches:  # until the broker has read its rules anew
            done = await send(path, broker.port)
            batches = done.batches
        assert done == Forwarded(batches=3, readings=9, skipped=1)
        await until(lambda: watcher.seqs() == [20, 10, 11, 13])


async def test_a_broker_that_is_not_there_is_said_and_nothing_is_noted(tmp_path: Path, broker: Broker) -> None:
    path = write(tmp_path / "a.tide", forged(sections()))
    await broker.stop()
    with pytest.raises(UplinkError, match="nothing listens there"):
        await send(path, broker.port)
    await broker.start()
    assert (await send(path, broker.port)).batches == 4


def test_progress_that_cannot_be_kept_or_is_not_of_this_file_is_said(tmp_path: Path) -> None:
    def noted(path: Path, file: bytes = b"\1") -> Progress:
        return Progress(path, file=file, broker="b:1", clock=time.monotonic)

    path = tmp_path / "progress"
    first = noted(path)
    first.add(1, 10)
    first.save()
    assert noted(path).delivered.pairs() == [(1, 10)]
    with pytest.raises(UplinkError, match="is about another file"):
        noted(path, b"\2")
    for content in (b"", b"[]", b'{"file":"01","brokers":{"b:1":[[-1,2]]}}', b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(UplinkError, match=r"it is damaged\. Delete it"):
            noted(path)
    with pytest.raises(UplinkError, match="give --progress a file elsewhere"):
        noted(tmp_path / "nowhere" / "progress").save()
    with pytest.raises(UplinkError, match="cannot be read"):
        noted(tmp_path)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), max_size=30))
def test_ranges_hold_what_was_put_into_them(spans):
    ranges, numbers = Ranges(), set()
    for first, more in spans:
        ranges.add(first, first + more)
        numbers.update(range(first, first + more + 1))
    copy = ranges.copy()
    ranges.add(1_000, 1_000)
    assert [number in copy for number in range(-1, 80)] == [number in numbers for number in range(-1, 80)]
    pairs = copy.pairs()
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(pairs))
