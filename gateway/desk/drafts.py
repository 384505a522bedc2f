"""Sections of a draft: one device or the uplink, checked as if they stood in the configuration file by themselves."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.check import load
from gateway.config.models import Config, DeviceSettings, UplinkSettings
from gateway.control.refusal import Refused
from gateway.errors import ConfigError, Problem

__all__ = ["draft_device", "draft_uplink"]

_DEVICE = "devices[0]."
_NAMELESS = "draft"


def draft_device(section: object, *, base: Path, env: Mapping[str, str] = os.environ) -> DeviceSettings:
    """A device's settings. One that has no name yet is called `draft`.

    Args:
        section: the device's section as plain data.
        base: folder that relative paths start from.
        env: the variables for `${NAME}`.

    Raises:
        Refused: it cannot be used; key paths are those below the device.
    """
    device = {"name": _NAMELESS} | _section(section, "device")
    return _checked({"devices": [device]}, base, env, below=_DEVICE).devices[0]


def draft_uplink(section: object, *, base: Path, env: Mapping[str, str] = os.environ) -> UplinkSettings:
    """The uplink's settings; the arguments are those of `draft_device`.

    Raises:
        Refused: it cannot be used.
    """
    uplink = _checked({"uplink": _section(section, "uplink")}, base, env).uplink
    assert uplink is not None
    return uplink


def _section(section: object, what: str) -> dict[str, Any]:
    if not isinstance(section, dict):
        raise Refused(f'the request needs the section "{what}" as an object', status=400)
    return section


def _checked(tree: dict[str, Any], base: Path, env: Mapping[str, str], *, below: str = "") -> Config:
    try:
        return load(base / "draft.json", env=env, text=json.dumps(tree))
    except ConfigError as error:
        problems = [Problem(problem.where.removeprefix(below), problem.what) for problem in error.problems]
        raise Refused("the draft cannot be used", status=422, problems=problems) from None
