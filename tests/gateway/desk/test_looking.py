"""Looking at a real plant through the control socket of a real gateway."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from adapters.plant.config import devices
from gateway.control.client import Refused
from gateway.demo.broker import Broker, free_port
from gateway.demo.plant_process import PlantProcess
from tests.gateway.desk.conftest import ALLOWED, running


@pytest.fixture
async def plant(tmp_path: Path):
    async with PlantProcess(log=tmp_path / "plant.log", tags=0, rate_hz=5.0) as plant:
        yield devices(opcua_url=plant.opcua_url, modbus_port=plant.modbus_port, tags=0, interval_s=0.1)


async def test_a_device_can_be_browsed_searched_and_read_before_it_is_in_any_file(site, plant) -> None:
    here = await site()
    press, tank, _ = plant
    nameless = {"type": "opcua", "url": press["url"]}
    (found,) = [
        node
        for node in (await here.call("POST", "/browse", {"device": nameless, "node": None}))["nodes"]
        if node["name"] == "Press"
    ] or [None]
    assert found is not None
    assert found["children"]
    below = (await here.call("POST", "/browse", {"device": nameless, "node": found["id"]}))["nodes"]
    assert {node["kind"] for node in below} == {"variable"}
    hits = await here.call("POST", "/search", {"device": nameless, "text": below[0]["name"], "limit": 5})
    assert below[0]["id"] in {node["id"] for node in hits["nodes"]}
    read = (await here.call("POST", "/read", {"device": press}))["readings"]
    assert [one["tag"] for one in read] == [tag["name"] for tag in press["tags"]]
    assert {one["quality"] for one in read} == {"good"}
    read = (await here.call("POST", "/read", {"device": tank}))["readings"]
    assert [one["tag"] for one in read] == [tag["name"] for tag in tank["tags"]]
    with pytest.raises(Refused) as refused:
        await here.call("POST", "/browse", {"device": tank, "node": None})
    assert refused.value.status == 400
    assert (await here.status())["devices"] == {}


async def test_a_device_that_is_not_there_says_so(site) -> None:
    here = await site()
    draft = {"name": "far", "type": "modbus", "host": "127.0.0.1", "port": free_port()}
    with pytest.raises(Refused) as refused:
        await here.call(
            "POST", "/read", {"device": draft | {"tags": [{"name": "a", "register": "holding", "address": 1}]}}
        )
    assert refused.value.status == 424
    with pytest.raises(Refused, match="port: found 0") as refused:
        await here.call("POST", "/read", {"device": draft | {"port": 0}})
    assert [problem.where for problem in refused.value.problems] == ["port", "tags"]


async def test_live_shows_the_latest_of_each_point_and_forgets_who_left(site, plant) -> None:
    here = await site()
    text = ALLOWED + "".join(section(device) for device in plant[1:])
    await here.apply(text)

    async def live(target: str = "/live") -> dict[tuple[str, str], dict[str, object]]:
        return {(one["device"], one["tag"]): one for one in (await here.call("GET", target))["readings"]}

    wanted = {(device["name"], tag["name"]) for device in plant[1:] for tag in device["tags"]}
    async with asyncio.timeout(30):
        while (await live()).keys() != wanted:
            await asyncio.sleep(0.05)
    first = (await live())["tank", "level"]
    assert first["unit"] == next(tag["unit"] for tag in plant[1]["tags"] if tag["name"] == "level")
    async with asyncio.timeout(30):
        while (await live())["tank", "level"]["ts"] == first["ts"]:
            await asyncio.sleep(0.05)
    assert {device for device, _ in await live("/live?device=line")} == {"line"}

    await here.apply(ALLOWED + section(plant[2]))
    assert {device for device, _ in await live()} == {"line"}


def section(device: dict[str, object]) -> str:
    """A device as TOML; an inline table is near enough to JSON for that."""
    return "[[devices]]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in device.items())


def toml(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {toml(inner)}' for key, inner in value.items())} }}"
    return json.dumps(value)


async def test_a_broker_is_tried_without_a_trace(site, broker: Broker) -> None:
    here = await site()
    told = await here.call("POST", "/uplink/test", {"uplink": {"host": broker.host, "port": broker.port}})
    assert told["ok"], told
    assert f"{broker.host}:{broker.port}" in told["text"]
    await broker.stop()
    told = await here.call("POST", "/uplink/test", {"uplink": {"host": broker.host, "port": broker.port}})
    assert not told["ok"]
    assert "nothing listens there" in told["text"]
    with pytest.raises(Refused) as refused:
        await here.call("POST", "/uplink/test", {"uplink": {"host": ""}})
    assert [problem.where for problem in refused.value.problems] == ["uplink.host"]


async def test_a_stop_in_the_middle_of_looking_is_clean(tmp_path: Path, plant) -> None:
    async with running(tmp_path, ALLOWED) as here:
        await here.call("POST", "/browse", {"device": {"type": "opcua", "url": plant[0]["url"]}, "node": None})
    assert not here.socket.exists()
