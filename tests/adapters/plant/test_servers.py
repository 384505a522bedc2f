from __future__ import annotations

import asyncio
import json
import signal
import struct
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from asyncua import Client, ua
from pymodbus.client import AsyncModbusTcpClient

from adapters.plant.catalogue import LINE_UNIT, LOAD_UNIT, NODES, TANK_UNIT
from adapters.plant.plant import Plant

LOAD_TAGS = 3
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3


# The address space of a server takes a second to build: one plant serves all tests that do not end it.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plant() -> AsyncIterator[Plant]:
    async with Plant(tags=LOAD_TAGS, rate_hz=50.0) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def opcua(plant: Plant) -> AsyncIterator[Client]:
    async with Client(plant.opcua.url) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def modbus(plant: Plant) -> AsyncIterator[AsyncModbusTcpClient]:
    client = AsyncModbusTcpClient("127.0.0.1", port=plant.modbus.port)
    assert await client.connect()
    yield client
    client.close()


class Changes:
    """Collects notified values until there are enough."""

    def __init__(self, enough: int) -> None:
        self.values: list[int] = []
        self.full = asyncio.Event()
        self._enough = enough

    def datachange_notification(self, _node: object, value: int, _data: object) -> None:
        self.values.append(value)
        if len(self.values) >= self._enough:
            self.full.set()


async def test_every_node_of_the_catalogue_is_served_with_its_type_and_time(opcua: Client) -> None:
    for node in NODES:
        data = await opcua.get_node(f"ns=2;s={node.identifier}").read_data_value()
        assert data.Value is not None
        assert data.Value.VariantType is ua.VariantType[node.type]
        assert data.SourceTimestamp is not None
        assert abs((datetime.now(UTC) - data.SourceTimestamp).total_seconds()) < 60


async def test_nodes_can_be_browsed(opcua: Client) -> None:
    folders = {(await child.read_browse_name()).Name: child for child in await opcua.nodes.objects.get_children()}
    assert {"Press", "Line", "Load"} <= set(folders)
    names = {(await child.read_browse_name()).Name for child in await folders["Press"].get_children()}
    assert {"Force", "Strokes", "OilTemperature"} <= names


async def test_a_counter_shows_every_value_once(opcua: Client) -> None:
    changes = Changes(enough=40)
    subscription = await opcua.create_subscription(50, changes)
    await subscription.subscribe_data_change(opcua.get_node("ns=2;s=Load.0003"), queuesize=1000)
    async with asyncio.timeout(30):
        await changes.full.wait()
    await subscription.delete()
    first = changes.values[0]
    assert changes.values == list(range(first, first + len(changes.values)))


async def test_endpoints_name_the_port_that_is_served(plant: Plant, opcua: Client) -> None:
    urls = [endpoint.EndpointUrl for endpoint in await opcua.get_endpoints()]
    assert urls == [plant.opcua.url]


async def test_the_tank_is_in_its_registers(plant: Plant, modbus: AsyncModbusTcpClient) -> None:
    answer = await modbus.read_input_registers(0, count=8, device_id=TANK_UNIT)
    level_pct, inflow, outflow, temperature_c = struct.unpack(">4f", struct.pack(">8H", *answer.registers))
    assert 0 < level_pct < 100
    assert 0.01 < inflow < 0.03
    assert 0 <= outflow < 0.05
    assert 20 < temperature_c < 50
    valve = (await modbus.read_coils(0, count=1, device_id=TANK_UNIT)).bits[0]
    assert valve is plant.state.tank.valve_open


async def test_the_line_is_in_its_registers(modbus: AsyncModbusTcpClient) -> None:
    answer = await modbus.read_input_registers(0, count=8, device_id=LINE_UNIT)
    state, alarm, speed, units, energy_wh = struct.unpack(">HHfII", struct.pack(">8H", *answer.registers))
    assert (state == 2) == (alarm > 0)
    assert 0 <= speed <= 90
    assert units < 1000
    assert energy_wh < 1000
    running = (await modbus.read_coils(0, count=1, device_id=LINE_UNIT)).bits[0]
    fault = (await modbus.read_discrete_inputs(0, count=1, device_id=LINE_UNIT)).bits[0]
    assert isinstance(running, bool)
    assert isinstance(fault, bool)


async def test_load_registers_carry_one_growing_count(modbus: AsyncModbusTcpClient) -> None:
    first = (await modbus.read_input_registers(0, count=LOAD_TAGS, device_id=LOAD_UNIT)).registers
    assert len(set(first)) == 1
    last = first
    async with asyncio.timeout(30):
        while last == first:
            last = (await modbus.read_input_registers(0, count=LOAD_TAGS, device_id=LOAD_UNIT)).registers
    assert last[0] > first[0]


async def test_the_target_level_can_be_written_and_read_back(plant: Plant, modbus: AsyncModbusTcpClient) -> None:
    answer = await modbus.write_register(0, 70, device_id=TANK_UNIT)
    assert not answer.isError()
    assert plant.state.tank.target_pct == 70.0
    assert (await modbus.read_holding_registers(0, count=1, device_id=TANK_UNIT)).registers == [70]
    await modbus.write_registers(0, [60], device_id=TANK_UNIT)
    assert plant.state.tank.target_pct == 60.0


@pytest.mark.parametrize(
    ("unit", "address", "value", "code"),
    [(TANK_UNIT, 0, 101, ILLEGAL_VALUE), (LINE_UNIT, 0, 1, ILLEGAL_ADDRESS), (TANK_UNIT, 9, 1, ILLEGAL_ADDRESS)],
)
async def test_other_writes_are_refused(
    plant: Plant, modbus: AsyncModbusTcpClient, unit: int, address: int, value: int, code: int
) -> None:
    answer = await modbus.write_register(address, value, device_id=unit)
    assert answer.exception_code == code
    assert plant.state.tank.target_pct == 60.0


async def test_a_register_that_is_not_there_is_refused(modbus: AsyncModbusTcpClient) -> None:
    answer = await modbus.read_input_registers(0, count=9, device_id=TANK_UNIT)
    assert answer.exception_code == ILLEGAL_ADDRESS


async def test_more_counters_than_registers_are_refused() -> None:
    with pytest.raises(ValueError, match="65536"):
        Plant(tags=65_537)


async def test_a_taken_port_is_told_and_nothing_stays_open(plant: Plant) -> None:
    second = Plant(modbus_port=plant.modbus.port)
    with pytest.raises(OSError, match="Modbus server"):
        await second.start()
    with pytest.raises(OSError, match="Connect"):
        await asyncio.open_connection("127.0.0.1", second.opcua.port)


@pytest.mark.parametrize("how", ["signal", "input", "time"])
async def test_the_process_says_its_ports_and_ends(how: str) -> None:
    command = [sys.executable, "-m", "adapters.plant", "--tags", "2", "--rate", "20"]
    if how == "time":
        command += ["--seconds", "0.2"]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            ready = json.loads(await process.stdout.readline())
        if how == "signal":
            async with Client(ready["opcua"]) as client:
                assert await client.get_node("ns=2;s=Load.0002").read_value() >= 0
            process.send_signal(signal.SIGTERM)
        elif how == "input":
            assert process.stdin is not None
            process.stdin.close()
        async with asyncio.timeout(60):
            _, told = await process.communicate() if how != "input" else (b"", await process.stderr.read())  # type: ignore[union-attr]
            assert await process.wait() == 0
        assert told == b""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
