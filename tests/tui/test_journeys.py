"""The screens over a real gateway process, the simulated plant and a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from gateway.demo.broker import Broker
from gateway.demo.gateway_process import GatewayProcess
from gateway.demo.ledger import Ledger
from gateway.demo.plant_process import PlantProcess
from tests.listening import listening
from tests.tui.rig import rig
from tui.backend.running import RunningGateway

WITHIN_S = 40


@contextlib.asynccontextmanager
async def alone(folder, *, allow=("collect", "configure")):
    """A gateway that reads nothing yet."""
    config = {
        "gateway": {"id": "site"},
        "database": {"path": str(folder / "spool.db")},
        "policy": {"allow": [*allow]},
    }
    async with GatewayProcess(folder=folder, config=config) as gateway:
        yield gateway, RunningGateway(folder / "control.sock")


@contextlib.asynccontextmanager
async def site(folder):
    """A plant, and a gateway that knows nothing of it yet."""
    async with PlantProcess(log=folder / "plant.log", tags=0, rate_hz=10) as plant, alone(folder) as (_, backend):
        yield plant, backend


async def until(tui, condition, what):
    """Polls as the application's timer would, until the condition holds."""
    try:
        async with asyncio.timeout(WITHIN_S):
            while not condition():
                await tui.poll()
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"not within {WITHIN_S} s: {what}; the screen:\n{tui.text}")


async def add_press(tui, url):
    """Adds the press: connects, opens its folder, ticks two variables by keyboard."""
    await tui.press("2", "a", "enter")
    await tui.type("press")
    await tui.press("tab")
    await tui.type(url)
    await tui.press("enter")
    await until(tui, lambda: tui.focused() == "nodes", "connected")
    nodes = tui.grid("nodes")
    nodes.go(next(row for row in nodes.row_ids if row.endswith("s=Press")))
    await tui.press("enter")
    await until(tui, lambda: any(row.endswith("Press.Force") for row in nodes.row_ids), "the folder is open")
    for name in ("Press.Force", "Press.Strokes"):
        nodes.go(next(row for row in nodes.row_ids if row.endswith(name)))
        await tui.press("space")


@pytest.mark.timeout(180)
async def test_a_press_is_browsed_searched_applied_and_seen_live(tmp_path):
    async with site(tmp_path) as (plant, backend), rig(backend) as tui:
        await add_press(tui, plant.opcua_url)
        assert tui.grid("tags").row_ids == ["Force", "Strokes"]
        await tui.press("slash")
        await tui.type("OilTemp")
        await tui.press("enter", "space")
        assert len(tui.grid("tags").row_ids) == 3
        await until(tui, lambda: "● good" in tui.text, "values are read before anything is applied")
        await tui.press("ctrl+s", "5")
        await until(tui, lambda: "The draft can be applied" in tui.text, "the gateway finds the draft right")
        await tui.press("a")
        await until(tui, lambda: "Applied." in tui.note(), "applied")
        written = json.loads((tmp_path / "gateway.json").read_text())
        assert written["devices"][0]["url"] == plant.opcua_url
        await tui.press("3")
        await until(tui, lambda: len(tui.grid("points").row_ids) == 3, "live readings")
        await tui.press("1")
        await until(tui, lambda: "● press" in tui.text, "the overview shows it reading")


@pytest.mark.timeout(180)
async def test_a_tank_is_read_now_and_readings_reach_the_broker(tmp_path):
    book = Ledger()
    async with (
        Broker(folder=tmp_path / "broker") as broker,
        listening(broker, book, "tidegate/site/data/#"),
        site(tmp_path) as (plant, backend),
        rig(backend, size=(120, 40), language="zh") as tui,
    ):
        await tui.press("2", "a", "down", "enter")
        tui.fill("name", "tank")
        tui.fill("host", "127.0.0.1")
        tui.fill("port", str(plant.modbus_port))
        tui.grid("tags").focus()
        await tui.press("a")
        tui.fill("tag-name", "level")
        await tui.press("tab", "right", "right", "tab")
        await tui.type("0")
        await tui.press("tab")
        await tui.type(["right"] * 8)
        await tui.press("ctrl+s")
        await tui.press("r")
        await until(tui, lambda: "1 个值中 1 个良好" in tui.note(), "read now")
        await tui.press("ctrl+s", "4", "tab")
        await tui.type(broker.host)
        await tui.press("tab")
        await tui.type(str(broker.port))
        await tui.press("ctrl+t")
        await until(tui, lambda: tui.note().startswith("● "), "the broker answers")
        await tui.press("f5")
        await until(tui, lambda: "草稿可以应用" in tui.text, "the gateway finds the draft right")
        await tui.press("a")
        await until(tui, lambda: "已应用" in tui.note(), "applied")
        await until(tui, lambda: ("tank", "level") in book.last, "a reading at the broker")
        await tui.press("1")
        await until(tui, lambda: "● 已连接" in tui.text, "the overview shows the broker")


@pytest.mark.timeout(180)
async def test_the_policys_no_changes_nothing_and_is_told(tmp_path):
    async with alone(tmp_path, allow=["collect"]) as (_, backend), rig(backend) as tui:
        before = (tmp_path / "gateway.json").read_text()
        await tui.press("4", "tab")
        await tui.type("127.0.0.1")
        await tui.press("f5")
        await until(tui, lambda: "The draft can be applied" in tui.text, "checked")
        await tui.press("a")
        await until(tui, lambda: "not allowed" in tui.note(), "refused")
        assert (tmp_path / "gateway.json").read_text() == before
        assert tui.session.draft.changed


@pytest.mark.timeout(180)
async def test_a_gateway_that_is_killed_shows_as_such_and_comes_back(tmp_path):
    async with alone(tmp_path) as (gateway, backend), rig(backend) as tui:
        await until(tui, lambda: "● up" in tui.lines()[0], "heard")
        await gateway.kill()
        await until(tui, lambda: "no answer" in tui.lines()[0], "missed")
        await gateway.start()
        await until(tui, lambda: "● up" in tui.lines()[0], "back by itself")


@pytest.mark.timeout(180)
async def test_a_draft_that_cannot_work_changes_nothing_and_says_where(tmp_path):
    async with alone(tmp_path) as (_, backend), rig(backend) as tui:
        before = (tmp_path / "gateway.json").read_text()
        await tui.press("2", "a", "enter", "tab")
        await tui.type("http://nowhere")
        await tui.press("ctrl+s")
        await until(tui, lambda: "devices[0].url" in tui.note(), "told at once")
        await tui.press("5", "a")
        await until(tui, lambda: "cannot be used" in tui.note(), "refused")
        assert (tmp_path / "gateway.json").read_text() == before
