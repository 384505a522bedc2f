"""The protocols this build speaks: one line each. The folder of a protocol is imported only when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from adapters.base import Protocol

__all__ = ["NAMES", "protocol"]

_FOLDERS = {
    "opcua": "adapters.opcua",
    "modbus": "adapters.modbus",
}

NAMES = tuple(_FOLDERS)


def protocol(name: str) -> Protocol:
    """The protocol of this name.

    Raises:
        KeyError: this build does not speak it.
    """
    return cast("Protocol", import_module(_FOLDERS[name]).PROTOCOL)
