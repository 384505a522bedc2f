"""Writing while the device is polled: what reaches the wire, what never does, and what is said when nobody knows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pymodbus.simulator import DataType, SimData, SimDevice

from adapters.base import Writer
from adapters.modbus import line as line_module
from adapters.modbus.settings import ModbusTag
from gateway.batch import GOOD, Kind, Reading, Value
from gateway.errors import SourceLost, TidegateError
from tests.adapters.modbus.rig import Exchange, Plc, Script, Site, device, gateway, plc, settings
from tests.waiting import until

TAGS = [
    ModbusTag(name="setpoint", address=0),
    ModbusTag(name="level", address=1, type="int16", scale=0.1, offset=-40),
    ModbusTag(name="total", address=2, type="uint32", byte_order="CDAB"),
    ModbusTag(name="ratio", address=4, type="float32"),
    ModbusTag(name="recipe", address=6, type="string", length=5),
    ModbusTag(name="running", address=9, bit=3),
    ModbusTag(name="mode", address=10, type="bool"),
    ModbusTag(name="valve", address=3, register="coil"),
    ModbusTag(name="pressure", address=0, register="input"),
    ModbusTag(name="door", address=0, register="discrete"),
    ModbusTag(name="big", address=100, type="string", length=250),
]


def full() -> SimDevice:
    return device(holding={0: [0] * 9 + [0xFF00, 0], 100: [0] * 125}, input_={0: [7]})


async def write(site: Site, tag: str, value: Value) -> Reading:
    assert isinstance(site.adapter, Writer)
    return await site.adapter.write(tag, value)


@asynccontextmanager
async def polled(*tags: ModbusTag, source: SimDevice | None = None, **changes: Any) -> AsyncIterator[tuple[Site, Plc]]:
    async with plc(source or full()) as server:
        site = Site(settings(server.port, tags or TAGS, **changes))
        async with site.running():
            await until(lambda: site.live == [True])
            yield site, server


@asynccontextmanager
async def behind(script: Script, **changes: Any) -> AsyncIterator[tuple[Site, Plc]]:
    async with plc(full()) as server, gateway(server.port, script) as port:
        site = Site(settings(port, TAGS, **changes))
        async with site.running():
            await until(lambda: site.live == [True])
            yield site, server


def is_write(exchange: Exchange) -> bool:
    return exchange.function > 4


@pytest.mark.parametrize(
    ("tag", "value", "sent", "shown", "kind"),
    [
        ("setpoint", 65_535, (1, 6, 0, (65_535,)), 65_535, Kind.U64),
        ("level", 21.54, (1, 6, 1, (615,)), 21.5, Kind.F64),
        ("level", -40.1, (1, 6, 1, (0xFFFF,)), -40.1, Kind.F64),
        ("total", 0x01020304, (1, 16, 2, (0x0304, 0x0102)), 0x01020304, Kind.U64),
        ("ratio", 1.5, (1, 16, 4, (0x3FC0, 0)), 1.5, Kind.F64),
        ("recipe", "AB é", (1, 16, 6, (0x4142, 0x20C3, 0xA900)), "AB é", Kind.STR),
        ("running", True, (1, 22, 9, (0xFFF7, 0x0008)), True, Kind.BOOL),
        ("mode", True, (1, 6, 10, (1,)), True, Kind.BOOL),
        ("valve", True, (1, 5, 3, (1,)), True, Kind.BOOL),
    ],
)
async def test_a_value_is_written_and_read_back(
    tag: str, value: Value, sent: tuple[int, int, int, tuple[int, ...]], shown: Value, kind: Kind
) -> None:
    point = [known.name for known in TAGS].index(tag) + 1
    async with polled() as (site, server):
        reading = await write(site, tag, value)
        assert server.writes == [sent]
        await until(lambda: site.inbox.last()[point].value == pytest.approx(shown))
    assert reading.value == pytest.approx(shown)
    assert (reading.point, reading.status, reading.kind) == (point, GOOD, kind)
    assert site.live == [True, False]


async def test_a_bit_leaves_the_other_bits_of_its_register_alone() -> None:
    tags = [ModbusTag(name=f"bit{i}", address=9, bit=i) for i in range(16)]
    async with polled(*tags) as (site, server):
        assert (await write(site, "bit3", True)).value is True
        assert (await write(site, "bit15", False)).value is False
        assert [sent[:3] for sent in server.writes] == [(1, 22, 9)] * 2
        expected = {3, 8, 9, 10, 11, 12, 13, 14}
        await until(lambda: {i for i in range(16) if site.inbox.last()[i + 1].value} == expected)


@pytest.mark.parametrize(
    ("tag", "value", "hint"),
    [
        ("setpoint", 65_536, r"plc: 'setpoint' was not written: 65536 does not fit: .* from 0 to 65535"),
        ("setpoint", "5", "does not fit"),
        ("setpoint", None, "does not fit"),
        ("level", 3_237, r"from -3316\.8 to 3236\.7 \(int16 times 0\.1 plus -40\)"),
        ("ratio", 1e39, "does not fit"),
        ("recipe", "abcdef", "takes 5 at most"),
        ("valve", 2, "true or false"),
        ("running", "on", "true or false"),
        ("pressure", 1, "input registers can only be read"),
        ("door", True, "discrete inputs can only be read"),
        ("big", "a", "123 at most"),
    ],
)
async def test_what_does_not_fit_never_reaches_the_wire(tag: str, value: Value, hint: str) -> None:
    async with polled() as (site, server):
        with pytest.raises(TidegateError, match=rf"{hint}.*\. Nothing was sent to the device"):
            await write(site, tag, value)
        seen = len(server.requests)
        await until(lambda: len(server.requests) > seen + 5)
        assert server.writes == []


async def test_a_tag_that_there_is_not() -> None:
    async with polled() as (site, server):
        with pytest.raises(TidegateError, match="plc has no tag 'setpiont'; it has setpoint, level, total"):
            await write(site, "setpiont", 1)
        assert server.writes == []


async def test_without_a_connection_nothing_is_sent() -> None:
    async with plc(full()) as server:
        site = Site(settings(server.port, TAGS))
        with pytest.raises(
            SourceLost, match=r"'setpoint' was not written: 127\.0\.0\.1:\d+ is not connected at present"
        ):
            await write(site, "setpoint", 1)
        async with site.running():
            await until(lambda: site.live == [True])
            assert (await write(site, "setpoint", 1)).value == 1
        with pytest.raises(SourceLost, match="not connected"):
            await write(site, "setpoint", 2)
        assert len(server.writes) == 1


async def test_a_unit_that_does_not_answer_is_not_written_to() -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.unit_id == 1:
            await exchange.forward()

    tags = [ModbusTag(name="a", address=0), ModbusTag(name="b", address=0, unit_id=2)]
    async with plc(full()) as server, gateway(server.port, script) as port:
        site = Site(settings(port, tags, timeout_s=0.1))
        async with site.running():
            await until(lambda: len(site.inbox.of(1)) >= 3)
            with pytest.raises(SourceLost, match=r"unit 2 at .* does not answer at present. Nothing was sent"):
                await write(site, "b", 1)
            assert (await write(site, "a", 5)).value == 5
        assert [sent[0] for sent in server.writes] == [1]


async def test_a_connection_that_was_closed_between_polls_is_dialled_anew() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.forward()
        if not is_write(exchange):
            exchange.hang_up()

    async with plc(full()) as server, gateway(server.port, script) as port:
        site = Site(settings(port, TAGS[:1], interval_s=0.3))
        async with site.running():
            await until(lambda: site.live == [True])
            await until(lambda: not server.connections)
            reading = await write(site, "setpoint", 3)
            assert server.writes == [(1, 6, 0, (3,))]
    assert (reading.value, reading.status) == (3, GOOD)


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (1, r"was not written \(function 6, address 0 of unit 1, .*exception 1 .*does not offer function 6"),
        (2, r"was not written .*exception 2 .*can only be read"),
        (3, r"was not written .*exception 3 .*range it allows"),
        (6, r"was not written .*exception 6 .*Try again later"),
        (10, r"was not written .*exception 10 .*Check unit_id"),
        (4, r"it is unknown whether 'setpoint' was written .*exception 4"),
        (5, r"it is unknown .*exception 5"),
        (11, r"it is unknown .*exception 11"),
        (99, r"it is unknown .*exception 99"),
    ],
)
async def test_a_refusal_says_whether_it_was_written(code: int, hint: str) -> None:
    written = 0

    async def script(exchange: Exchange) -> None:
        nonlocal written
        if is_write(exchange):
            written += 1
            exchange.refuse(code)
        else:
            await exchange.forward()

    async with behind(script) as (site, _):
        with pytest.raises(TidegateError, match=hint):
            await write(site, "setpoint", 1)
        seen = len(site.inbox.batches)
        await until(lambda: len(site.inbox.batches) > seen + 2)
        assert written == 1
    assert site.live == [True, False]


async def test_a_read_only_register_is_refused_by_the_device_itself() -> None:
    locked = SimDevice(
        id=1,
        simdata=(
            [SimData(0, values=[False] * 16, datatype=DataType.BITS)],
            [SimData(0, values=[False] * 16, datatype=DataType.BITS)],
            [SimData(0, values=[7], datatype=DataType.REGISTERS, readonly=True)],
            [SimData(0, values=[7], datatype=DataType.REGISTERS)],
        ),
    )
    async with polled(TAGS[0], source=locked) as (site, _):
        with pytest.raises(TidegateError, match=r"exception 2 .*or it can only be read"):
            await write(site, "setpoint", 1)
        assert site.inbox.last()[1].value == 7


async def test_a_device_without_mask_write_is_not_helped_by_reading_and_writing_back() -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.function == 22:
            exchange.refuse(1)
        else:
            await exchange.forward()

    async with behind(script) as (site, server):
        with pytest.raises(TidegateError, match="cannot write a part of a register, and to read"):
            await write(site, "running", True)
        assert server.writes == []


async def test_where_it_is_asked_for_a_bit_is_written_by_reading_and_writing_back() -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.function in (6, 22):
            exchange.refuse(1)
        else:
            await exchange.forward()

    async with behind(script, bit_writes="read_modify_write", single_writes=False) as (site, server):
        assert (await write(site, "running", True)).value is True
        assert server.writes == [(1, 16, 9, (0xFF08,))]
        # Read, write and read-back are one turn.
        asked = [request[1:] for request in server.requests]
        at = asked.index((16, 9, 1))
        assert asked[at - 1] == asked[at + 1] == (3, 9, 1)


async def test_a_bit_whose_register_cannot_be_read_is_not_written() -> None:
    hidden = False

    async def script(exchange: Exchange) -> None:
        if hidden and exchange.address == 9:
            exchange.refuse(2)
        else:
            await exchange.forward()

    async with behind(script, bit_writes="read_modify_write") as (site, server):
        hidden = True
        with pytest.raises(TidegateError, match=r"could not be read first: exception 2 .*Nothing was written"):
            await write(site, "running", True)
        assert server.writes == []


@pytest.mark.parametrize(
    ("tag", "value", "sent"),
    [
        ("valve", True, (1, 15, 3, (1,))),
        ("setpoint", 7, (1, 16, 0, (7,))),
        ("total", 7, (1, 16, 2, (7, 0))),
        ("running", True, (1, 22, 9, (0xFFF7, 0x0008))),
    ],
)
async def test_a_device_without_single_writes(
    tag: str, value: Value, sent: tuple[int, int, int, tuple[int, ...]]
) -> None:
    async with polled(single_writes=False) as (site, server):
        assert (await write(site, tag, value)).value == value
        assert [(*one[:3], one[3][: len(sent[3])]) for one in server.writes] == [sent]


async def test_decimals_are_written_and_read_back() -> None:
    tags = [
        ModbusTag(name="four", address=0, type="bcd16"),
        ModbusTag(name="eight", address=1, type="bcd32", byte_order="CDAB", scale=0.01),
    ]
    async with polled(*tags) as (site, server):
        assert (await write(site, "four", 1234)).value == 1234
        assert (await write(site, "eight", 123_456.78)).value == pytest.approx(123_456.78)
        assert server.writes == [(1, 6, 0, (0x1234,)), (1, 16, 1, (0x5678, 0x1234))]
        with pytest.raises(TidegateError, match="from 0 to 9999"):
            await write(site, "four", 10_000)


@pytest.mark.parametrize(("changes", "sent"), [({}, (22, 0)), ({"bit_writes": "read_modify_write"}, (6, 0))])
async def test_a_byte_is_written_and_the_other_one_stays(changes: dict[str, Any], sent: tuple[int, int]) -> None:
    tags = [ModbusTag(name="low", address=0, type="int8_low"), ModbusTag(name="high", address=0, type="uint8_high")]
    async with polled(*tags, **changes) as (site, server):
        assert (await write(site, "high", 200)).value == 200
        assert (await write(site, "low", -3)).value == -3
        await until(lambda: site.inbox.last()[2].value == 200 and site.inbox.last()[1].value == -3)
        assert [(function, address) for _, function, address, _ in server.writes] == [sent, sent]
        with pytest.raises(TidegateError, match=r"from -128 to 127 \(int8_low\)"):
            await write(site, "low", 128)


async def silent(exchange: Exchange) -> None:
    """The write is not answered."""


async def done_but_silent(exchange: Exchange) -> None:
    """The write is carried out, and its answer gets lost."""
    await exchange.ask()


async def hangs_up(exchange: Exchange) -> None:
    exchange.hang_up()


async def babbles(exchange: Exchange) -> None:
    exchange.reply(exchange.request[:4] + b"\x00\x04" + bytes([exchange.unit_id, 0x63, 1, 1]))


async def confirms_another_value(exchange: Exchange) -> None:
    exchange.reply(exchange.request[:11] + bytes([exchange.request[11] ^ 1]))


async def answers_as_to_a_read(exchange: Exchange) -> None:
    exchange.reply(exchange.request[:4] + b"\x00\x05" + bytes([exchange.unit_id, 3, 2, 0, 1]))


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (silent, "timeout"),
        (done_but_silent, "timeout"),
        (hangs_up, "connection_broken"),
        (babbles, "undecodable_answer"),
        (confirms_another_value, "malformed_answer"),
        (answers_as_to_a_read, "malformed_answer"),
    ],
)
async def test_without_its_answer_a_write_is_not_repeated_and_said_to_be_unknown(answer: Script, cause: str) -> None:
    attempts = 0

    async def script(exchange: Exchange) -> None:
        nonlocal attempts
        if is_write(exchange):
            attempts += 1
            await answer(exchange)
        else:
            await exchange.forward()

    async with behind(script, timeout_s=0.15) as (site, _):
        with pytest.raises(TidegateError, match=r"it is unknown whether 'setpoint' was written .*sent once and is not"):
            await write(site, "setpoint", 1)
        assert site.errors(cause) == 1
        seen = len(site.inbox.batches)
        await until(lambda: len(site.inbox.batches) > seen + 3)
        assert attempts == 1
    assert site.live == [True, False]


@pytest.mark.parametrize(
    ("fault", "status"), [(lambda exchange: exchange.refuse(2), 0x8034), (lambda _exchange: None, 0x8005)]
)
async def test_a_confirmed_write_that_cannot_be_read_back_is_a_bad_reading(fault: Any, status: int) -> None:
    written = False

    async def script(exchange: Exchange) -> None:
        nonlocal written
        if written:
            fault(exchange)
            return
        written = is_write(exchange)
        await exchange.forward()

    async with behind(script, timeout_s=0.2) as (site, server):
        reading = await write(site, "setpoint", 1)
        assert server.writes == [(1, 6, 0, (1,))]
    assert (reading.point, reading.value, reading.status) == (1, None, status)


async def test_polls_and_writes_take_turns_and_never_overlap() -> None:
    overlaps: list[bytes] = []

    async def script(exchange: Exchange) -> None:
        await asyncio.sleep(0.002)  # time enough for a second request to arrive
        overlaps.append(exchange.early())
        await exchange.forward()

    async with behind(script) as (site, server):
        begin = len(server.requests)

        async def operate(first: int) -> None:
            for value in range(first, first + 10):
                assert (await write(site, "setpoint", value)).value == value

        await asyncio.gather(*(operate(first) for first in (100, 200, 300)))
        asked = server.requests[begin:]
    assert sorted(sent[3] for sent in server.writes) == [(i + j,) for i in (100, 200, 300) for j in range(10)]
    assert len(overlaps) > 60
    assert not any(overlaps)
    # Each write is followed by its read-back; the polls are not shut out meanwhile.
    assert all(asked[i + 1] == (1, 3, 0, 1) for i, request in enumerate(asked) if request[1] == 6)
    assert len([request for request in asked if request[1] != 6 and request != (1, 3, 0, 1)]) >= 5


async def test_a_turn_that_does_not_come_is_told_and_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    # The wait alone is short; an answer may take as long as a busy machine needs.
    monkeypatch.setattr(line_module, "_LEAST_TURN_S", 0.08)
    monkeypatch.setattr(line_module, "_TURN_TIMEOUTS", 0)
    async with polled() as (site, server):
        async with site.adapter._running.line.turn():
            with pytest.raises(TidegateError, match=r"others were using the connection for 0\.08 s. Nothing was sent"):
                await write(site, "setpoint", 1)
        assert server.writes == []
        assert site.errors("busy") == 1
        assert (await write(site, "setpoint", 1)).value == 1


async def test_stopping_the_device_ends_a_write_under_way() -> None:
    begun = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if is_write(exchange):
            begun.set()
            await asyncio.Event().wait()
        await exchange.forward()

    async with behind(script, timeout_s=60) as (site, _):
        first, second = (asyncio.create_task(write(site, "setpoint", i)) for i in range(2))
        await begun.wait()
    with pytest.raises(TidegateError, match="it is unknown whether"):
        await first
    with pytest.raises(SourceLost, match=r"was not written .*stopped reading this device. Nothing was sent"):
        await second


@pytest.mark.parametrize("turns", range(20))
async def test_a_cancelled_write_leaves_the_polls_alone(turns: int) -> None:
    async with polled() as (site, server):
        task = asyncio.create_task(write(site, "setpoint", 1))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        seen = len(site.inbox.batches)
        await until(lambda: len(site.inbox.batches) > seen + 2)
        assert len(server.writes) <= 1
        assert (await write(site, "setpoint", 2)).value == 2
    assert site.live == [True, False]
