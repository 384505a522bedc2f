"""The wiring: builds every room from the configuration, starts the long-lived tasks, and stops them in order.

All tasks live in one TaskGroup and each has a name. Start-up needs neither the network, nor a PLC, nor the broker:
what talks to them runs under `supervise`. Nor does it need the disk: while the spool cannot be opened, sources and
uplink are not begun, and everything that tells what is wrong works. Only three things are fatal: a configuration or a
policy that cannot be used, and a spool of another program or a newer version.

Stopping goes with the flow: no more changes and commands, then the sources, then what they emitted is committed, then
the uplink finishes what is in flight, then the spool is closed.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adapters.base import Site
from gateway import __version__, logs
from gateway.commands import Commands
from gateway.config.models import Config, DeviceSettings
from gateway.config.words import many
from gateway.control.server import ControlServer, Routes
from gateway.crew import Crew, Task, end
from gateway.desk import AuditedPermit, ConfigDesk, Explorers, desk_routes
from gateway.fleet import Fleet
from gateway.flow import Flow
from gateway.health import Health
from gateway.latest import Latest
from gateway.metrics import Metrics
from gateway.observe import Freshness, MetricsServer, Sight
from gateway.outlet import Outlet
from gateway.policy import Policy, collect_refusal, load_policy
from gateway.report import report
from gateway.running import Running
from gateway.spool import Audit, Spool
from gateway.systemd import Systemd
from gateway.together import until_one_ends
from gateway.wasm.host import Host
from gateway.watch import Watch
from gateway.wear import WearMeter

__all__ = ["Gateway", "run"]

log = logging.getLogger(__name__)

_FLUSH_S = 10.0


def run(config: Config, *, file: Path | None = None) -> int:
    """Runs a gateway until SIGTERM or SIGINT.

    Args:
        config: a checked configuration with absolute paths.
        file: where it was read from, and where changes to it are written.

    Returns:
        The process's exit status: 0 after a clean stop.

    Raises:
        TidegateError: the gateway could not start.
    """
    logs.setup(config.log.level)
    return asyncio.run(_run(config, file))


async def _run(config: Config, file: Path | None) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Gateway(config, file=file).run(stop)
    return 0


class Gateway:
    """One gateway in this process.

    Args:
        config: a checked configuration with absolute paths.
        file: where it was read from, and where changes to it are written; None where there is no file.
        now_ns: UTC nanoseconds since 1970.
    """

    def __init__(self, config: Config, *, file: Path | None = None, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._config = config
        self._file = file
        self._now_ns = now_ns
        self._began_ns = now_ns()
        self._metrics = Metrics()
        self._health = Health(now_ns)
        self._latest = Latest()
        self._freshness = Freshness()

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then stops in order.

        Raises:
            TidegateError: the policy cannot be used, or the spool is not ours.
        """
        config = self._config
        policy = load_policy(config.policy)
        spool = await Spool.open(
            Path(config.database.path),
            settings=config.database,
            metrics=self._metrics,
            now_ns=self._now_ns,
            patient=True,
        )
        try:
            with Host(
                cache_dir=config.wasm_cache_dir,
                memory_bytes=config.wasm.memory_bytes,
                batch_ms=config.wasm.batch_ms,
                metrics=self._metrics,
            ) as host:
                await self._work(spool, host, policy, stop)
        finally:
            await spool.close()
        log.info("stopped; everything that was accepted is on disk")

    async def _work(self, spool: Spool, host: Host, policy: Policy, stop: asyncio.Event) -> None:
        config = self._config
        async with asyncio.TaskGroup() as group:
            crew = Crew(group, health=self._health, metrics=self._metrics)
            committing = group.create_task(spool.run(), name="spool")
            outlet = Outlet(spool, crew=crew, metrics=self._metrics, now_ns=self._now_ns)
            fleet = Fleet(
                host=host,
                flow=Flow(
                    spool,
                    outlet,
                    self._metrics,
                    latest=self._latest,
                    freshness=self._freshness,
                    now_ns=self._now_ns,
                ),
                points=spool.points,
                latest=self._latest,
                crew=crew,
                metrics=self._metrics,
                now_ns=self._now_ns,
                memory=spool.memory,
                denial=self._denial(policy),
                seen_before=lambda: spool.seen_before,
            )
            wear = WearMeter(
                spool=lambda: spool.stats, endurance_tbw=config.database.endurance_tbw, clock=time.monotonic
            )
            audit = spool.audit(max_rows=config.commands.audit_rows)
            running = Running(config, fleet=fleet, outlet=outlet, spool=spool)
            explorers = Explorers(Site(config.gateway.id, config.pki_dir))
            desk = ConfigDesk(
                self._file,
                running=running,
                permit=AuditedPermit(
                    policy,
                    audit,
                    gateway_id=config.gateway.id,
                    role=config.policy.role,
                    now_ns=self._now_ns,
                ),
            )
            routes = desk_routes(
                status=lambda: self._status(spool, outlet, fleet, wear),
                config=desk,
                explorers=explorers,
                latest=self._latest,
                points=spool.points,
                gateway_id=config.gateway.id,
                base=Path.cwd() if self._file is None else self._file.absolute().parent,
            )
            sight = self._sight(spool, outlet, fleet, wear)
            probes: Routes = {("GET", "/healthz"): sight.answer_alive, ("GET", "/readyz"): sight.answer_ready}
            listening = crew.state_of("control", up="listening", down="closed")
            server = ControlServer(config.socket_path, routes={**routes, **probes}, live=listening)
            control = [crew.start("control", server.run)]
            if config.metrics is not None:
                listening = crew.state_of("metrics", up="listening", down="closed")
                control.append(crew.start("metrics", MetricsServer(config.metrics, sight=sight, live=listening).run))
            watch = Watch(
                health=self._health,
                spool=lambda: spool.stats,
                chains=lambda: fleet.chains,
                wear=wear,
                now_ns=self._now_ns,
            )
            control.append(crew.start("watch", watch.run, up="looking at the spool and the filters"))
            systemd = Systemd.from_environment(lambda: self._health.summary)
            if systemd is not None:
                control.append(crew.start("systemd", systemd.run, up="told that the gateway is alive"))
            commanding: list[Task] = []
            if await _opened(spool, stop):
                commanding = self._commanding(crew, fleet, outlet, policy, audit)
                await running.begin()
                control.append(crew.start("states", fleet.states.run, up="keeping what filters remember"))
                devices = many(len(fleet.sources), "device")
                log.info("gateway %s %s is running with %s", config.gateway.id, __version__, devices)
            await stop.wait()
            log.info("stopping")
            if systemd is not None:
                systemd.stopping()
            await desk.close()
            await end(*commanding)
            await fleet.stop()
            await fleet.states.keep()
            await _flush(spool)
            await outlet.stop()
            await explorers.close()
            await end(*control)
            await end(committing)

    def _commanding(self, crew: Crew, fleet: Fleet, outlet: Outlet, policy: Policy, audit: Audit) -> list[Task]:
        """The task that carries out commands, where they are enabled."""
        if not self._config.commands.enabled:
            return []
        commands = Commands(
            self._config.commands,
            gateway=self._config.gateway.id,
            policy=policy,
            audit=audit,
            target=fleet.target,
            send=outlet.reply,
            metrics=self._metrics,
            now_ns=self._now_ns,
        )
        outlet.on_command = commands.handle
        return [crew.start("commands", commands.run, up="taking commands")]

    def _denial(self, policy: Policy) -> Callable[[DeviceSettings], str]:
        config = self._config

        def denial(device: DeviceSettings) -> str:
            return collect_refusal(policy, device, gateway=config.gateway.id, role=config.policy.role) or ""

        return denial

    def _sight(self, spool: Spool, outlet: Outlet, fleet: Fleet, wear: WearMeter) -> Sight:
        return Sight(
            gateway_id=self._config.gateway.id,
            max_bytes=self._config.database.max_bytes,
            health=self._health,
            metrics=self._metrics,
            freshness=self._freshness,
            spool=lambda: spool.stats,
            uplink=lambda: outlet.status if outlet.configured else None,
            chains=lambda: fleet.chains,
            wear=lambda: wear.wear,
            now_ns=self._now_ns,
        )

    def _status(self, spool: Spool, outlet: Outlet, fleet: Fleet, wear: WearMeter) -> dict[str, Any]:
        return report(
            gateway_id=self._config.gateway.id,
            began_ns=self._began_ns,
            now_ns=self._now_ns(),
            health=self._health,
            metrics=self._metrics,
            spool=spool,
            uplink=outlet.status,
            chains=fleet.chains,
            facts=fleet.facts,
            wear=wear.wear,
        )


async def _opened(spool: Spool, stop: asyncio.Event) -> bool:
    """Waits until the spool is open, and says so; False where the gateway is to stop before."""
    if not spool.is_open:
        log.error("the gateway reads and sends nothing until its spool is open: %s", spool.stats.error)
        await until_one_ends("start", opened=spool.opened(), stop=stop.wait())
    return spool.is_open and not stop.is_set()


async def _flush(spool: Spool) -> None:
    try:
        async with asyncio.timeout(_FLUSH_S):
            await spool.flush()
    except TimeoutError:
        # The disk refuses. What waits was never accepted: no source was told that it has arrived.
        log.error("stopping although the spool cannot write: %s", spool.stats.error)
