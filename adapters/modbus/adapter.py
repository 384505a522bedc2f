"""The poll loop of one Modbus device.

Polls start on a fixed grid of the monotonic clock. A poll that takes longer than the interval, be it for the device or
for `emit`, makes the next slots fall out; they are counted as `overrun` and never caught up. All readings of one poll
are one batch. The loop ends with `SourceLost` when no connection can be made or no unit answers any more, after the
readings that this makes bad have been emitted.
"""

from __future__ import annotations

import asyncio
from itertools import groupby
from typing import Final

from adapters.base import Context, Emit
from adapters.modbus.errors import Unreachable
from adapters.modbus.items import resolve
from adapters.modbus.planner import plan_requests
from adapters.modbus.schedule import next_slot
from adapters.modbus.settings import ModbusSettings
from adapters.modbus.sweep import Harvest, Sweep
from adapters.modbus.transport import Line
from adapters.modbus.units import Unit
from gateway.batch import BAD_COMMUNICATION
from gateway.errors import SourceLost

__all__ = ["ModbusAdapter"]

_MOST_LISTED: Final = 20
_MEAN_OVER_CYCLES: Final = 100


class ModbusAdapter:
    """Polls one Modbus TCP device, or the units behind one gateway.

    Args:
        settings: the device, free of mistakes (`items.check`).
        context: see `adapters.base`.
    """

    def __init__(self, settings: ModbusSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._items = resolve(settings)
        # What the last run, when its source was lost, had said to be bad: the next one need not say it again.
        self._known_bad: dict[int, int] = {}
        self._live = False
        self._cycles = 0

    async def run(self, emit: Emit) -> None:
        """Polls and emits until cancelled. Leaves no connection and no task behind.

        Raises:
            SourceLost: no connection, or no unit answers.
        """
        settings = self._settings
        bad, self._known_bad = self._known_bad, {}
        line = Line(host=settings.host, port=settings.port, timeout_s=settings.timeout_s)
        try:
            await self._poll(self._sweep(line), bad, emit)
        finally:
            self._say_live(False)
            line.close()
            await asyncio.sleep(0)  # the event loop closes an aborted connection's socket in its next turn

    async def _poll(self, sweep: Sweep, bad: dict[int, int], emit: Emit) -> None:
        clock = asyncio.get_running_loop().time
        slot_s = clock()
        while True:
            started_s = clock()
            harvest = Harvest(points=self._context.points, bad=bad, now_ns=self._context.now_ns)
            lost = await self._read(sweep, harvest)
            self._tell(sweep, bad, took_s=clock() - started_s)
            if batch := harvest.batch():
                await emit(batch)
            if lost:
                self._known_bad = bad
                raise SourceLost(lost)
            self._say_live(harvest.answers > 0)
            await sweep.probe()
            slot_s, missed = next_slot(slot_s, now_s=clock(), interval_s=self._settings.interval_s)
            if missed:
                self._count("overrun", missed)
            await asyncio.sleep(slot_s - clock())

    async def _read(self, sweep: Sweep, harvest: Harvest) -> str:
        """Reads all units once; says why the device is lost, where it is."""
        try:
            await sweep.read(harvest)
        except Unreachable as error:
            self._count(error.cause, 1)
            harvest.bad(self._items, BAD_COMMUNICATION)
            return (
                f"{self._settings.name}: no Modbus connection to {self._where}: {error}. Check the address, "
                "that the device is powered and in the network, and that it has a connection to spare"
            )
        if not sweep.all_silent:
            return ""
        ids = [str(unit.unit_id) for unit in sweep.units]
        more = f" and {len(ids) - _MOST_LISTED} more" if len(ids) > _MOST_LISTED else ""
        return (
            f"{self._settings.name}: {self._where} takes the connection, but no unit answers "
            f"(asked: {', '.join(ids[:_MOST_LISTED])}{more}; waited {self._settings.timeout_s:g} s for each). "
            "Check unit_id, timeout_s, and the serial line if this is a gateway"
        )

    def _sweep(self, line: Line) -> Sweep:
        settings = self._settings
        requests = plan_requests(self._items, max_registers=settings.max_registers, max_gap=settings.max_gap)
        return Sweep(
            units=[Unit(unit_id, group) for unit_id, group in groupby(requests, key=lambda request: request.unit_id)],
            line=line,
            points=self._context.points,
            count=self._count,
            clock=asyncio.get_running_loop().time,
            interval_s=settings.interval_s,
            timeout_s=settings.timeout_s,
        )

    @property
    def _where(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"

    def _count(self, cause: str, times: int) -> None:
        self._context.metrics.source_errors.labels(self._settings.name, cause).inc(times)

    def _say_live(self, live: bool) -> None:
        if live != self._live:
            self._live = live
            self._context.live(live)

    def _tell(self, sweep: Sweep, bad: dict[int, int], *, took_s: float) -> None:
        facts = self._context.facts
        took_ms = took_s * 1000
        self._cycles = min(self._cycles + 1, _MEAN_OVER_CYCLES)
        mean_ms = facts.get("mean_cycle_ms", took_ms)
        asked = [request for unit in sweep.units if not unit.silent for request in unit.asked]
        facts.update(
            requests=len(asked),
            registers=sum(request.count for request in asked if not request.table.is_bits),
            bits=sum(request.count for request in asked if request.table.is_bits),
            cycle_ms=round(took_ms, 3),
            mean_cycle_ms=round(mean_ms + (took_ms - mean_ms) / self._cycles, 3),
            silent_units=[unit.unit_id for unit in sweep.units if unit.silent][:_MOST_LISTED],
            bad_tags=len(bad),
            bad_tag_names=[self._items[index].name for index in sorted(bad)[:_MOST_LISTED]],
        )
