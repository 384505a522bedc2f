"""The one contract of every southbound protocol.

An adapter reads one device. It runs until it is cancelled or its source is lost, and hands over whole batches:

- `await emit(batch)` returns once the batch is durable. That wait is the back-pressure, and the moment after which a
  source may be told that its readings have arrived.
- The adapter never retries a lost connection: it raises `SourceLost`, and `gateway.supervise` runs it again. Nothing
  about one failed tag or one odd value is a lost source: that is counted, and the rest goes on.
- Readings that the device should have given and that are known to be missing are emitted with bad status or marked
  `Flag.LOST_BEFORE`, or told to `Context.missing`; nothing is made up, and a last good value is never repeated as if it
  were fresh.

Beside the adapter a protocol may offer an `Explorer`: a connection of its own, with which a person looks at a device
that need not be running, or not yet be in any file. And an adapter may be a `Writer`. Neither is on the readings' way.

A new protocol is one folder that offers a `Protocol`, and one line in `adapters/registry.py`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, runtime_checkable
from typing import Protocol as TypingProtocol

from gateway.batch import Batch, Kind, Reading, Value
from gateway.config.models import DeviceSettings
from gateway.metrics import Metrics

__all__ = [
    "NOWHERE",
    "Adapter",
    "Context",
    "Emit",
    "Explore",
    "Explorer",
    "Memory",
    "Missing",
    "Node",
    "PointSpec",
    "Protocol",
    "Site",
    "Survey",
    "Surveyor",
    "Variable",
    "Writer",
]


class Emit(TypingProtocol):
    """Hands a batch over."""

    def __call__(self, batch: Batch, mark: bytes = b"", /) -> Awaitable[None]:
        """Returns once the batch is durable, or, with `hold_ms`, acknowledged by the broker.

        Args:
            batch: the readings.
            mark: what `Memory.recall` is to give from now on. It is committed with the batch: after a crash either both
                are there or none. Where the filters left nothing of the batch, or the broker took it before it was
                written, it may follow some seconds later.
        """


class Memory(TypingProtocol):
    """What an adapter knows in its next life, also when this one ends by SIGKILL. Each device has its own.

    It may be lost (a damaged disk), so nothing may depend on it but the knowledge that something can be gone on with.
    """

    @property
    def wanted(self) -> bool:
        """Whether the device will be read again; False once it was taken out of the configuration."""

    async def recall(self) -> tuple[bytes, bytes]:
        """What was kept last, and the last mark; empty where there is none."""

    async def keep(self, state: bytes) -> bool:
        """Keeps a few kilobytes; empty forgets. Says whether it is durable: the disk may refuse."""


class Missing(TypingProtocol):
    """Takes what an adapter knows to be missing. What is marked `Flag.LOST_BEFORE` need not be told once more."""

    def missed(self, cause: str, *, points: Collection[int] | None = None, group: str | None = None) -> None:
        """Readings are missing since the last good one, until a good one comes.

        Args:
            cause: one of `gateway.gap.CAUSES`.
            points: whose readings, by the points' numbers; None: the whole device's. Then readings that are marked
                `Flag.LOST_BEFORE` because of this tell of no other gap.
            group: what these points are called, such as `unit 3`.
        """

    def resumed(self) -> None:
        """Nothing is missing although the gateway, or the connection, was away."""

    def clock(self, *, is_off: bool) -> None:
        """Whether readings have the gateway's time from now on because the device's clock is off."""


class _Nobody:
    def missed(self, cause: str, *, points: Collection[int] | None = None, group: str | None = None) -> None:
        pass

    def resumed(self) -> None:
        pass

    def clock(self, *, is_off: bool) -> None:
        pass


@dataclass(frozen=True, slots=True)
class PointSpec:
    """What one tag of a device becomes in the point table.

    Attributes:
        tag: the last segment of its path.
        unit: its engineering unit.
        kind: of its values; None where the device decides per reading.
        thin_error: how far a reading that is thinned may be from the line between its neighbours; None: none is.
    """

    tag: str
    unit: str
    kind: Kind | None
    thin_error: float | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """What all devices of one gateway have in common.

    Attributes:
        gateway: the gateway's id.
        pki: folder of its certificates, and of those that it trusts; None where it has none.
    """

    gateway: str = "tidegate"
    pki: Path | None = None


NOWHERE: Final = Site()
"""The site of a device that is looked at without a gateway: it has no certificates."""


@dataclass(frozen=True, slots=True)
class Context:
    """What an adapter is given besides its settings.

    Attributes:
        points: number of each tag's point, in the order of `Protocol.points`.
        metrics: where failed requests and dropped readings are counted.
        now_ns: UTC nanoseconds since 1970.
        live: called with True once readings flow, and again after each change; the adapter's own word on its state.
        facts: what status shows of this device (negotiated limits, measured cycle time); the adapter writes it. What is
            a function there is called when somebody asks.
        site: what it has in common with the gateway's other devices.
        memory: what outlives the process; None where nothing does.
        missing: takes what is known to be missing; it becomes a gap that is stored with a batch.
    """

    points: Sequence[int]
    metrics: Metrics
    now_ns: Callable[[], int] = time.time_ns
    live: Callable[[bool], None] = lambda _up: None
    facts: dict[str, Any] = field(default_factory=dict)
    site: Site = NOWHERE
    memory: Memory | None = None
    missing: Missing = field(default_factory=_Nobody)


class Adapter(TypingProtocol):
    """Reads one device."""

    async def run(self, emit: Emit) -> None:
        """Connects, reads and emits until cancelled. Leaves no connection and no task behind.

        Raises:
            SourceLost: the device cannot be reached or went away.
        """


@runtime_checkable
class Writer(TypingProtocol):
    """An adapter that can also write, over the connection it reads with."""

    async def write(self, tag: str, value: Value) -> Reading:
        """Writes one value and reads it back.

        Args:
            tag: name of a tag in the device's settings.
            value: what to write, as a reading of the tag would show it.

        Returns:
            What the device shows after the write.

        Raises:
            SourceLost: the device cannot be reached now.
            TidegateError: the tag is unknown, may not be written, or the device refused; the text says which.
        """


class Node(NamedTuple):
    """One thing in a device's tree, for people.

    Attributes:
        id: how the settings name it, such as `ns=2;s=Press.Force`.
        name: what it is called.
        path: the names from the root to it, joined by slashes.
        kind: what it is, in the protocol's words: folder, object, variable.
        type: its type of value; empty where it has no value.
        value: its value now, as text; empty where it was not read.
        writable: whether this user may write it.
        children: whether there may be something below it.
        keys: what a tag that reads all of it says besides its name and id, such as the number of an array's elements.
    """

    id: str
    name: str
    path: str
    kind: str
    type: str
    value: str
    writable: bool
    children: bool
    keys: Mapping[str, object] = MappingProxyType({})


class Explorer(TypingProtocol):
    """A connection to look at a device with. Used by one caller at a time."""

    async def browse(self, node: str | None) -> list[Node]:
        """What is right below a node; None is the root.

        Raises:
            SourceLost: the device went away.
            TidegateError: there is no such node, or the protocol has no tree.
        """

    async def search(self, text: str, limit: int) -> tuple[list[Node], bool]:
        """Nodes whose name has the text in it, at most `limit`, and whether these are all of them.

        Raises:
            SourceLost: the device went away.
            TidegateError: the protocol has no tree.
        """

    async def read(self) -> list[tuple[str, Reading]]:
        """Every tag of the settings, read once now, as (tag name, reading). A tag that fails is a bad reading.

        Raises:
            SourceLost: the device went away.
        """


class Variable(NamedTuple):
    """One variable of a device's tree, as a tag would read it.

    Attributes:
        path: the names from the root to it, joined by slashes.
        keys: the keys of a tag that reads it, but for its name, as a file of tags has them.
        type: its type of value.
        writable: whether this user may write it.
    """

    path: str
    keys: dict[str, str]
    type: str
    writable: bool


class Survey(NamedTuple):
    """What is to be listed of a device's tree.

    Attributes:
        root: id or path of the node to begin with; None is the root.
        enter: whether what is at a path, and all that is below it, is looked at.
        wanted: whether the variable at a path is listed.
        by_uri: name things in the way that survives a change at the device, where there is one.
        properties: list what only describes other variables as well.
    """

    root: str | None = None
    enter: Callable[[str], bool] = lambda _path: True
    wanted: Callable[[str], bool] = lambda _path: True
    by_uri: bool = False
    properties: bool = False


@runtime_checkable
class Surveyor(TypingProtocol):
    """An explorer that can list whole trees, however large."""

    def survey(self, asked: Survey) -> AsyncIterator[list[Variable]]:
        """The variables, some at a time, in the device's order.

        Raises:
            SourceLost: the device went away.
            TidegateError: there is no such node, or not all could be looked at; the text says which.
        """


class Explore(TypingProtocol):
    """Opens a connection to look at a device with."""

    def __call__(self, settings: Any, site: Site = ..., /) -> AbstractAsyncContextManager[Explorer]:  # noqa: ANN401
        """The connection; entering it raises `SourceLost` where the device cannot be reached."""


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
        explore: opens a connection to look at a device with, from its settings and the site; entering it raises
            `SourceLost` where the device cannot be reached. None where the protocol does not offer that.
        surveys: whether its explorer is a `Surveyor`: the protocol has names to list.
        check_together: mistakes between several devices of the protocol, as (place in the list, key path below the
            device, what to do). None where there are none to be made.
        plan_together: lines for `tidegate check` about what several devices share. None where they share nothing.
    """

    name: str
    settings: type[DeviceSettings]
    check: Callable[[Any], list[tuple[str, str]]]
    points: Callable[[Any], list[PointSpec]]
    plan: Callable[[Any], list[str]]
    create: Callable[[Any, Context], Adapter]
    explore: Explore | None = None
    surveys: bool = False
    check_together: Callable[[Sequence[Any]], list[tuple[int, str, str]]] | None = None
    plan_together: Callable[[Sequence[Any]], list[str]] | None = None
