"""RTU on a serial line (a pseudo terminal) and over TCP; pymodbus's own RTU server is the slave."""

from __future__ import annotations

import asyncio
import errno
import os
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pymodbus.framer import FramerType
from pymodbus.simulator import SimDevice

from adapters.modbus import PROTOCOL
from adapters.modbus.serialport import SerialChannel, control_flags, reason
from adapters.modbus.settings import ModbusSettings, ModbusTag, SerialSettings
from gateway.batch import GOOD
from gateway.errors import SourceLost, TidegateError
from tests.adapters.modbus.rig import Plc, Site, device, numbered, plc, settings
from tests.adapters.modbus.wire import Asked, Script, device_server, forward, on_line, serial_line
from tests.waiting import until

Make = Callable[[list[ModbusTag], dict[str, Any]], ModbusSettings]


@asynccontextmanager
async def pty_bus(script: Script, *devices: SimDevice) -> AsyncIterator[tuple[Make, Plc]]:
    async with plc(*devices, framer=FramerType.RTU) as server, serial_line(server.port, script) as port:
        yield (lambda tags, changes: on_line(port, tags, **changes)), server


@asynccontextmanager
async def tcp_bus(script: Script, *devices: SimDevice) -> AsyncIterator[tuple[Make, Plc]]:
    async with plc(*devices, framer=FramerType.RTU) as server, device_server(server.port, script) as port:
        values = {"interval_s": 0.05, "timeout_s": 2.0, "transport": "rtu_over_tcp"}
        yield (lambda tags, changes: settings(port, tags, **(values | changes))), server


Bus = Callable[..., AbstractAsyncContextManager[tuple[Make, Plc]]]
BUSES = pytest.mark.parametrize("bus", [pty_bus, tcp_bus], ids=["serial", "rtu over tcp"])


@BUSES
async def test_a_bus_is_read_and_written(bus: Bus) -> None:
    one = device(1, holding={0: list(range(200))}, coils=[True, False] * 8)
    tags = [
        *numbered(130),
        ModbusTag(name="coil", address=2, register="coil"),
        ModbusTag(name="other", address=5, unit_id=2),
        ModbusTag(name="bit", address=150, bit=3),
    ]
    async with bus(forward, one, device(2, holding={5: [55]})) as (make, server):
        site = Site(make(tags, {}))
        async with site.running():
            await until(lambda: len(site.inbox.batches) >= 2)
            assert (await site.adapter.write("t7", 4711)).value == 4711
            assert (await site.adapter.write("bit", True)).value is True
            assert (await site.adapter.write("coil", False)).value is False
            await until(lambda: site.inbox.last()[8].value == 4711)
        assert [sent[1] for sent in server.writes] == [6, 22, 5]
    first = {reading.point: reading for reading in site.inbox.batches[0]}
    assert [first[i + 1].value for i in range(130)] == list(range(130))
    assert (first[131].value, first[132].value) == (True, 55)
    assert {reading.status for reading in first.values()} == {GOOD}
    assert site.live == [True, False]


@BUSES
async def test_a_dead_slave_does_not_stop_the_rest_and_comes_back(bus: Bus) -> None:
    """telegraf#9550: one dead slave stops the rest."""
    dead = True

    async def script(asked: Asked) -> None:
        if not (dead and asked.unit_id == 2):
            await asked.forward()

    tags = [ModbusTag(name=f"u{i}", address=0, unit_id=i) for i in (1, 2, 3)]
    devices = [device(i, holding={0: [11 * i]}) for i in (1, 2, 3)]
    async with bus(script, *devices) as (make, _):
        site = Site(make(tags, {"interval_s": 0.6, "timeout_s": 0.5}))
        async with site.running():
            await until(lambda: site.inbox.of(2))
            seen = len(site.inbox.of(3))
            await until(lambda: site.errors("timeout") >= 2 and len(site.inbox.of(3)) >= seen + 2)
            assert [(reading.value, reading.status) for reading in site.inbox.of(2)] == [(None, 0x8005)]
            dead = False
            await until(lambda: site.inbox.last()[2].value == 22)
    assert {reading.value for reading in site.inbox.of(1)} == {11}


@BUSES
async def test_a_late_answer_of_the_same_shape_is_never_taken_for_the_next_one(bus: Bus) -> None:
    """benthos-umh#340 on a wire that has no transaction id: two registers of one unit, answers one request behind."""
    behind = True
    held: list[bytes] = []
    confused = 0

    async def script(asked: Asked) -> None:
        nonlocal confused
        if not behind or asked.unit_id == 9:
            await asked.forward()
            return
        # The slave is always one answer behind: what it sends now is what was asked before.
        held.append(await asked.ask())
        if len(held) > 1:
            confused += 1
            asked.reply(held.pop(0))
            await asyncio.sleep(0.05)
            asked.reply(held.pop(0))

    tags = [
        ModbusTag(name="a", address=0),
        ModbusTag(name="b", address=50),
        ModbusTag(name="other", address=0, unit_id=9),
    ]
    holding = {0: [111], 50: [222]}
    async with bus(script, device(1, holding=holding), device(9, holding={0: [9]})) as (make, _):
        site = Site(make(tags, {"interval_s": 0.6, "timeout_s": 0.4, "max_gap": 0}))
        async with site.running():
            await until(lambda: confused)
            behind = False
            await until(lambda: site.inbox.last()[1].value == 111 and site.inbox.last()[2].value == 222)
    assert {reading.value for reading in site.inbox.of(1)} == {None, 111}
    assert {reading.value for reading in site.inbox.of(2)} <= {None, 222}
    assert site.errors("late_answer") >= 1


@BUSES
async def test_noise_costs_a_repetition_and_no_value(bus: Bus) -> None:
    count = 0

    async def script(asked: Asked) -> None:
        nonlocal count
        count += 1
        answer = await asked.ask()
        if count % 3 == 0:
            answer = answer[:3] + bytes([answer[3] ^ 0x10]) + answer[4:]
        asked.reply(answer)

    async with bus(script, device(holding={0: [7]})) as (make, _):
        site = Site(make([*numbered(1)], {}))
        async with site.running():
            await until(lambda: site.errors("garbled_answer") >= 3)
    assert {reading.value for reading in site.inbox.of(1)} == {7}
    assert site.live == [True, False]


async def test_two_devices_share_one_line_and_never_speak_at_once() -> None:
    speaking = 0
    worst = 0

    async def script(asked: Asked) -> None:
        nonlocal speaking, worst
        speaking += 1
        worst = max(worst, speaking)
        await asyncio.sleep(0.003)
        await asked.forward()
        speaking -= 1

    devices = [device(i, holding={0: [11 * i]}) for i in (1, 2)]
    async with plc(*devices, framer=FramerType.RTU) as server, serial_line(server.port, script) as port:
        sites = [Site(on_line(port, [*numbered(1)], name=f"meter-{i}", unit_id=i, interval_s=0.02)) for i in (1, 2)]
        async with sites[0].running():
            async with sites[1].running():
                await until(lambda: all(len(site.inbox.batches) >= 10 for site in sites))
                assert PROTOCOL.explore is not None
                async with PROTOCOL.explore(on_line(port, [*numbered(1)], unit_id=2)) as explorer:
                    assert [reading.value for _, reading in await explorer.read()] == [22]
            # The one that ends leaves the line to the other.
            seen = len(sites[0].inbox.batches)
            await until(lambda: len(sites[0].inbox.batches) >= seen + 5)
    for i, site in enumerate(sites, 1):
        assert {reading.value for reading in site.inbox.of(1)} == {11 * i}
        assert site.errors("garbled_answer") == site.errors("timeout") == 0
    assert worst == 1


async def test_a_draft_with_other_settings_does_not_disturb_a_line_in_use() -> None:
    async with plc(device(holding={0: [5]}), framer=FramerType.RTU) as server, serial_line(server.port) as port:
        site = Site(on_line(port, [*numbered(1)]))
        async with site.running():
            await until(lambda: site.inbox.batches)
            draft = on_line(port, [*numbered(1)], serial=SerialSettings(port=port, baudrate=9600, gap_ms=5))
            assert PROTOCOL.explore is not None
            with pytest.raises(
                SourceLost,
                match="it is in use with other settings: baudrate 115200, not 9600, gap_ms the default, not 5",
            ):
                async with PROTOCOL.explore(draft):
                    pass
            seen = len(site.inbox.batches)
            await until(lambda: len(site.inbox.batches) >= seen + 3)
    assert {reading.value for reading in site.inbox.of(1)} == {5}


async def test_a_line_that_is_pulled_out_is_lost_and_found_again() -> None:
    async with plc(device(holding={0: [5]}), framer=FramerType.RTU) as server:
        async with serial_line(server.port) as port:
            site = Site(on_line(port, [*numbered(1)]))
            run = asyncio.create_task(site.run())
            await until(lambda: len(site.inbox.batches) >= 2)
        with pytest.raises(SourceLost, match=rf"no Modbus connection to {port}: .*Check serial\.port"):
            await run
    assert site.inbox.of(1)[-1].status == 0x8005


async def test_a_port_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    plain = tmp_path / "notes.txt"
    plain.write_text("no port")
    for port, why in ((str(tmp_path / "ttyNONE"), "there is no such port"), (str(plain), "it is no serial port")):
        site = Site(on_line(port, [*numbered(1)]))
        with pytest.raises(SourceLost, match=why):
            await site.run()


def test_a_port_that_a_service_or_a_container_was_not_given_says_where_to_look() -> None:
    # What systemd's PrivateDevices, and a device cgroup, make of open(2).
    for number in (errno.ENOENT, errno.EPERM):
        assert "A service or a container must be given it (image/README.md)" in reason(OSError(number, "x"))


async def test_a_port_that_another_program_has_locked_is_refused() -> None:
    async with plc(device(holding={0: [5]}), framer=FramerType.RTU) as server, serial_line(server.port) as port:
        code = f"import fcntl, os, sys; fd = os.open({port!r}, os.O_RDWR | os.O_NOCTTY); fcntl.flock(fd, 2); print(1)"
        other = await asyncio.create_subprocess_exec(
            *("python3", "-c", f"{code}; sys.stdout.flush(); sys.stdin.read()"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert other.stdout is not None
            await other.stdout.readline()
            with pytest.raises(SourceLost, match="another program uses it"):
                await Site(on_line(port, [*numbered(1)])).run()
        finally:
            assert other.stdin is not None
            other.stdin.close()
            await other.wait()


async def test_a_write_without_its_answer_is_not_repeated() -> None:
    writes = 0

    async def script(asked: Asked) -> None:
        nonlocal writes
        if asked.function > 4:
            writes += 1
        else:
            await asked.forward()

    async with pty_bus(script, device(holding={0: [5]})) as (make, _):
        site = Site(make([*numbered(1)], {"timeout_s": 0.5}))
        async with site.running():
            await until(lambda: site.live == [True])
            with pytest.raises(TidegateError, match="it is unknown whether 't0' was written"):
                await site.adapter.write("t0", 1)
            seen = len(site.inbox.batches)
            await until(lambda: len(site.inbox.batches) >= seen + 3)
    assert writes == 1


def open_files() -> list[str]:
    """What this process has open."""
    names = []
    for fd in Path("/proc/self/fd").iterdir():
        try:
            names.append(str(fd.readlink()))
        except OSError:  # the one that listed them
            continue
    return names


@pytest.mark.parametrize("turns", range(0, 30, 2))
async def test_cancelling_at_any_moment_leaves_no_open_port(turns: int) -> None:
    async with plc(device(holding={0: [5]}), framer=FramerType.RTU) as server, serial_line(server.port) as port:
        before = open_files().count(port)
        task = asyncio.create_task(Site(on_line(port, [*numbered(1)])).run())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert open_files().count(port) == before


@pytest.mark.parametrize(
    ("changes", "told"),
    [({}, "8E1"), ({"parity": "odd"}, "8O1"), ({"parity": "none", "stop_bits": 2}, "8N2"), ({"parity": "none"}, "8N1")],
)
def test_the_port_is_set_as_the_settings_say(changes: dict[str, Any], told: str) -> None:
    for before in (0, 0xFFFF):
        flags = control_flags(before, SerialSettings(port="/dev/ttyS0", **changes))
        parity = "N" if not flags & termios.PARENB else "O" if flags & termios.PARODD else "E"
        assert f"8{parity}{2 if flags & termios.CSTOPB else 1}" == told
        assert flags & termios.CSIZE == termios.CS8


async def test_the_port_is_raw_and_has_its_speed() -> None:
    master, port = os.openpty()
    try:
        channel = SerialChannel(SerialSettings(port=os.ttyname(port), baudrate=9600))
        incoming, outgoing, _, local, speed, _, _ = termios.tcgetattr(port)
        channel.close()
    finally:
        os.close(master)
        os.close(port)
    assert speed == termios.B9600
    assert (incoming & ~termios.INPCK, outgoing, local) == (0, 0, 0)
