"""What a gateway does now, and leading it to another configuration while it works.

Invariants
- `apply` changes nothing where anything that it needs cannot be built; once it has begun, it goes to the end.
- What needs a restart of the process stays as it was, and is told again with each further plan.
- Nothing that was accepted is lost: sources that leave are waited for, and what they had in the spool's hands is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from adapters.registry import protocol
from gateway import logs
from gateway.check import chain_of
from gateway.config.models import Config, DeviceSettings
from gateway.errors import ModuleError, SpoolError
from gateway.fleet import Fleet
from gateway.outlet import Outlet
from gateway.reconcile import Plan, UplinkChange, reconcile, settled
from gateway.spool import Spool
from gateway.states import memory_name
from gateway.thinrules import thinning_rules

__all__ = ["Running"]

log = logging.getLogger(__name__)

_FLUSH_S = 5.0


class Running:
    """One running gateway's configuration and what works by it.

    Args:
        config: what it runs with.
        fleet: its sources.
        outlet: its way to the broker.
        spool: where batches become durable.
    """

    def __init__(self, config: Config, *, fleet: Fleet, outlet: Outlet, spool: Spool) -> None:
        self.config = config
        self.fleet = fleet
        self._outlet = outlet
        self._spool = spool
        self._begun = asyncio.Event()

    async def begin(self) -> None:
        """Begins to read and to send. The spool is open."""
        self._spool.thin_by(thinning_rules(self.config))
        self._outlet.start(self.config)
        devices = [device.name for device in self.config.devices]
        await self._spool.forget_others([*devices, *map(memory_name, devices)])
        await self.fleet.states.recall(devices)
        await self.fleet.warm(self.config)
        self.fleet.begin(self.config)
        self._begun.set()

    def plan(self, config: Config) -> Plan:
        """What would be done to run with this configuration."""
        return reconcile(self.config, config, tags=_tags, derived=_derived)

    async def apply(self, config: Config, *, commit: Callable[[], Awaitable[None]]) -> Plan:
        """Runs with another configuration from now on.

        Args:
            config: checked.
            commit: makes the change last; called once everything is ready, and nothing is changed where it fails.

        Returns:
            What was done.

        Raises:
            TidegateError: it cannot be done, or `commit` failed; nothing has changed.
        """
        if not self._begun.is_set() and not await self._begins():
            raise SpoolError(
                "The configuration is not changed before the spool is open and the devices are read: "
                f"points get their numbers from it. {self._spool.stats.error}"
            )
        plan = self.plan(config)
        goal = settled(self.config, config)
        await self.fleet.warm(goal)
        prepared = self.fleet.prepare(plan, goal)
        committed = False
        try:
            await commit()
            committed = True
        finally:
            if not committed:
                prepared.discard()
        self.config = goal
        self._spool.thin_by(thinning_rules(goal))
        if plan.log_level is not None:
            logs.setup(plan.log_level)
        await self.fleet.apply(prepared)
        if plan.uplink is not UplinkChange.KEEP:
            await self._outlet.change(goal)
        if prepared.leaving:
            await self._find_orphans()
        log.info("applied a new configuration: %s", "; ".join(plan.changes) or "nothing that runs has changed")
        return plan

    async def _begins(self) -> bool:
        """Whether the gateway, which has been started just now, begins to read within a moment."""
        if not self._spool.is_open:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_S):
                await self._begun.wait()
        return self._begun.is_set()

    async def _find_orphans(self) -> None:
        """A source that was ended may have had a batch in the spool's hands, and then lives no more to offer it."""
        try:
            async with asyncio.timeout(_FLUSH_S):
                await self._spool.flush()
        except (TimeoutError, SpoolError):
            return  # The disk refuses; the uplink notices the rows it was not offered with the next one that it is.
        self._outlet.look_again(self._spool.stats.last_seq)


def _tags(device: DeviceSettings) -> list[str]:
    return [spec.tag for spec in protocol(device.type).points(device)]


def _derived(config: Config, device: DeviceSettings) -> list[str]:
    try:
        return [one.tag for step in chain_of(config, device) for one in step.derived]
    except ModuleError:  # a file that is gone makes nothing; building the chain tells
        return []
