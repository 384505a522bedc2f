"""Looking at what runs: the latest readings as plain data, and a broker on trial."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.batch import Reading, Value, quality
from gateway.desk.drafts import draft_uplink
from gateway.errors import UplinkError
from gateway.latest import Latest
from gateway.points import PointTable
from gateway.uplink.probe import probe

__all__ = ["live_readings", "plain_value", "try_broker"]


def live_readings(latest: Latest, points: PointTable, *, device: str | None = None) -> list[dict[str, Any]]:
    """The latest reading of each point that passed the filters.

    Args:
        latest: keeps them.
        points: names of the tags.
        device: only this one's; None: all devices'.
    """
    return [
        {"device": name, "tag": points[reading.point].tag, "unit": points[reading.point].unit} | _plain(reading)
        for name in (latest.devices() if device is None else [device])
        for reading in latest.of(name)
    ]


def plain_value(value: Value) -> bool | int | float | str | None:
    """A value as JSON can hold it: bytes in hexadecimal."""
    return value.hex() if isinstance(value, bytes) else value


async def try_broker(
    section: object, *, gateway_id: str, base: Path, env: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """Whether a broker takes a draft's settings, and what it said.

    Args:
        section: the uplink's section as plain data.
        gateway_id: name of this gateway.
        base: folder that relative paths start from.
        env: the variables for `${NAME}`.

    Raises:
        Refused: the section itself is wrong.
    """
    settings = draft_uplink(section, base=base, env=env)
    try:
        return {"ok": True, "text": await probe(settings, gateway_id=gateway_id)}
    except UplinkError as error:
        return {"ok": False, "text": str(error)}


def _plain(reading: Reading) -> dict[str, Any]:
    return {
        "value": plain_value(reading.value),
        "quality": quality(reading.status),
        "ts": reading.ts_ns / 1e6,
    }
