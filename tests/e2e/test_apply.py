"""A running gateway under load is given one new configuration after another: what they leave alone loses nothing."""

from __future__ import annotations

import asyncio
import copy
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from adapters.plant.config import LOAD_DEVICE, MODBUS_LOAD_DEVICE
from gateway.control import client
from gateway.demo.books import read_books
from gateway.demo.broker import Broker
from gateway.demo.gateway_process import GatewayProcess
from gateway.demo.ledger import Ledger
from tests.e2e.load import TAGS, all_tags_arrived, load_config, load_plant
from tests.listening import listening
from tests.waiting import until

SETTLE_S = 3
UNTOUCHED = (LOAD_DEVICE, MODBUS_LOAD_DEVICE)


class Desk:
    """The calls a person's screen makes."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def call(self, method: str, target: str, body: object = None) -> dict[str, Any]:
        return await asyncio.to_thread(client.call, self._socket, method, target, body, timeout_s=30)

    async def apply(self, config: dict[str, Any]) -> list[str]:
        stands = await self.call("GET", "/config")
        draft = {"text": json.dumps(config, indent=2), "base": stands["sha256"]}
        return (await self.call("POST", "/config/apply", draft))["changes"]


def remembered(database: Path) -> set[str]:
    """The devices whose subscriptions another process could go on with."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return {device for (device,) in connection.execute("SELECT device FROM memories")}


@pytest.mark.timeout(240)
async def test_applying_under_load_loses_nothing(tmp_path: Path) -> None:
    book = Ledger()
    database = tmp_path / "spool.db"
    async with (
        Broker(folder=tmp_path / "broker") as broker,
        load_plant(tmp_path) as plant,
        listening(broker, book, "plant/+/data/#"),
    ):
        config = load_config(database, plant, broker)
        config["policy"] = {"allow": ["collect", "configure"]}
        config["uplink"]["topic"] = "plant/a"
        async with GatewayProcess(folder=tmp_path, config=config) as gateway:
            desk = Desk(tmp_path / "control.sock")
            await until(lambda: all_tags_arrived(book), within_s=60, what="readings of all 1,000 tags arrived")
            since = await states(desk)

            config["filters"][1]["params"] = {"absolute": 0.5}
            config["filters"].append({"module": "rate", "devices": ["tank"], "tags": ["inflow"]})
            assert sorted(await desk.apply(config)) == [
                "device press: gets new filters, its connection stays",
                "device tank: gets new filters, its connection stays",
            ]
            derived = ("tank", "inflow.per_second")
            await until(lambda: derived in book.last, within_s=30, what="a derived point arrives like any other")
            await asyncio.sleep(SETTLE_S)

            line = next(device for device in config["devices"] if device["name"] == "line")
            config["devices"].append(copy.deepcopy(line) | {"name": "line-again"})
            assert await desk.apply(config) == ["device line-again: starts"]
            await until(
                lambda: "line-again" in {device for device, _ in book.last},
                within_s=30,
                what="the new device speaks",
            )

            config["uplink"] |= {"topic": "plant/b", "window": 4}
            assert await desk.apply(config) == ["uplink: finishes what is in flight and connects anew"]
            await asyncio.sleep(SETTLE_S)

            # What cannot be applied changes nothing, and the flow does not notice.
            wrong = copy.deepcopy(config)
            wrong["filters"][0]["module"] = "no-such-module"
            with pytest.raises(client.Refused, match="no-such-module"):
                await desk.apply(wrong)

            config["devices"] = [one for one in config["devices"] if one["name"] != "press"]
            config["filters"][1]["devices"] = ["tank"]
            config["filters"][1]["tags"] = ["temperature", "level"]
            assert remembered(database) >= {"press"}
            assert await desk.apply(config) == ["device press: is removed"]
            assert "press" not in remembered(database)
            assert "device press" not in (await desk.call("GET", "/status"))["components"]
            await asyncio.sleep(SETTLE_S)

            assert {name: (await states(desk))[name] for name in UNTOUCHED} == {name: since[name] for name in UNTOUCHED}
            live = (await desk.call("GET", f"/live?device={LOAD_DEVICE}"))["readings"]
            assert len(live) == TAGS
            assert {reading["quality"] for reading in live} == {"good"}
            assert len((await desk.call("GET", "/config/versions"))["versions"]) == 4
            assert await gateway.stop() == 0

        books = await read_books(database)
        expected = books.accepted - sum(books.waiting.values())
        await until(lambda: book.received >= expected, within_s=30, what=f"{expected} readings arrived")

    assert book.received == expected
    assert book.received > 2 * TAGS * SETTLE_S
    assert books.dropped == 0
    assert book.seq_holes() == []
    assert book.conflicts == 0
    # The plant's own counters go up by one at each change: on the device that no draft named, not one is missing.
    assert book.counters == TAGS
    assert book.counter_holes() == {}


async def states(desk: Desk) -> dict[str, tuple[str, float]]:
    """State of each device, and since when: a restart in between would show."""
    components = (await desk.call("GET", "/status"))["components"]
    return {
        name.removeprefix("device "): (told["state"], told["since"])
        for name, told in components.items()
        if name.startswith("device ")
    }
