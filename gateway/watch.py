"""Shows as states what the spool and the filters know of themselves: neither is a task that fails under supervision.

Once a second is enough for people; whatever is lost or held back meanwhile is counted where it happens. The wear of the
flash is measured at the same pace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from gateway.config.words import many
from gateway.health import Health, State
from gateway.spool import SpoolStats
from gateway.wasm.chain import Chain
from gateway.wasm.stage import FilterHealth
from gateway.wear import WearMeter

__all__ = ["Watch", "filter_state", "spool_state"]

INTERVAL_S: Final = 1.0


def spool_state(stats: SpoolStats) -> tuple[State, str]:
    """State of the spool, and why."""
    if stats.state == "failing":
        return State.DEGRADED, f"sources are held back: {stats.error}"
    if stats.quarantined is not None:
        return State.DEGRADED, (
            f"the database was damaged and is kept as {stats.quarantined}; a new one has taken its place. "
            f"{_rescue(stats)}; restart the gateway to clear this message"
        )
    if stats.notice:
        return State.UP, f"storing; {stats.notice}"
    if stats.forecast is not None and stats.forecast.too_short:
        # A wish that is not met harms nothing today; there is an alert for it.
        return State.UP, "storing; but database.autonomy_hours cannot be held at the rate of today: see its forecast"
    return State.UP, "storing"


def _rescue(stats: SpoolStats) -> str:
    if stats.rescuing:
        return f"What is whole in it is being carried over: {many(stats.rescued_readings, 'reading')} so far"
    lost = stats.dropped.get("spool_damaged", 0)
    return f"{many(stats.rescued_readings, 'reading')} were carried over, {lost} are lost and counted"


def filter_state(health: FilterHealth) -> tuple[State, str]:
    """State of one filter on one device, and why. The same words while it is tried again and fails again."""
    if health.state in ("failing", "parked"):
        return State.DEGRADED, f"{health.module} fails, its on_failure applies: {health.last_error}"
    return State.UP, "filtering"


class Watch:
    """Looks at the spool and at each device's filters.

    Args:
        health: where the states are set.
        spool: the spool's statistics as of now.
        chains: the filters of each device that is read.
        wear: what the flash bears.
        now_ns: UTC nanoseconds since 1970.
    """

    def __init__(
        self,
        *,
        health: Health,
        spool: Callable[[], SpoolStats],
        chains: Callable[[], Mapping[str, Chain]],
        wear: WearMeter,
        now_ns: Callable[[], int],
    ) -> None:
        self._health = health
        self._spool = spool
        self._chains = chains
        self._wear = wear
        self._now_ns = now_ns
        self._filters: set[str] = set()

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(INTERVAL_S)

    def look(self) -> None:
        """Sets the states as of now; forgets filters that are gone."""
        self._wear.look()
        self._health.set("spool", *spool_state(self._spool()))
        seen = set()
        for device, chain in self._chains().items():
            for one in chain.health(self._now_ns()):
                component = f"filter {one.name} on {device}"
                seen.add(component)
                self._health.set(component, *filter_state(one))
        for component in self._filters - seen:
            self._health.forget(component)
        self._filters = seen
