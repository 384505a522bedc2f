"""A plant of 1,000 tags beside the machines' own, each once a second, and a gateway that reads all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapters.plant.config import LOAD_DEVICE, MODBUS_LOAD_DEVICE, gateway_config
from gateway.demo.broker import Broker
from gateway.demo.ledger import Ledger
from gateway.demo.plant_process import PlantProcess

__all__ = ["TAGS", "all_tags_arrived", "load_config", "load_plant"]

TAGS = 500
"""On each of the two servers."""


def load_plant(folder: Path) -> PlantProcess:
    """The plant."""
    return PlantProcess(log=folder / "plant.log", tags=TAGS, rate_hz=1.0)


def load_config(database: Path, plant: PlantProcess, broker: Broker) -> dict[str, Any]:
    """The gateway's configuration."""
    return gateway_config(
        gateway_id="e2e",
        database=str(database),
        opcua_url=plant.opcua_url,
        modbus_port=plant.modbus_port,
        broker_port=broker.port,
        tags=TAGS,
        interval_s=1.0,
    )


def all_tags_arrived(book: Ledger) -> bool:
    """Whether each tag of the load has come once."""
    seen = {device for device, _ in book.last}
    return {LOAD_DEVICE, MODBUS_LOAD_DEVICE} <= seen and len(book.last) > 2 * TAGS
