"""A device that works: pymodbus's own server, read over loopback."""

import asyncio
import struct
from itertools import count

import pytest

from adapters.modbus.settings import ModbusTag
from gateway.batch import GOOD, Flag, Kind
from gateway.errors import SourceLost
from gateway.gap import Gap
from tests.adapters.modbus.rig import Exchange, Site, device, gateway, numbered, plc, settings, words
from tests.waiting import until


async def test_every_table_and_type() -> None:
    raw = struct.pack(">hHiIqQfd", -2, 65_535, -3, 4_000_000_000, -(2**63), 2**64 - 1, 1.5, -2.25)
    swapped = struct.pack("<f", 1.5)
    text = "Pumpe 7 é".encode().ljust(12, b"\0")
    holding = words(raw) + words(swapped) + words(text) + [0b1000_0000_0000_0001]
    tags = [
        ModbusTag(name="i16", address=0, type="int16"),
        ModbusTag(name="u16", address=1),
        ModbusTag(name="i32", address="40003", type="int32"),
        ModbusTag(name="u32", address="0x4", type="uint32"),
        ModbusTag(name="i64", address=6, type="int64"),
        ModbusTag(name="u64", address=10, type="uint64"),
        ModbusTag(name="f32", address=14, type="float32"),
        ModbusTag(name="f64", address="400017", type="float64"),
        ModbusTag(name="f32-dcba", address=20, type="float32", byte_order="DCBA"),
        ModbusTag(name="text", address=22, type="string", length=12),
        ModbusTag(name="bit15", address=28, bit=15),
        ModbusTag(name="bit14", address=28, bit=14),
        ModbusTag(name="scaled", address=0, type="int16", scale=0.5, offset=10),
        ModbusTag(name="input", address="30101"),
        ModbusTag(name="coil0", address="00001"),
        ModbusTag(name="coil9", address=9, register="coil"),
        ModbusTag(name="discrete", address="10003"),
    ]
    source = device(
        holding={0: holding},
        input_={100: [777]},
        coils=[i == 9 for i in range(16)],
        discrete=[i == 2 for i in range(16)],
    )
    async with plc(source) as server:
        site = Site(settings(server.port, tags))
        async with site.running():
            await until(lambda: site.inbox.batches)
    (first, *_) = site.inbox.batches
    readings = sorted(first.check(), key=lambda reading: reading.point)
    assert [reading.value for reading in readings] == [
        *(-2, 65_535, -3, 4_000_000_000, -(2**63), 2**64 - 1, 1.5, -2.25, 1.5, "Pumpe 7 é"),
        *(True, False, 9.0, 777, False, True, True),
    ]
    assert [reading.kind for reading in readings] == [
        *(Kind.I64, Kind.U64, Kind.I64, Kind.U64, Kind.I64, Kind.U64, Kind.F64, Kind.F64, Kind.F64, Kind.STR),
        *(Kind.BOOL, Kind.BOOL, Kind.F64, Kind.U64, Kind.BOOL, Kind.BOOL, Kind.BOOL),
    ]
    assert {(reading.status, reading.flags) for reading in readings} == {(GOOD, Flag.GATEWAY_TIME)}
    assert site.live == [True, False]


async def test_a_cycle_is_one_batch_and_few_requests() -> None:
    async with plc(device(holding={0: list(range(300))})) as server:
        site = Site(settings(server.port, [*numbered(300)]))
        async with site.running():
            await until(lambda: len(site.inbox.batches) >= 3)
    assert server.requests[:6] == [(1, 3, 0, 125), (1, 3, 125, 125), (1, 3, 250, 50)] * 2
    for batch in site.inbox.batches:
        assert batch.values() == list(range(300))
        assert batch.points() == list(range(1, 301))
    assert site.fact("requests") == 3
    assert site.fact("registers") == 300
    assert site.fact("bad_tags") == 0


@pytest.mark.parametrize("hangs_up", [False, True])
async def test_a_device_that_needs_a_pause_gets_it_between_requests_and_after_connecting(hangs_up: bool) -> None:
    pause_s = 0.05
    clock = asyncio.get_running_loop().time
    rests_s: list[float] = []
    since_s = clock()

    async def script(exchange: Exchange) -> None:
        nonlocal since_s
        rests_s.append(clock() - since_s)
        await exchange.forward()
        since_s = clock()
        if hangs_up:
            exchange.hang_up()

    async with plc(device(holding={0: [1], 50: [2]})) as server, gateway(server.port, script) as port:
        tags = [ModbusTag(name="a", address=0), ModbusTag(name="b", address=50)]
        site = Site(settings(port, tags, max_gap=0, interval_s=0.01, pause_ms=1000 * pause_s))
        since_s = clock()
        async with site.running():
            await until(lambda: len(site.inbox.batches) >= 3)
        assert len(rests_s) >= 6
        assert min(rests_s) >= 0.9 * pause_s


async def test_a_gap_is_read_along() -> None:
    async with plc(device(holding={0: list(range(100))})) as server:
        site = Site(settings(server.port, [ModbusTag(name="a", address=2), ModbusTag(name="b", address=18)]))
        async with site.running():
            await until(lambda: site.inbox.batches)
    assert set(server.requests) == {(1, 3, 2, 17)}
    assert site.inbox.batches[0].values() == [2, 18]


async def test_times_are_those_of_each_answer() -> None:
    async with plc(device(holding={0: list(range(300))})) as server:
        site = Site(settings(server.port, [*numbered(300)]), now_ns=count(1).__next__)
        async with site.running():
            await until(lambda: site.inbox.batches)
    times = site.inbox.batches[0].ts_ns()
    assert times == [1] * 125 + [2] * 125 + [3] * 50


async def test_several_units_on_one_connection() -> None:
    async with plc(device(1, holding={0: [11]}), device(2, holding={0: [22]})) as server:
        tags = [ModbusTag(name="a", address=0), ModbusTag(name="b", address=0, unit_id=2)]
        site = Site(settings(server.port, tags))
        async with site.running():
            await until(lambda: len(site.inbox.batches) >= 3)
            assert server.connections == 1
    assert {batch.values()[0] for batch in site.inbox.batches} == {11}
    assert {batch.values()[1] for batch in site.inbox.batches} == {22}


async def test_an_emit_that_waits_holds_the_polls_and_they_are_counted_not_made_up_for() -> None:
    interval_s = 0.01
    clock = asyncio.get_running_loop().time
    async with plc(device(holding={0: [1]})) as server:
        site = Site(settings(server.port, [*numbered(1)], interval_s=interval_s))
        site.inbox.open.clear()
        started_s = clock()
        async with site.running():
            await until(lambda: site.inbox.batches)
            await asyncio.sleep(0.2)
            assert len(server.requests) == len(site.inbox.batches) == 1
            assert site.errors("overrun") == 0
            site.inbox.open.set()
            await until(lambda: site.errors("overrun") >= 15)
            await until(lambda: len(site.inbox.batches) >= 10)
            # Each slot was polled or missed; slots caught up in a burst would be both.
            slots = (clock() - started_s) / interval_s + 1
            assert len(site.inbox.batches) + site.errors("overrun") <= slots


async def test_an_absent_device_is_lost_and_its_tags_are_bad_once() -> None:
    async with plc(device()) as server:
        port = server.port
    site = Site(settings(port, [*numbered(3)]))
    for _ in range(3):
        with pytest.raises(
            SourceLost, match=rf"^no Modbus connection to 127\.0\.0\.1:{port}: nothing listens there\. Check"
        ):
            await site.run()
    assert [(reading.point, reading.status) for batch in site.inbox.batches for reading in batch] == [
        (1, 0x8005),
        (2, 0x8005),
        (3, 0x8005),
    ]
    assert site.errors("unreachable") == 3
    assert site.live == []


@pytest.mark.parametrize("host", ["a" * 70, "nul\0byte"])
async def test_a_host_that_is_no_name_is_lost_with_a_reason(host: str) -> None:
    site = Site(settings(502, [*numbered(1)], host=host))
    with pytest.raises(SourceLost, match="is no host name"):
        await site.run()
    assert len(site.inbox.of(1)) == 1


async def test_a_device_that_stops_is_lost_and_found_again_by_the_next_run() -> None:
    async with plc(device(holding={0: [5]})) as server:
        site = Site(settings(server.port, [*numbered(1)]))
        run = asyncio.create_task(site.run())
        await until(lambda: len(site.inbox.batches) >= 2)
    # It may go between two requests, or in the middle of one.
    with pytest.raises(SourceLost, match=r"no Modbus connection|it closes the connection when asked"):
        await run
    assert site.live == [True, False]
    assert site.inbox.of(1)[-1].value is None
    assert [reading.value for reading in site.inbox.of(1)].count(None) == 1

    async with plc(device(holding={0: [6]})) as again:
        site.adapter._settings = settings(again.port, [*numbered(1)])
        async with site.running():
            await until(lambda: site.inbox.of(1)[-1].value == 6)
    assert site.live == [True, False, True, False]
    last_ns = [reading.ts_ns for reading in site.inbox.of(1) if reading.value == 5][-1]
    back_ns = next(reading.ts_ns for reading in site.inbox.of(1) if reading.value == 6)
    assert site.gaps.all == [Gap("plc", "unreachable", last_ns, back_ns, None)]


@pytest.mark.parametrize("turns", range(0, 40, 1))
async def test_cancelling_at_any_moment_leaves_nothing(turns: int) -> None:
    async with plc(device(holding={0: list(range(300))})) as server:
        site = Site(settings(server.port, [*numbered(300)]))
        before = asyncio.all_tasks()
        run = asyncio.create_task(site.run())
        for _ in range(turns):
            await asyncio.sleep(0)
        run.cancel()
        async with asyncio.timeout(10):
            with pytest.raises(asyncio.CancelledError):
                await run
        asked = len(server.requests)
        await until(lambda: not server.connections and asyncio.all_tasks() == before)
        assert len(server.requests) - asked <= 1
        assert site.live in ([], [True, False])
