"""The one contract of every southbound protocol.

An adapter reads one device. It runs until it is cancelled or its source is lost, and hands over whole batches:

- `await emit(batch)` returns once the batch is durable. That wait is the back-pressure, and the moment after which a
  source may be told that its readings have arrived.
- The adapter never retries a lost connection: it raises `SourceLost`, and `gateway.supervise` runs it again. Nothing
  about one failed tag or one odd value is a lost source: that is counted, and the rest goes on.
- Readings that the device should have given and that are known to be missing are emitted with bad status or marked
  `Flag.LOST_BEFORE`; nothing is made up, and a last good value is never repeated as if it were fresh.

A new protocol is one folder that offers a `Protocol`, and one line in `adapters/registry.py`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from typing import Protocol as TypingProtocol

from gateway.batch import Batch, Kind
from gateway.config.models import DeviceSettings
from gateway.metrics import Metrics

__all__ = ["Adapter", "Context", "Emit", "PointSpec", "Protocol"]

Emit: TypeAlias = Callable[[Batch], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class PointSpec:
    """What one tag of a device becomes in the point table. `kind` is None where the device decides per reading."""

    tag: str
    unit: str
    kind: Kind | None


@dataclass(frozen=True, slots=True)
class Context:
    """What an adapter is given besides its settings.

    Attributes:
        points: number of each tag's point, in the order of `Protocol.points`.
        metrics: where failed requests and dropped readings are counted.
        now_ns: UTC nanoseconds since 1970.
        live: called with True once readings flow, and again after each change; the adapter's own word on its state.
        facts: what status shows of this device (negotiated limits, measured cycle time); the adapter writes it.
    """

    points: Sequence[int]
    metrics: Metrics
    now_ns: Callable[[], int] = time.time_ns
    live: Callable[[bool], None] = lambda _up: None
    facts: dict[str, Any] = field(default_factory=dict)


class Adapter(TypingProtocol):
    """Reads one device."""

    async def run(self, emit: Emit) -> None:
        """Connects, reads and emits until cancelled. Leaves no connection and no task behind.

        Raises:
            SourceLost: the device cannot be reached or went away.
        """


@dataclass(frozen=True, slots=True)
class Protocol:
    """What a protocol's folder offers. Importing the folder must not import the protocol's library: `create` does.

    Attributes:
        name: the value of a device's `type`.
        settings: the device model.
        check: semantic mistakes the model cannot express, as (key path below the device, what is wrong and what to do).
        points: the device's points, in the order of `Context.points`.
        plan: lines for `tidegate check`: what will be asked of the device, and how often.
        create: makes the adapter; imports the protocol's library.
    """

    name: str
    settings: type[DeviceSettings]
    check: Callable[[Any], list[tuple[str, str]]]
    points: Callable[[Any], list[PointSpec]]
    plan: Callable[[Any], list[str]]
    create: Callable[[Any, Context], Adapter]
