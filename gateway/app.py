"""The wiring: builds every room from the configuration, starts the long-lived tasks, and stops them in order.

All tasks live in one TaskGroup and each has a name. Start-up needs neither the network, nor a PLC, nor the broker:
what talks to them runs under `supervise`. Only two things are fatal: a configuration that cannot be used, and a spool
that cannot be opened.

Stopping goes with the flow: sources first, then what they emitted is committed, then the uplink finishes what is in
flight, then the spool is closed.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

from adapters.base import Adapter, Context, Emit
from adapters.registry import protocol
from gateway import __version__, logs
from gateway.config.models import Config, DeviceSettings
from gateway.control.server import ControlServer
from gateway.flow import Flow
from gateway.health import Health, State
from gateway.metrics import Metrics
from gateway.report import report
from gateway.spool import Spool
from gateway.supervise import Backoff, supervise
from gateway.uplink import Uplink
from gateway.wasm.chain import Chain, build_chain
from gateway.wasm.host import Host

__all__ = ["Gateway", "run"]

log = logging.getLogger(__name__)

Work: TypeAlias = Callable[[], Awaitable[None]]

_BACKOFF = Backoff()
_FLUSH_S = 10.0


def run(config: Config) -> int:
    """Runs a gateway until SIGTERM or SIGINT.

    Args:
        config: a checked configuration with absolute paths.

    Returns:
        The process's exit status: 0 after a clean stop.

    Raises:
        TidegateError: the gateway could not start.
    """
    logs.setup(config.log.level)
    return asyncio.run(_run(config))


async def _run(config: Config) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Gateway(config).run(stop)
    return 0


class Gateway:
    """One gateway in this process.

    Args:
        config: a checked configuration with absolute paths.
        now_ns: UTC nanoseconds since 1970.
    """

    def __init__(self, config: Config, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._config = config
        self._now_ns = now_ns
        self._began_ns = now_ns()
        self._metrics = Metrics()
        self._health = Health(now_ns)
        self._chains: dict[str, Chain] = {}
        self._facts: dict[str, dict[str, Any]] = {}
        self._spool: Spool | None = None
        self._uplink: Uplink | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then stops in order.

        Raises:
            TidegateError: the spool or a module cannot be used.
        """
        config = self._config
        spool = await Spool.open(
            Path(config.database.path), settings=config.database, metrics=self._metrics, now_ns=self._now_ns
        )
        try:
            with Host(
                cache_dir=config.wasm_cache_dir,
                memory_bytes=config.wasm.memory_bytes,
                batch_ms=config.wasm.batch_ms,
                metrics=self._metrics,
            ) as host:
                await self._work(spool, host, stop)
        finally:
            await spool.close()
        log.info("stopped; everything that was accepted is on disk")

    async def _work(self, spool: Spool, host: Host, stop: asyncio.Event) -> None:
        config = self._config
        self._spool = spool
        if config.uplink is not None:
            self._uplink = Uplink(
                config.uplink,
                config.offline,
                gateway_id=config.gateway.id,
                spool=spool,
                points=spool.points,
                metrics=self._metrics,
                now_ns=self._now_ns,
                live=self._state_of("uplink", up="connected", down="not connected"),
            )
        flow = Flow(spool, self._uplink, self._metrics, self._now_ns)
        sources = [(device, self._source(device, host, flow)) for device in config.devices if device.enabled]
        async with asyncio.TaskGroup() as group:
            committing = group.create_task(spool.run(), name="spool")
            control = group.create_task(self._supervised("control", self._control().run), name="control")
            uplink = None
            if self._uplink is not None:
                backoff = Backoff(most_s=config.offline.sync_interval, steady_s=5.0)
                uplink = group.create_task(self._supervised("uplink", self._uplink.run, backoff), name="uplink")
            devices = [
                group.create_task(self._supervised(f"device {device.name}", source), name=f"device {device.name}")
                for device, source in sources
            ]
            log.info("gateway %s %s is running with %d devices", config.gateway.id, __version__, len(devices))
            await stop.wait()
            log.info("stopping")
            await _end(devices)
            await _flush(spool)
            if uplink is not None:
                await _end([uplink])
            await _end([control])
            await _flush(spool)
            await _end([committing])

    def _source(self, device: DeviceSettings, host: Host, flow: Flow) -> Work:
        """What reads this device, to be run under supervision."""
        assert self._spool is not None
        speaks = protocol(device.type)
        specs = speaks.points(device)
        points = [
            self._spool.points.intern(
                self._config.point_path(device, spec.tag), device=device.name, unit=spec.unit, kind=spec.kind
            )
            for spec in specs
        ]
        chain = build_chain(
            host,
            self._config.filters,
            device=device.name,
            points=[(point, spec.tag) for point, spec in zip(points, specs, strict=True)],
            base=Path(),
        )
        self._chains[device.name] = chain
        emit: Emit = flow.emit(device.name, chain)
        facts = self._facts.setdefault(device.name, {})
        context = Context(
            points=points,
            metrics=self._metrics,
            now_ns=self._now_ns,
            live=self._state_of(f"device {device.name}", up="reading", down="silent"),
            facts=facts,
        )

        adapters: list[Adapter] = []

        async def read() -> None:
            # Made at the first attempt, not at start: a library that fails to import costs its device only. Kept for
            # the next ones: an adapter remembers which tags it has already shown as bad.
            if not adapters:
                adapters.append(speaks.create(device, context))
            facts.clear()
            await adapters[0].run(emit)

        return read

    def _control(self) -> ControlServer:
        return ControlServer(
            self._config.socket_path,
            status=self._status,
            live=self._state_of("control", up="listening", down="closed"),
        )

    def _state_of(self, component: str, *, up: str, down: str) -> Callable[[bool], None]:
        def tell(is_up: bool) -> None:
            self._health.set(component, State.UP if is_up else State.DEGRADED, up if is_up else down)

        return tell

    async def _supervised(self, name: str, work: Work, backoff: Backoff = _BACKOFF) -> None:
        await supervise(name, work, health=self._health, metrics=self._metrics, backoff=backoff)

    def _status(self) -> dict[str, Any]:
        assert self._spool is not None
        return report(
            gateway_id=self._config.gateway.id,
            began_ns=self._began_ns,
            now_ns=self._now_ns(),
            health=self._health,
            metrics=self._metrics,
            spool=self._spool,
            uplink=self._uplink,
            chains=self._chains,
            facts=self._facts,
        )


async def _flush(spool: Spool) -> None:
    try:
        async with asyncio.timeout(_FLUSH_S):
            await spool.flush()
    except TimeoutError:
        # The disk refuses. What waits was never accepted: no source was told that it has arrived.
        log.error("stopping although the spool cannot write: %s", spool.stats.error)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
