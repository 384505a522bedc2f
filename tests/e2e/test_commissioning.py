"""Commissioning as it is done on site: an empty gateway, a terminal of 80 by 24 cells, and a keyboard."""

from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path

import pytest

from gateway.control import client
from gateway.demo import child
from gateway.demo.broker import Broker
from gateway.demo.ledger import Ledger
from gateway.demo.plant_process import PlantProcess
from gateway.errors import TidegateError
from tests.e2e.terminal import WITHIN_S, Terminal
from tests.listening import listening

EMPTY = """\
# Cell 1, put up by the electricians on Tuesday
[gateway]
id = "cell-1"

[policy]
allow = ["collect", "configure"]   # no writing from here
"""


async def answers(socket: Path) -> bool:
    try:
        await asyncio.to_thread(client.status, socket)
    except TidegateError:
        return False
    return True


async def opcua_device(terminal: Terminal, url: str) -> None:
    await terminal.keys("2")
    await terminal.sees("No device yet")
    await terminal.keys("a")
    await terminal.sees("Which kind of device?")
    await terminal.keys("Enter")
    await terminal.sees("> Name")
    await terminal.type("press")
    await terminal.keys("Tab")
    await terminal.type(url)
    await terminal.keys("Enter")
    await terminal.sees("Connected.")
    for wanted in ("Press.Force", "Press.Strokes"):
        await terminal.keys("/")
        await terminal.sees("> Search")
        await terminal.type(wanted)
        await terminal.keys("Enter")
        await terminal.sees(f"1 found for {wanted}")
        await terminal.keys("Space")
        await terminal.until(lambda screen: "[x]" in screen, f"{wanted} is ticked")
    await terminal.until(lambda screen: screen.count("● good") == 2, "both tags show a good value")
    await terminal.keys("C-s")
    await terminal.sees("press is in the draft.")


async def modbus_device(terminal: Terminal, port: int) -> None:
    await terminal.keys("a")
    await terminal.sees("Which kind of device?")
    await terminal.keys("Down", "Enter")
    await terminal.sees("> Name")
    await terminal.type("tank")
    await terminal.keys("Tab")
    await terminal.sees("< Modbus TCP >")
    await terminal.keys("Tab")
    await terminal.type("127.0.0.1")
    await terminal.keys("Tab")
    await terminal.type(str(port))
    await terminal.sees(f"Port {port}")
    await terminal.keys("Enter")
    await terminal.until(lambda screen: "> Port" not in screen, "the registers have the focus")
    await terminal.keys("a")
    await terminal.sees("One value and its registers")
    await terminal.type("level")
    await terminal.keys("Tab", "Right", "Right")
    await terminal.sees("< input >")
    await terminal.keys("Tab")
    await terminal.type("0")
    await terminal.keys("Tab", *["Right"] * 8)
    await terminal.sees("< float32 >")
    await terminal.keys("C-s")
    await terminal.sees("> level")
    await terminal.keys("r")
    await terminal.sees("1 of 1 values are good")
    await terminal.keys("C-s")
    await terminal.sees("tank is in the draft.")


async def broker_form(terminal: Terminal, broker: Broker) -> None:
    await terminal.keys("4")
    await terminal.sees("The MQTT broker that readings go to")
    await terminal.keys("Tab")
    await terminal.sees("> Host")
    await terminal.type(broker.host)
    await terminal.keys("Tab")
    await terminal.type(str(broker.port))
    await terminal.keys("C-t")
    await terminal.until(lambda screen: "● " in screen.splitlines()[-3] + screen.splitlines()[-4], "the broker answers")


@pytest.mark.timeout(240)
async def test_two_devices_from_an_empty_configuration_to_readings_at_the_broker(tmp_path: Path) -> None:
    config, socket, book = tmp_path / "cell.toml", tmp_path / "control.sock", Ledger()
    config.write_text(EMPTY)
    run = child.python_command("gateway.cli", "run", str(config))
    screens = child.python_command("gateway.cli", "tui", str(config), "--lang", "en")
    async with (
        Broker(folder=tmp_path / "broker") as broker,
        PlantProcess(log=tmp_path / "plant.log", tags=0, rate_hz=10) as plant,
        listening(broker, book, "tidegate/cell-1/data/#"),
    ):
        gateway = await child.spawn(run, log=tmp_path / "gateway.log")
        try:
            async with asyncio.timeout(WITHIN_S):
                while not await answers(socket):
                    await asyncio.sleep(0.1)
            async with Terminal(tmp_path, screens) as terminal:
                await terminal.until(lambda screen: "● up" in screen, "the overview")
                await opcua_device(terminal, plant.opcua_url)
                await modbus_device(terminal, plant.modbus_port)
                await broker_form(terminal, broker)
                await terminal.keys("F5")
                await terminal.sees("The draft can be applied")
                await terminal.keys("a")
                await terminal.sees("Applied.")
                await terminal.keys("F1")
                await terminal.until(lambda screen: "● press" in screen and "● tank" in screen, "both are read")
                await terminal.until(lambda _: {device for device, _ in book.last} == {"press", "tank"}, "readings")
                await terminal.keys("q")
                await terminal.sees("left with 0")
        finally:
            await child.end(gateway)
    assert len(book.last) == 3
    written = config.read_text()
    assert written.startswith(EMPTY.rstrip())
    devices = {device["name"]: device for device in tomllib.loads(written)["devices"]}
    assert len(devices["press"]["tags"]) == 2
    assert devices["tank"]["tags"] == [{"name": "level", "register": "input", "address": 0, "type": "float32"}]
    assert [kept.read_text() for kept in (tmp_path / "cell.toml.history").iterdir()] == [EMPTY]
