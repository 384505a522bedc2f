"""What a command can be aimed at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import TypeAlias

from gateway.batch import Reading, Value
from gateway.policy import Device

__all__ = ["Target", "Write"]

Write: TypeAlias = Callable[[str, Value], Awaitable[Reading]]
"""`adapters.base.Writer.write`: writes one value to a tag and reads it back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One device as it runs now.

    Attributes:
        device: the device, as the policy knows it.
        tags: names of its tags.
        write: how to write; None where that is not possible.
        why_not: why `write` is None, in words.
    """

    device: Device
    tags: Collection[str]
    write: Write | None
    why_not: str = "it cannot be written to"
