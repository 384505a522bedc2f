"""The table of the desk's calls, for the control socket. Each takes and gives plain data, as it stands in JSON."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from adapters.base import Node
from gateway.batch import quality
from gateway.check import MODELS
from gateway.config.models import DeviceSettings
from gateway.config.schema import schema
from gateway.control.refusal import Refused
from gateway.control.server import Routes
from gateway.desk.configuring import ConfigDesk
from gateway.desk.drafts import draft_device
from gateway.desk.exploring import Explorers
from gateway.desk.looking import live_readings, plain_value, try_broker
from gateway.latest import Latest
from gateway.points import PointTable

__all__ = ["desk_routes"]

_MOST_FOUND = 1_000
_USUALLY_FOUND = 100


def desk_routes(
    *,
    status: Callable[[], dict[str, Any]],
    config: ConfigDesk,
    explorers: Explorers,
    latest: Latest,
    points: PointTable,
    gateway_id: str,
    base: Path,
    env: Mapping[str, str] = os.environ,
) -> Routes:
    """The calls by (method, path).

    Args:
        status: the status page.
        config: the configuration file.
        explorers: connections to look at devices with.
        latest: the latest readings.
        points: names of the tags.
        gateway_id: name of this gateway.
        base: folder that relative paths in drafts start from.
        env: the variables for `${NAME}` in drafts.
    """

    async def get_status(_asked: dict[str, Any]) -> dict[str, Any]:
        return status()

    async def get_schema(_asked: dict[str, Any]) -> dict[str, Any]:
        return schema(MODELS)

    async def browse(asked: dict[str, Any]) -> dict[str, Any]:
        node = asked.get("node")
        if not isinstance(node, str | None):
            raise Refused('"node" is the id of a node as text, or null for the root', status=400)
        device = _without_tags(draft_device(asked.get("device"), base=base, env=env))
        found = await explorers.ask(device, lambda explorer: explorer.browse(node))
        return {"nodes": [_plain(one) for one in found]}

    async def search(asked: dict[str, Any]) -> dict[str, Any]:
        text, limit = asked.get("text"), asked.get("limit", _USUALLY_FOUND)
        if not isinstance(text, str) or not text.strip():
            raise Refused('the search needs a "text" to look for', status=400)
        if not isinstance(limit, int) or not 1 <= limit <= _MOST_FOUND:
            raise Refused(f'"limit" is a whole number from 1 to {_MOST_FOUND}', status=400)
        device = _without_tags(draft_device(asked.get("device"), base=base, env=env))
        found, complete = await explorers.ask(device, lambda explorer: explorer.search(text, limit))
        return {"nodes": [_plain(one) for one in found], "complete": complete}

    async def read(asked: dict[str, Any]) -> dict[str, Any]:
        device = draft_device(asked.get("device"), base=base, env=env)
        found = await explorers.ask(device, lambda explorer: explorer.read())
        return {
            "readings": [
                {
                    "tag": tag,
                    "value": plain_value(reading.value),
                    "quality": quality(reading.status),
                    "ts": reading.ts_ns / 1e6,
                    "status": f"0x{reading.status:04X}0000",
                }
                for tag, reading in found
            ]
        }

    async def live(asked: dict[str, Any]) -> dict[str, Any]:
        return {"readings": live_readings(latest, points, device=asked.get("device"))}

    async def test_uplink(asked: dict[str, Any]) -> dict[str, Any]:
        return await try_broker(asked.get("uplink"), gateway_id=gateway_id, base=base, env=env)

    return {
        ("GET", "/status"): get_status,
        ("GET", "/schema"): get_schema,
        ("GET", "/config"): config.show,
        ("POST", "/config/check"): config.check,
        ("POST", "/config/apply"): config.apply,
        ("GET", "/config/versions"): config.list_versions,
        ("POST", "/browse"): browse,
        ("POST", "/search"): search,
        ("POST", "/read"): read,
        ("GET", "/live"): live,
        ("POST", "/uplink/test"): test_uplink,
    }


def _plain(node: Node) -> dict[str, Any]:
    return {**node._asdict(), "keys": dict(node.keys)}


def _without_tags(device: DeviceSettings) -> DeviceSettings:
    """The device as far as its tree is concerned: ticking a tag is not to open another connection."""
    return msgspec.structs.replace(device, tags=[], tags_file=None) if hasattr(device, "tags") else device
