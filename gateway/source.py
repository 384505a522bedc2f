"""One source: a device with its adapter, its chain of filters, and the task in which it is read.

Invariants
- The adapter is made once and kept over its lives: it remembers which tags it has already shown as bad.
- The chain is replaced between two batches, and the old one gives its memory back at once.
- Ended at any moment, it loses nothing that was accepted: a batch in the spool's hands is stored all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adapters.base import Adapter, Context, Site, Writer
from adapters.registry import protocol
from gateway.batch import Reading, Value
from gateway.commands import Target
from gateway.config.models import DeviceSettings
from gateway.crew import Crew, Task, end
from gateway.errors import TidegateError
from gateway.flow import Flow
from gateway.health import device_component
from gateway.metrics import Metrics
from gateway.missing import Missing
from gateway.policy import Device
from gateway.spool import Memory
from gateway.states import States
from gateway.wasm.chain import Chain

__all__ = ["Source"]


class Source:
    """Reads one device.

    Args:
        settings: the device.
        points: number of each tag's point, in the protocol's order.
        chain: its filters; closed with the source.
        flow: where its batches go.
        crew: runs its task.
        metrics: for the adapter.
        now_ns: UTC nanoseconds since 1970.
        site: what it has in common with the gateway's other devices.
        memory: what the adapter remembers of the device.
        missing: what is missing of the device.
        states: keeps what its filters remember.
    """

    def __init__(
        self,
        settings: DeviceSettings,
        *,
        points: list[int],
        chain: Chain,
        flow: Flow,
        crew: Crew,
        metrics: Metrics,
        now_ns: Callable[[], int],
        site: Site,
        memory: Memory,
        missing: Missing,
        states: States,
    ) -> None:
        self._states = states
        self.settings = settings
        self.points = points
        self.chain = chain
        self.facts: dict[str, Any] = {}
        """What the adapter says of its device, for status."""
        self._crew = crew
        self._emit = flow.emit(settings.name, lambda: self.chain, missing=missing)
        self._context = Context(
            points=points,
            metrics=metrics,
            now_ns=now_ns,
            live=crew.state_of(self.component, up="reading", down="none of its tags can be read"),
            facts=self.facts,
            site=site,
            memory=memory,
            missing=missing,
        )
        self._memory = memory
        self._adapter: Adapter | None = None
        self._task: Task | None = None

    @property
    def component(self) -> str:
        """Its name in states, logs and metrics."""
        return device_component(self.settings.name)

    def make(self) -> Adapter:
        """The adapter; made, and its protocol's library imported, at the first call.

        Raises:
            TidegateError: the library is not there.
        """
        if self._adapter is None:
            try:
                self._adapter = protocol(self.settings.type).create(self.settings, self._context)
            except ImportError as error:
                raise TidegateError(
                    f"{self.component}: the library for {self.settings.type} cannot be loaded: {error}. "
                    "Install the gateway anew"
                ) from None
        return self._adapter

    def start(self) -> None:
        """Begins to read."""
        self._task = self._crew.start(self.component, self._read)

    async def leave(self) -> None:
        """Ends the reading for good: neither the device nor we keep anything for another time."""
        self._memory.wanted = False
        await self.stop()
        await self._memory.keep(b"")

    async def stop(self) -> None:
        """Ends the reading and waits until nothing of it is left here."""
        if self._task is not None:
            await end(self._task)
            self._task = None
        self._states.take(self.settings.name, self.chain)
        self.chain.close()

    def use(self, chain: Chain) -> None:
        """Filters with another chain from the next batch on; it goes on from what the old one remembers."""
        self._states.take(self.settings.name, self.chain)
        self._states.give(self.settings.name, chain)
        self.chain.close()
        self.chain = chain

    @property
    def target(self) -> Target:
        """The device as commands are aimed at it."""
        writes = isinstance(self._adapter, Writer)
        return Target(
            device=Device.of(self.settings),
            tags=[spec.tag for spec in protocol(self.settings.type).points(self.settings)],
            write=self.write if writes else None,
            why_not="it has not been read yet" if self._adapter is None else f"{self.settings.type} is only read here",
        )

    async def write(self, tag: str, value: Value) -> Reading:
        """Writes one value to the device, over the connection it is read with, and reads it back.

        Args:
            tag: name of one of its tags.
            value: what to write.

        Raises:
            SourceLost: the device cannot be reached now.
            TidegateError: it cannot be written to, or refused; the text says which.
        """
        if not isinstance(self._adapter, Writer):
            raise TidegateError(f"{self.component}: writing {tag} is not possible: {self.target.why_not}")
        return await self._adapter.write(tag, value)

    async def _read(self) -> None:
        adapter = self.make()
        self.facts.clear()
        await adapter.run(self._emit)
