"""The gateway configuration that reads this plant: pure, made from the same tables as the servers.

`gateway_config` gives plain data; written as JSON it is a configuration file. Nothing here starts or opens anything.
"""

from __future__ import annotations

from typing import Any, Final

from adapters.plant.catalogue import (
    LINE,
    LINE_UNIT,
    LOAD_REGISTER_ADDRESS,
    LOAD_UNIT,
    NAMESPACE,
    NODES,
    TANK,
    TANK_UNIT,
    Register,
    load_node,
)

__all__ = ["LOAD_DEVICE", "MODBUS_LOAD_DEVICE", "devices", "filters", "gateway_config"]

LOAD_DEVICE: Final = "load-opcua"
MODBUS_LOAD_DEVICE: Final = "load-modbus"
PUBLISHING_INTERVAL_MS: Final = 100
SAMPLING_INTERVAL_MS: Final = 10
QUEUE_SIZE: Final = 500
"""Changes the server keeps for a tag between two publishings: many times what the plant makes, for slow machines."""

_SCALED_UNITS: Final = {"inflow": "l/s", "outflow": "l/s"}
"""Units of the tags that `filters` scales: a point's unit is that of the readings that are published."""


def gateway_config(
    *,
    gateway_id: str,
    database: str,
    opcua_url: str,
    modbus_port: int,
    broker_port: int,
    broker_host: str = "127.0.0.1",
    mqtt: str = "5",
    tags: int = 0,
    interval_s: float = 0.2,
    sync_interval_s: float = 1.0,
) -> dict[str, Any]:
    """The whole configuration.

    Args:
        gateway_id: name of the gateway.
        database: path of the spool's file.
        opcua_url: endpoint of the plant's OPC UA server.
        modbus_port: TCP port of the plant's Modbus server.
        broker_port: TCP port of the broker.
        broker_host: where the broker is.
        mqtt: version of MQTT, `3.1.1` or `5`.
        tags: counters to read from each server, beside the machines' own tags.
        interval_s: how often Modbus is read, in seconds.
        sync_interval_s: longest pause between two attempts to reach the broker, in seconds.
    """
    return {
        "gateway": {"id": gateway_id, "path": "demo/hall-1/cell-1"},
        "database": {"type": "sqlite", "path": database},
        "offline": {"enabled": True, "sync_interval": sync_interval_s},
        "uplink": {"host": broker_host, "port": broker_port, "protocol": mqtt},
        "filters": filters(),
        "devices": devices(opcua_url=opcua_url, modbus_port=modbus_port, tags=tags, interval_s=interval_s),
    }


def devices(*, opcua_url: str, modbus_port: int, tags: int, interval_s: float) -> list[dict[str, Any]]:
    """The devices of the plant: `press`, `tank`, `line`, and with `tags` the two that carry load."""
    found = [
        _opcua("press", opcua_url, [(node.tag, node.identifier, node.unit) for node in NODES]),
        _modbus("tank", modbus_port, TANK_UNIT, interval_s, [_register_tag(register) for register in TANK]),
        _modbus("line", modbus_port, LINE_UNIT, interval_s, [_register_tag(register) for register in LINE]),
    ]
    if tags:
        counters = [load_node(number) for number in range(1, tags + 1)]
        found.append(_opcua(LOAD_DEVICE, opcua_url, [(counter, counter, "") for counter in counters]))
        registers = [
            {"name": f"Count.{place + 1:04d}", "register": "input", "address": LOAD_REGISTER_ADDRESS + place}
            | {"type": "uint16"}
            for place in range(tags)
        ]
        found.append(_modbus(MODBUS_LOAD_DEVICE, modbus_port, LOAD_UNIT, interval_s, registers))
    return found


def filters() -> list[dict[str, Any]]:
    """Modules at work on some analogue tags; the counters that show a loss pass through none."""
    return [
        {
            "module": "scale",
            "name": "flow-to-litres",
            "devices": ["tank"],
            "tags": ["*flow"],
            "params": {"factor": 1000},
        },
        {
            "module": "deadband",
            "name": "quiet-analogues",
            "devices": ["press", "tank"],
            "tags": ["oil-temperature", "temperature", "level"],
            "params": {"absolute": 0.05},
        },
    ]


def _opcua(name: str, url: str, tags: list[tuple[str, str, str]]) -> dict[str, Any]:
    return {
        "name": name,
        "type": "opcua",
        "url": url,
        "publishing_interval_ms": PUBLISHING_INTERVAL_MS,
        "sampling_interval_ms": SAMPLING_INTERVAL_MS,
        "queue_size": QUEUE_SIZE,
        "tags": [
            {"name": tag, "node": f"ns={NAMESPACE};s={identifier}", "unit": unit} for tag, identifier, unit in tags
        ],
    }


def _modbus(name: str, port: int, unit_id: int, interval_s: float, tags: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "type": "modbus",
        "host": "127.0.0.1",
        "port": port,
        "unit_id": unit_id,
        "interval_s": interval_s,
        "tags": tags,
    }


def _register_tag(register: Register) -> dict[str, Any]:
    tag: dict[str, Any] = {"name": register.tag, "register": register.table, "address": register.address}
    if register.type != "bool":
        tag["type"] = register.type
    return tag | {"unit": _SCALED_UNITS.get(register.tag, register.unit)}
