"""A command's whole way through the wiring: broker, uplink, policy, the running adapter, the plant, and back."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiomqtt
import pytest

from adapters.plant.config import devices
from gateway.demo.broker import Broker
from gateway.demo.plant_process import PlantProcess
from gateway.spool.audit import read_audit
from tests.gateway.desk.conftest import running

CONFIG = """
[gateway]
id = "edge"
[policy]
allow = [{actions}]
[commands]
enabled = true
[uplink]
host = "127.0.0.1"
port = {broker_port}
topic = "plant"
[[devices]]
name = "tank"
type = "modbus"
host = "127.0.0.1"
port = {port}
unit_id = {unit_id}
interval_s = 0.1
tags = [{{ name = "{name}", register = "holding", address = {address}, type = "uint16", unit = "%" }}]
"""


@pytest.mark.parametrize(
    ("actions", "status", "value"), [('"collect", "write"', "accepted", 42), ('"collect"', "denied", None)]
)
async def test_a_command_is_carried_out_or_denied(
    broker: Broker, tmp_path: Path, actions: str, status: str, value: int | None
) -> None:
    async with PlantProcess(log=tmp_path / "plant.log", tags=0, rate_hz=5.0) as plant:
        tank = devices(opcua_url=plant.opcua_url, modbus_port=plant.modbus_port, tags=0, interval_s=0.1)[1]
        target = next(tag for tag in tank["tags"] if tag["name"] == "level-target")
        text = CONFIG.format(
            actions=actions,
            broker_port=broker.port,
            port=tank["port"],
            unit_id=tank["unit_id"],
            name=target["name"],
            address=target["address"],
        )
        async with running(tmp_path, text) as site, aiomqtt.Client(broker.host, broker.port) as client:
            async with asyncio.timeout(30):
                while not (await site.call("GET", "/live"))["readings"]:
                    await asyncio.sleep(0.05)
                while (await site.status())["uplink"]["state"] != "connected":
                    await asyncio.sleep(0.05)
                await client.subscribe("plant/cmd/+/+/result", qos=1)
                command = json.dumps({"id": "a1", "value": 42, "user": {"name": "Anna", "role": "operator"}})
                await client.publish("plant/cmd/tank/level-target/set", command, qos=1)
                reply = json.loads((await anext(aiter(client.messages))).payload)
        assert (reply["status"], reply["value"]) == (status, value), reply
        (entry,) = read_audit(tmp_path / "tidegate.db", limit=9)
        assert (entry.action, entry.status, entry.user) == ("write", status, "Anna")
