"""What a target is, and the list of all."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

MODULES = (
    "tests.fuzz.modbus",
    "tests.fuzz.opcua",
    "tests.fuzz.opcua_parts",
    "tests.fuzz.opcua_answers",
    "tests.fuzz.spool",
)
"""Each has a `TARGETS`. Another decoder is another line in one of them, or another module here."""


@dataclass(frozen=True)
class Target:
    """One decoder.

    Attributes:
        name: what it is called, such as `modbus.rtu`.
        captures: sound inputs, which are damaged.
        feed: gives the decoder one input and judges what it does; raises where that is wrong. The source of randomness
            is for what else the decoder wants to know.
    """

    name: str
    captures: Sequence[bytes]
    feed: Callable[[bytes, Random], None]


def targets() -> list[Target]:
    return [target for module in MODULES for target in importlib.import_module(module).TARGETS]
