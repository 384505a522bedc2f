"""Frames that no honest device sends: nothing of them reaches the event loop, and so no traceback reaches a log."""

import asyncio
import logging
from typing import Any

import pytest

from adapters.modbus.endpoint import Endpoint
from adapters.modbus.errors import Unreachable
from adapters.modbus.settings import ModbusTag
from adapters.modbus.transport import Link
from tests.adapters.modbus.rig import LOOPBACK, Exchange, Site, device, gateway, plc, settings
from tests.waiting import until


def frame(exchange: Exchange, *pdu: int, length: int | None = None, protocol: int = 0) -> bytes:
    length = len(pdu) + 1 if length is None else length
    head = exchange.request[:2] + protocol.to_bytes(2, "big") + length.to_bytes(2, "big")
    return head + bytes([exchange.unit_id, *pdu])


HOSTILE = {
    "unknown function": lambda e: frame(e, 0x63, 1, 1),
    "function nobody asked for": lambda e: frame(e, 0x2B, 0x0E, 1, 1, 0xFF, 0, 0xFF, 1, 200),
    "file record that never ends": lambda e: frame(e, 0x14, 200, 0, 6, 0, 6, 0, 6),
    "diagnosis without a body": lambda e: frame(e, 8),
    "exception without a code": lambda e: frame(e, 0x83),
    "exception of nothing": lambda e: frame(e, 0x80, 1),
    "function 0": lambda e: frame(e, 0, 0, 0),
    "no register at all": lambda e: frame(e, 3),
    "count beyond the frame": lambda e: frame(e, 3, 250, 0, 1),
    "half a register": lambda e: frame(e, 3, 3, 0, 1, 0),
    "another protocol": lambda e: frame(e, 3, 2, 0, 1, protocol=7),
    "length of nothing": lambda e: frame(e, 3, 2, 0, 1, length=0),
    "length beyond all frames": lambda e: frame(e, 3, 2, 0, 1, length=0xFFFF),
    "noise": lambda e: bytes(range(256)) * 4,
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("answered", [False, True], ids=["instead", "after"])
async def test_a_hostile_frame_prints_no_traceback_and_ends_nothing_else(
    name: str, answered: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    raised: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: raised.append(context))
    attacks = 0

    async def script(exchange: Exchange) -> None:
        nonlocal attacks
        attack = exchange.unit_id == 2 and attacks < 3
        if not attack or answered:
            await exchange.forward()
        if attack:
            attacks += 1
            await asyncio.sleep(0.01 * answered)
            exchange.reply(HOSTILE[name](exchange))

    units = [device(i, holding={0: [11 * i]}) for i in (1, 2)]
    tags = [ModbusTag(name="a", address=0), ModbusTag(name="b", address=0, unit_id=2)]
    async with plc(*units) as server, gateway(server.port, script) as port:
        site = Site(settings(port, tags, timeout_s=0.1))
        async with site.running():
            await until(lambda: attacks == 3)
            seen = len(site.inbox.batches)
            await until(lambda: site.inbox.last()[2].value == 22 and len(site.inbox.batches) > seen + 2)
    assert {reading.value for reading in site.inbox.of(1)} == {11}
    assert {reading.value for reading in site.inbox.of(2)} <= {22, None}
    assert raised == []
    assert [record for record in caplog.records if record.exc_info or record.name == "asyncio"] == []


@pytest.mark.parametrize("turns", range(12))
async def test_ending_the_link_ends_a_dial_under_way(turns: int) -> None:
    async with plc(device()) as server:
        before = asyncio.all_tasks()
        link = Link(Endpoint("tcp", LOOPBACK, server.port))
        dial = asyncio.create_task(link.dial(timeout_s=60))
        for _ in range(turns):
            await asyncio.sleep(0)
        link.end()
        (outcome,) = await asyncio.gather(dial, return_exceptions=True)
        assert isinstance(outcome, Unreachable) or not outcome.usable
        with pytest.raises(Unreachable, match="stopped reading"):
            await link.dial(timeout_s=60)
        await until(lambda: not server.connections and asyncio.all_tasks() == before)
