"""Looking at a device over a connection of its own."""

import asyncio
import time

import pytest

from adapters.base import Explorer
from adapters.modbus import PROTOCOL
from adapters.modbus.settings import ModbusSettings, ModbusTag
from gateway.batch import GOOD, Kind, Reading
from gateway.errors import SourceLost, TidegateError
from tests.adapters.modbus.rig import Exchange, Site, device, gateway, numbered, plc, settings
from tests.waiting import until


async def look(what: ModbusSettings) -> list[tuple[str, Reading]]:
    assert PROTOCOL.check(what) == []
    assert PROTOCOL.explore is not None
    async with PROTOCOL.explore(what) as explorer:
        found: list[tuple[str, Reading]] = await explorer.read()
    return found


async def test_every_tag_is_read_once_in_the_order_of_the_settings() -> None:
    tags = [
        ModbusTag(name="last", address=40, type="int16", scale=0.5),
        ModbusTag(name="first", address=0),
        ModbusTag(name="coil", address=1, register="coil"),
        ModbusTag(name="text", address=1, type="string", length=4),
        ModbusTag(name="other", address=0, unit_id=2),
    ]
    one = device(1, holding={0: [7, 0x4142, 0x4300], 40: [0xFFFF]}, coils=[False, True] * 8)
    before_ns = time.time_ns()
    async with plc(one, device(2, holding={0: [22]})) as server:
        found = await look(settings(server.port, tags))
        await until(lambda: not server.connections)
        assert server.writes == []
    assert [(tag, reading.value) for tag, reading in found] == [
        ("last", -0.5),
        ("first", 7),
        ("coil", True),
        ("text", "ABC"),
        ("other", 22),
    ]
    assert {reading.status for _, reading in found} == {GOOD}
    assert {reading.point for _, reading in found} == {0}
    assert [reading.kind for _, reading in found] == [Kind.F64, Kind.U64, Kind.BOOL, Kind.STR, Kind.U64]
    assert all(before_ns <= reading.ts_ns <= time.time_ns() for _, reading in found)


async def test_refused_tags_show_why_and_the_others_go_on_however_many_they_are() -> None:
    exists = {address: [address] for address in range(0, 100, 2)}
    tags = [*numbered(100), ModbusTag(name="input", address=5, register="input")]
    async with plc(device(holding=exists)) as server:
        found = await look(settings(server.port, tags))
    assert [reading.value for _, reading in found[:100]] == [i if i % 2 == 0 else None for i in range(100)]
    assert {reading.status for _, reading in found[1:100:2]} == {0x8034}
    assert (found[100][0], found[100][1].status) == ("input", 0x8034)


async def test_it_can_be_read_again_and_while_the_device_is_polled() -> None:
    async with plc(device(holding={0: [1, 2, 3]})) as server:
        what = settings(server.port, [*numbered(3)])
        site = Site(what)
        assert PROTOCOL.explore is not None
        async with site.running():
            await until(lambda: site.live == [True])
            async with PROTOCOL.explore(what) as explorer:
                for _ in range(3):
                    assert [reading.value for _, reading in await explorer.read()] == [1, 2, 3]
                assert server.connections == 2
            await until(lambda: server.connections == 1)
        assert site.live == [True, False]


async def test_a_silent_unit_is_bad_and_the_others_are_read() -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.unit_id == 1:
            await exchange.forward()

    tags = [ModbusTag(name="a", address=0, unit_id=2), ModbusTag(name="b", address=0)]
    async with plc(device(holding={0: [1]})) as server, gateway(server.port, script) as port:
        found = await look(settings(port, tags, timeout_s=0.1))
        assert [(tag, reading.value, reading.status) for tag, reading in found] == [("a", None, 0x8005), ("b", 1, GOOD)]
        with pytest.raises(SourceLost, match=r"takes the connection, but no unit answers \(asked: 2; .*Check unit_id"):
            await look(settings(port, tags[:1], timeout_s=0.1))


async def test_a_unit_that_dies_half_way_is_shown_as_dead() -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.address == 0:
            await exchange.forward()

    tags = [ModbusTag(name="a", address=0), ModbusTag(name="b", address=50), ModbusTag(name="c", address=0, unit_id=2)]
    units = (device(1, holding={0: [1]}), device(2, holding={0: [2]}))
    async with plc(*units) as server, gateway(server.port, script) as port:
        found = await look(settings(port, tags, timeout_s=0.1))
    assert [reading.status for _, reading in found] == [0x8005, 0x8005, GOOD]


async def test_a_device_that_is_not_there() -> None:
    async with plc(device()) as server:
        port = server.port
    with pytest.raises(
        SourceLost, match=rf"^no Modbus connection to 127\.0\.0\.1:{port}: nothing listens there\. Check"
    ):
        await look(settings(port, [*numbered(1)]))
    with pytest.raises(SourceLost, match="is no host name"):
        await look(settings(port, [*numbered(1)], host="a" * 70))


async def test_a_device_that_goes_away_while_it_is_looked_at() -> None:
    async with plc(device(holding={0: [1]})) as server:
        assert PROTOCOL.explore is not None
        async with PROTOCOL.explore(settings(server.port, [*numbered(1)])) as explorer:
            await explorer.read()
            await server.server.shutdown()
            await asyncio.sleep(0.05)
            with pytest.raises(SourceLost, match="no Modbus connection"):
                await explorer.read()


async def test_there_is_no_tree() -> None:
    async with plc(device(holding={0: [1]})) as server:
        assert PROTOCOL.explore is not None
        async with PROTOCOL.explore(settings(server.port, [*numbered(1)])) as explorer:
            looking: Explorer = explorer
            with pytest.raises(TidegateError, match=r"no tree .*register table of the device's manual"):
                await looking.browse(None)
            with pytest.raises(TidegateError, match="register table"):
                await looking.search("press", 10)
        assert server.requests == []


@pytest.mark.parametrize("turns", range(0, 30, 2))
async def test_cancelling_at_any_moment_leaves_nothing(turns: int) -> None:
    async with plc(device(holding={0: [1]})) as server:
        before = asyncio.all_tasks()
        task = asyncio.create_task(look(settings(server.port, [*numbered(1)])))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: not server.connections and asyncio.all_tasks() == before)
