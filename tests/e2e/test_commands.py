"""Commands under a Rego policy, through the whole gateway process: what is denied never reaches the wire."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiomqtt
from asyncua import ua

from gateway.demo.broker import Broker
from gateway.demo.gateway_process import GatewayProcess
from gateway.spool.audit import read_audit
from tests.adapters.modbus import rig as modbus
from tests.adapters.opcua import plc as opcua

POLICY = Path(__file__).parents[2] / "config" / "policy.rego"
"""Operators may write press/force from 0 to 80, and energy-meter/demand-limit from 10 to 400; nothing else."""


def config(folder: Path, *, broker_port: int, opcua_port: int, modbus_port: int) -> dict[str, Any]:
    return {
        "gateway": {"id": "edge"},
        "database": {"path": str(folder / "spool.db")},
        "policy": {"file": str(POLICY), "role": "operator"},
        "commands": {"enabled": True},
        "uplink": {"host": "127.0.0.1", "port": broker_port, "topic": "plant"},
        "devices": [
            {
                "name": "press",
                "type": "opcua",
                "url": f"opc.tcp://127.0.0.1:{opcua_port}",
                "tags": [
                    {"name": "force", "node": "ns=2;s=Force"},
                    {"name": "speed", "node": "ns=2;s=Speed"},
                ],
            },
            {
                "name": "energy-meter",
                "type": "modbus",
                "host": "127.0.0.1",
                "port": modbus_port,
                "interval_s": 0.1,
                "tags": [
                    {"name": "demand-limit", "register": "holding", "address": 0, "type": "uint16"},
                    {"name": "reset", "register": "holding", "address": 1, "type": "uint16"},
                ],
            },
        ],
    }


COMMANDS = [
    # device, tag, value, role, expected status, what the reason or read-back says
    ("press", "force", 55.5, "operator", "accepted", 55.5),
    ("press", "force", 99.0, "operator", "denied", "between 0 and 80"),
    ("press", "force", 10.0, "guest", "denied", "only operators may write"),
    ("press", "speed", 1.0, "operator", "denied", "not on the list"),
    ("energy-meter", "demand-limit", 250, "operator", "accepted", 250),
    ("energy-meter", "demand-limit", 5, "operator", "denied", "between 10 and 400"),
    ("energy-meter", "reset", 1, "operator", "denied", "not on the list"),
    ("energy-meter", "demand-limit", 12.5, "operator", "failed", "demand-limit"),
    ("nowhere", "force", 1, "operator", "failed", "nowhere"),
]


async def test_denied_writes_never_reach_the_wire_and_allowed_ones_are_read_back(tmp_path: Path) -> None:
    server = await opcua.Plc.start()
    meter = modbus.device(holding={0: [100, 0]})
    try:
        await add_writable(server, "Force", 1.0)
        await add_writable(server, "Speed", 2.0)
        wire = watch_writes(server)
        async with Broker(folder=tmp_path / "broker") as broker, modbus.plc(meter) as plc:
            settings = config(tmp_path, broker_port=broker.port, opcua_port=server.port, modbus_port=plc.port)
            async with GatewayProcess(folder=tmp_path, config=settings) as gateway:
                await reading(gateway)
                replies = await send_all(broker.port)
                assert await gateway.stop() == 0
            assert plc.writes == [(1, 6, 0, (250,))]
        assert wire == [("Force", 55.5)]
    finally:
        await server.stop()

    for number, (device, tag, _, _, status, says) in enumerate(COMMANDS):
        reply = replies[f"c{number}"]
        assert (reply["device"], reply["tag"], reply["status"]) == (device, tag, status), reply
        if status == "accepted":
            assert reply["value"] == says
        else:
            assert str(says) in reply["reason"], reply
    audit = {entry.id: entry for entry in read_audit(tmp_path / "spool.db", limit=100)}
    assert {key: entry.status for key, entry in audit.items()} == {
        key: reply["status"] for key, reply in replies.items()
    }
    assert audit["c0"].read_back == "55.5"
    assert [audit[f"c{number}"].allowed for number in range(4)] == [True, False, False, False]


def watch_writes(server: opcua.Plc) -> list[tuple[str, Any]]:
    """What reaches the OPC UA server's Write service from now on, its own clock left out."""
    seen: list[tuple[str, Any]] = []
    service = server.server.iserver.attribute_service
    write = service.write

    async def watched(parameters: ua.WriteParameters, **keys: Any) -> list[ua.StatusCode]:
        seen.extend(
            (value.NodeId.Identifier, value.Value.Value.Value)
            for value in parameters.NodesToWrite
            if value.NodeId.NamespaceIndex == 2
        )
        return await write(parameters, **keys)

    service.write = watched
    return seen


async def add_writable(server: opcua.Plc, name: str, value: float) -> None:
    node = await server.server.nodes.objects.add_variable(ua.NodeId(name, 2), name, value)
    await node.set_writable()


async def reading(gateway: GatewayProcess) -> None:
    async with asyncio.timeout(60):
        while True:
            status = await gateway.status()
            connected = status is not None and status["uplink"]["state"] == "connected"
            if connected and all(device["readings"] for device in status["devices"].values()):
                return
            await asyncio.sleep(0.1)


async def send_all(broker_port: int) -> dict[str, dict[str, Any]]:
    """Sends each command twice, as QoS 1 may, and gives the replies by id; all of one id must be the same."""
    replies: dict[str, dict[str, Any]] = {}
    async with aiomqtt.Client("127.0.0.1", broker_port) as client, asyncio.timeout(60):
        await client.subscribe("plant/cmd/+/+/result", qos=1)
        for number, (device, tag, value, role, _, _) in enumerate(COMMANDS):
            command = {"id": f"c{number}", "value": value, "user": {"name": "Anna", "role": role}}
            for _ in range(2):
                await client.publish(f"plant/cmd/{device}/{tag}/set", json.dumps(command), qos=1)
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            reply = json.loads(message.payload)
            assert replies.setdefault(reply["id"], reply) == reply
            if len(replies) == len(COMMANDS):
                return replies
    raise AssertionError("the broker closed the connection")
