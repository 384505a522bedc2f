"""The fleet: all the sources that are read now, by name, and changing which these are.

Changing has two steps. `prepare` builds all that the plan asks for and may fail; what is read is not touched by it.
`apply` puts it in place and cannot fail. Sources that the plan does not name are not touched by either.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.base import Site
from adapters.registry import protocol
from gateway.batch import Kind
from gateway.check import tags_of
from gateway.commands import Target
from gateway.config.models import Config, DeviceSettings, FilterSettings, ShadowSettings
from gateway.crew import Crew
from gateway.errors import ModuleError
from gateway.flow import Flow
from gateway.health import device_component
from gateway.latest import Latest
from gateway.metrics import Metrics
from gateway.missing import Missing
from gateway.points import PointTable
from gateway.reconcile import Plan
from gateway.source import Source
from gateway.spool import Memory
from gateway.states import States
from gateway.wasm.chain import Chain, build_chain
from gateway.wasm.host import Host

__all__ = ["Fleet", "Prepared"]

Denial = Callable[[DeviceSettings], str]
"""Why a device may not be read; empty where it may."""


@dataclass(slots=True)
class Prepared:
    """What `apply` will put in place; to be applied or discarded."""

    config: Config
    leaving: tuple[str, ...] = ()
    sources: dict[str, Source] = field(default_factory=dict)
    chains: dict[str, Chain] = field(default_factory=dict)

    def discard(self) -> None:
        """Gives back what was built."""
        for chain in (*self.chains.values(), *(source.chain for source in self.sources.values())):
            chain.close()


class Fleet:
    """The sources of one gateway.

    Args:
        host: runs the filters.
        flow: where batches go.
        points: the spool's point table.
        latest: forgets devices that are no longer read.
        crew: runs the sources' tasks.
        metrics: for the adapters.
        now_ns: UTC nanoseconds since 1970.
        memory: what the adapter of the device of this name remembers.
        denial: why a device may not be read.
        seen_before: when batches of each device were accepted last before the gateway was started, UTC ns.
    """

    def __init__(
        self,
        *,
        host: Host,
        flow: Flow,
        points: PointTable,
        latest: Latest,
        crew: Crew,
        metrics: Metrics,
        now_ns: Callable[[], int],
        memory: Callable[[str], Memory],
        denial: Denial = lambda _device: "",
        seen_before: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self._host = host
        self._flow = flow
        self._points = points
        self._latest = latest
        self._crew = crew
        self._metrics = metrics
        self._now_ns = now_ns
        self._memory = memory
        self._denial = denial
        self._seen_before = seen_before
        self.states = States(memory, lambda: self.chains)
        """What the filters remember."""
        self._sources: dict[str, Source] = {}
        self._idle: dict[str, str] = {}

    @property
    def sources(self) -> Mapping[str, Source]:
        """The devices that are read, by name."""
        return self._sources

    @property
    def chains(self) -> dict[str, Chain]:
        """The filters of each device that is read."""
        return {name: source.chain for name, source in self._sources.items()}

    @property
    def facts(self) -> dict[str, dict[str, Any]]:
        """What is known of each device of the configuration; nothing of one that is not read."""
        return {name: {} for name in self._idle} | {name: source.facts for name, source in self._sources.items()}

    def target(self, name: str) -> Target | None:
        """The device that commands of this name are aimed at; None where it is not read."""
        source = self._sources.get(name)
        return None if source is None else source.target

    async def warm(self, config: Config) -> None:
        """Compiles the modules of a configuration that nobody has compiled yet, while readings flow.

        It may take seconds. What cannot be loaded is told by who needs it.
        """
        wanted = [one for told in config.filters for one in (told, told.shadow) if one is not None]
        await asyncio.to_thread(self._load, wanted)

    def _load(self, wanted: Sequence[FilterSettings | ShadowSettings]) -> None:
        for one in wanted:
            with contextlib.suppress(ModuleError):
                self._host.load(one.module, Path(), one.sha256)

    def begin(self, config: Config) -> None:
        """Reads the devices of a configuration; for the start, when none is read.

        A filter that cannot start, or a library that is missing, costs its device only and is tried again.
        """
        for device in config.devices:
            if device.enabled and not self._denial(device):
                seen_ns = self._seen_before().get(device.name)
                self._sources[device.name] = self._build(config, device, seen_ns=seen_ns)
        self._show_idle(config)
        for source in self._sources.values():
            source.chain.start(self._now_ns())
            self.states.give(source.settings.name, source.chain)
            source.start()

    def prepare(self, plan: Plan, config: Config) -> Prepared:
        """Builds what a plan asks for.

        Args:
            plan: what is to be done.
            config: the configuration that it leads to.

        Raises:
            ModuleError: a filter cannot be started.
            TidegateError: a protocol's library is not there.
        """
        devices = {device.name: device for device in config.devices}
        prepared = Prepared(config, leaving=(*plan.stop, *plan.restart))
        ready = False
        try:
            for name in (*plan.start, *plan.restart):
                if not self._denial(devices[name]):
                    source = prepared.sources[name] = self._build(config, devices[name])
                    source.make()
                    self._start_filters(source.chain, name)
            for name in plan.rebuild:
                if name in self._sources:
                    chain = prepared.chains[name] = self._chain(config, devices[name], self._sources[name].points)
                    self._start_filters(chain, name)
            ready = True
        finally:
            if not ready:
                prepared.discard()
        return prepared

    async def apply(self, prepared: Prepared) -> None:
        """Puts in place what was prepared."""
        leaving = [self._sources.pop(name) for name in prepared.leaving if name in self._sources]
        await asyncio.gather(*(source.leave() for source in leaving))
        for source in leaving:
            self._latest.forget(source.settings.name)
            self._crew.gone(source.component)
            if source.settings.name not in prepared.sources:
                await self.states.forget(source.settings.name)
        for name, chain in prepared.chains.items():
            self._sources[name].use(chain)
        order = [device.name for device in prepared.config.devices]
        together = self._sources | prepared.sources
        self._sources = {name: together[name] for name in order if name in together}
        self._show_idle(prepared.config)
        for name, source in prepared.sources.items():
            self.states.give(name, source.chain)
            source.start()

    async def stop(self) -> None:
        """Ends all sources."""
        await asyncio.gather(*(source.stop() for source in self._sources.values()))

    def _build(self, config: Config, device: DeviceSettings, *, seen_ns: int | None = None) -> Source:
        specs = protocol(device.type).points(device)
        points = [
            self._points.intern(config.point_path(device, spec.tag), device=device.name, unit=spec.unit, kind=spec.kind)
            for spec in specs
        ]
        missing = Missing(
            device.name,
            tags=self._points.tags,
            latest=lambda: self._latest.of(device.name),
            now_ns=self._now_ns,
        )
        if seen_ns is not None:
            missing.stopped_before(seen_ns)
        return Source(
            device,
            points=points,
            chain=self._chain(config, device, points),
            flow=self._flow,
            crew=self._crew,
            metrics=self._metrics,
            now_ns=self._now_ns,
            site=Site(config.gateway.id, config.pki_dir),
            memory=self._memory(device.name),
            missing=missing,
            states=self.states,
        )

    def _chain(self, config: Config, device: DeviceSettings, points: list[int]) -> Chain:
        def derived(tag: str, unit: str, kind: Kind) -> int:
            return self._points.intern(config.point_path(device, tag), device=device.name, unit=unit, kind=kind)

        return build_chain(
            self._host,
            config.filters,
            device=device.name,
            points=list(zip(points, tags_of(device), strict=True)),
            base=Path(),
            intern=derived,
        )

    def _start_filters(self, chain: Chain, device: str) -> None:
        chain.start(self._now_ns())
        for one in chain.health(self._now_ns()):
            if one.failures:
                raise ModuleError(f"filter {one.name} cannot start on device {device}: {one.last_error}")

    def _show_idle(self, config: Config) -> None:
        """Says of each device that is not read why that is."""
        idle = {
            device.name: self._denial(device) if device.enabled else "disabled in the configuration"
            for device in config.devices
            if device.name not in self._sources
        }
        for name in self._idle.keys() - idle.keys() - self._sources.keys():
            self._crew.gone(device_component(name))
        for name, why in idle.items():
            self._crew.stopped(device_component(name), why)
        self._idle = idle
