"""Scan classes, many units of which some are dead, and what status tells of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

from adapters.modbus.items import resolve
from adapters.modbus.planner import plan_requests
from adapters.modbus.settings import ModbusTag
from gateway.errors import SourceLost
from tests.adapters.modbus.rig import Exchange, Site, device, gateway, numbered, plc, settings
from tests.waiting import until


def test_requests_are_grouped_by_interval() -> None:
    tags = [*numbered(4), ModbusTag(name="slow", address=1, interval_s=10), ModbusTag(name="slow2", address=9)]
    what = settings(502, tags, interval_s=1.0)
    requests = plan_requests(resolve(what), max_registers=125, max_gap=16)
    assert [(request.interval_s, request.address, request.count) for request in requests] == [(1.0, 0, 10), (10, 1, 1)]


async def test_a_slow_class_that_takes_long_does_not_hold_up_a_fast_one() -> None:
    order: list[int] = []

    async def script(exchange: Exchange) -> None:
        order.append(exchange.address)
        if exchange.address >= 1000:
            await asyncio.sleep(0.02)
        await exchange.forward()

    tags = [
        ModbusTag(name="fast", address=0),
        *(ModbusTag(name=f"s{i}", address=1000 + 100 * i, interval_s=0.5) for i in range(20)),
    ]
    holding = {0: [1], **{1000 + 100 * i: [i] for i in range(20)}}
    async with plc(device(holding=holding)) as server, gateway(server.port, script) as port:
        site = Site(settings(port, tags, interval_s=0.03, max_gap=0))
        async with site.running():
            await until(lambda: len(site.inbox.of(2)) >= 3)
            classes = site.fact("classes")
    slow = [place for place, address in enumerate(order) if address >= 1000][:20]
    # The twenty requests of one slow cycle take 0.4 s; the fast one came between them again and again.
    assert sum(1 for address in order[slow[0] : slow[-1]] if address == 0) >= 5
    assert [(one["every_s"], one["requests"], one["tags"]) for one in classes] == [(0.03, 1, 1), (0.5, 20, 20)]
    # Twenty answers of 20 ms each; the prediction, for a device that answers as usual, stands beside it.
    assert classes[1]["cycle_ms"] > 300
    assert classes[1]["predicted_ms"] == pytest.approx(20 * 5.2)
    # All tags of a cycle are one batch.
    assert all(len(batch) in (1, 20) for batch in site.inbox.batches)


async def test_overruns_are_counted_by_class() -> None:
    async def script(exchange: Exchange) -> None:
        await asyncio.sleep(0.05)
        await exchange.forward()

    tags = [ModbusTag(name="fast", address=0), ModbusTag(name="slow", address=0, interval_s=5)]
    async with plc(device(holding={0: [1]})) as server, gateway(server.port, script) as port:
        site = Site(settings(port, tags, interval_s=0.02))
        async with site.running():
            await until(lambda: site.errors("overrun") >= 6)
            classes = site.fact("classes")
            assert classes[0]["overruns"] >= 6
            assert classes[1]["overruns"] == 0


async def test_a_tenth_of_the_units_is_dead_and_the_others_keep_their_interval() -> None:
    """telegraf#9550, node-red-contrib-modbus#446: one dead slave stops the rest. Here 20 of 200 are dead."""
    dead = set(range(10, 210, 10))
    asked: Counter[int] = Counter()

    async def script(exchange: Exchange) -> None:
        asked[exchange.unit_id] += 1
        if exchange.unit_id not in dead:
            await exchange.forward()

    units = range(1, 201)
    tags = [ModbusTag(name=f"u{i}", address=0, unit_id=i) for i in units]
    async with (
        plc(*(device(i, holding={0: [i]}) for i in units if i not in dead)) as server,
        gateway(server.port, script) as port,
    ):
        site = Site(settings(port, tags, interval_s=0.8, timeout_s=0.3))
        async with site.running():
            await until(lambda: len(dead & set(asked)) == 20 and all(site.inbox.of(i) for i in units), within_s=60)
            begun = {i: len(site.inbox.of(i)) for i in units}
            probes, overruns = site.errors("timeout"), site.errors("overrun")
            await until(lambda: len(site.inbox.of(1)) >= begun[1] + 3, within_s=60)
            await until(lambda: len(site.inbox.of(199)) - begun[199] >= len(site.inbox.of(1)) - begun[1])
            assert site.errors("timeout") > probes  # the dead were asked meanwhile
            # One may be the machine's own; to wait for the dead would have cost three cycles of them.
            assert site.errors("overrun") - overruns <= 1
        gained = {len(site.inbox.of(i)) - begun[i] for i in units if i not in dead}
    assert max(gained) - min(gained) <= 1
    assert all(reading.value == i for i in units if i not in dead for reading in site.inbox.of(i))
    assert {tuple(reading.value for reading in site.inbox.of(i)) for i in dead} == {(None,)}


async def test_every_tag_has_the_age_of_its_last_good_reading() -> None:
    failing: set[int] = set()

    async def script(exchange: Exchange) -> None:
        if exchange.unit_id not in failing:
            await exchange.forward()

    nan = [0x7FC0, 0]
    tags = [
        ModbusTag(name="a", address=0),
        ModbusTag(name="b", address=0, unit_id=2),
        ModbusTag(name="nan", address=1, type="float32"),
        ModbusTag(name="beside", address=3),
        ModbusTag(name="absent", address=900),
    ]
    units = (device(1, holding={0: [11, *nan, 7]}), device(2, holding={0: [22]}))
    async with plc(*units) as server, gateway(server.port, script) as port:
        site = Site(settings(port, tags, interval_s=0.3, timeout_s=0.25))

        def ages() -> dict[str, Any]:
            told: dict[str, Any] = site.fact("tag_age_s")
            return told

        async with site.running():
            await until(lambda: len(site.inbox.of(1)) >= 3)
            assert ages()["nan"] is None
            assert ages()["absent"] is None
            failing.add(2)
            await until(lambda: ages()["b"] > 1 and all(ages()[name] < 0.9 for name in ("a", "beside")))
            assert [*ages()][:3] in (["nan", "absent", "b"], ["absent", "nan", "b"])
        # It outlives the connection.
        seen = len(site.inbox.batches)
        async with site.running():
            await until(lambda: len(site.inbox.batches) > seen)
            assert ages()["b"] > 1


async def test_polling_never_stops_silently() -> None:
    """thingsboard-gateway#2132: whatever the device does, it is polled again, and nobody has to restart anything."""
    moods = ["mute", "hang up", "half a frame", "noise", "wrong transaction", "exception", "slow"]
    left = iter(moods)
    answered = 0
    done: list[str] = []

    async def script(exchange: Exchange) -> None:
        nonlocal answered
        if exchange.unit_id == 2 or answered < 3:  # in between it works, for a probe and a whole cycle
            answered += exchange.unit_id == 1
            await exchange.forward()
            return
        answered = 0
        mood = next(left, "good")
        match mood:
            case "hang up":
                exchange.hang_up()
            case "half a frame":
                exchange.reply((await exchange.ask())[:5])
            case "noise":
                exchange.reply(bytes(range(200, 256)) * 3)
            case "wrong transaction":
                exchange.reply(b"\xff\xff" + (await exchange.ask())[2:])
            case "exception":
                exchange.refuse(11)
            case "slow":
                await asyncio.sleep(0.4)
                await exchange.forward()
            case "good":
                await exchange.forward()
        done.append(mood)

    async def supervised(site: Site) -> None:
        while True:
            with suppress(SourceLost):
                await site.run()

    units = (device(1, holding={0: [11]}), device(2, holding={0: [22]}))
    tags = [ModbusTag(name="a", address=0), ModbusTag(name="b", address=0, unit_id=2)]
    async with plc(*units) as server, gateway(server.port, script) as port:
        site = Site(settings(port, tags, interval_s=0.1, timeout_s=0.25))
        run = asyncio.create_task(supervised(site))
        try:
            await until(lambda: done[: len(moods)] == moods and site.inbox.of(1)[-1].value == 11, within_s=60)
            seen = [len(site.inbox.of(point)) for point in (1, 2)]
            await until(lambda: all(len(site.inbox.of(i)) >= n + 5 for i, n in zip((1, 2), seen, strict=True)))
        finally:
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
    assert {reading.value for reading in site.inbox.of(1)} == {11, None}


async def test_a_bad_status_never_comes_with_the_last_good_value() -> None:
    """telegraf#10849: the last good value with a bad status."""
    failing = False

    async def script(exchange: Exchange) -> None:
        if failing:
            exchange.refuse(4)
        else:
            await exchange.forward()

    async with plc(device(holding={0: [4711]})) as server, gateway(server.port, script) as port:
        site = Site(settings(port, [*numbered(1)]))
        async with site.running():
            await until(lambda: site.inbox.of(1))
            failing = True
            await until(lambda: site.inbox.of(1)[-1].status != 0)
            seen = len(site.inbox.batches)
            await until(lambda: site.errors("device_failure") >= 4)
            assert len(site.inbox.batches) == seen  # the same news is not told again
    assert {(reading.value, reading.status) for reading in site.inbox.of(1)} == {(4711, 0), (None, 0x808B)}


async def test_devices_of_one_gateway_may_share_its_connection() -> None:
    units = (device(1, holding={0: [11]}), device(2, holding={0: [22]}))
    async with plc(*units) as server:
        sites = [
            Site(settings(server.port, [*numbered(1)], name=f"m{i}", unit_id=i, share_connection=True)) for i in (1, 2)
        ]
        async with sites[0].running():
            async with sites[1].running():
                await until(lambda: all(len(site.inbox.batches) >= 5 for site in sites))
                assert server.connections == 1
                assert (await sites[1].adapter.write("t0", 23)).value == 23
            seen = len(sites[0].inbox.batches)
            await until(lambda: len(sites[0].inbox.batches) >= seen + 3)
        await until(lambda: not server.connections)
    assert {reading.value for reading in sites[0].inbox.of(1)} == {11}
