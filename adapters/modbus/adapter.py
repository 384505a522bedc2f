"""The poll loop of one Modbus device.

Polls start on a fixed grid of the monotonic clock. A poll that takes longer than the interval, be it for the device or
for `emit`, makes the next slots fall out; they are counted as `overrun` and never caught up. All readings of one poll
are one batch, or more where units fall silent meanwhile. The loop ends with `SourceLost` when no connection can be made
or no unit answers any more, after the readings that this makes bad have been emitted.

While it runs, tags can be written (`write`); how that and the polls share the connection is `line`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import groupby
from typing import Final

from adapters.base import Context, Emit
from adapters.modbus import texts
from adapters.modbus.errors import Unreachable
from adapters.modbus.items import resolve
from adapters.modbus.line import Line
from adapters.modbus.planner import plan_requests
from adapters.modbus.schedule import next_slot
from adapters.modbus.settings import ModbusSettings
from adapters.modbus.sweep import Harvest, Sweep
from adapters.modbus.units import Silence, Unit
from adapters.modbus.write import TagWriter
from gateway.batch import BAD_COMMUNICATION, Reading, Value
from gateway.errors import SourceLost, TidegateError

__all__ = ["ModbusAdapter"]

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
        # What the last run, when its source was lost, had said to be bad (the next one need not say it again), and the
        # units that were silent before it was lost.
        self._known_bad: dict[int, int] = {}
        self._known_silent: dict[int, Silence] = {}
        self._writer = TagWriter(settings, points=context.points, count=self._count, now_ns=context.now_ns)
        self._running: Sweep | None = None
        self._live: bool | None = None
        self._cycles = 0

    async def run(self, emit: Emit) -> None:
        """Polls and emits until cancelled. Leaves no connection and no task behind.

        Raises:
            SourceLost: no connection, or no unit answers.
        """
        settings = self._settings
        bad, self._known_bad = self._known_bad, {}
        line = Line(host=settings.host, port=settings.port, timeout_s=settings.timeout_s)
        self._running = self._sweep(line)
        try:
            await self._poll(self._running, bad, emit)
        finally:
            self._running = None
            if self._live:
                self._say_live(False)
            self._live = None  # the next run says it anew, also that nothing can be read from the first poll on
            line.end()
            await asyncio.sleep(0)  # the event loop closes an aborted connection's socket in its next turn

    async def write(self, tag: str, value: Value) -> Reading:
        """Writes one value between two polls, and reads it back. Sends it at most once.

        Which values a tag takes, and how they are rounded, is in `encode`.

        Args:
            tag: name of a tag.
            value: what to write, as a reading of the tag would show it.

        Returns:
            What the device shows after the write. A bad status means: the device has confirmed the write, but the tag
            could not be read back.

        Raises:
            SourceLost: the device is not connected; nothing was sent.
            TidegateError: the tag or the value does not allow it (nothing was sent), the device refused, or its answer
                leaves open whether it has done it; the text says which.
        """
        settings = self._settings
        item = next((item for item in self._items if item.name == tag), None)
        if item is None:
            raise TidegateError(texts.unknown_tag(settings, tag))
        write = self._writer.prepare(item, value)
        sweep = self._running
        if sweep is None:
            raise SourceLost(texts.not_running(settings, tag))
        if not any(unit.answers for unit in sweep.units if unit.unit_id == item.unit_id):
            raise SourceLost(texts.unit_away(settings, tag, item.unit_id))
        return await self._writer.write(sweep.line, item, write)

    async def _poll(self, sweep: Sweep, bad: dict[int, int], emit: Emit) -> None:
        clock = asyncio.get_running_loop().time
        slot_s = clock()
        while True:
            started_s = clock()
            # As it is before this cycle: that one may be lost because the whole device falls silent.
            silences = {unit.unit_id: unit.silence for unit in sweep.units if unit.silence is not None}
            harvest = Harvest(points=self._context.points, bad=bad, now_ns=self._context.now_ns)

            async def hand_over(harvest: Harvest = harvest) -> None:
                if batch := harvest.take():
                    await emit(batch)
                if harvest.answers:
                    self._say_live(True)

            lost = await self._read(sweep, harvest, hand_over)
            self._tell(sweep, bad, took_s=clock() - started_s)
            if batch := harvest.take():
                await emit(batch)
            if lost:
                self._known_bad, self._known_silent = bad, silences
                raise SourceLost(lost)
            self._say_live(harvest.answers > 0)
            await sweep.probe()
            slot_s, missed = next_slot(slot_s, now_s=clock(), interval_s=self._settings.interval_s)
            if missed:
                self._count("overrun", missed)
            await asyncio.sleep(slot_s - clock())

    async def _read(self, sweep: Sweep, harvest: Harvest, hand_over: Callable[[], Awaitable[None]]) -> str:
        """Reads all units once; says why the device is lost, where it is."""
        try:
            await sweep.read(harvest, hand_over)
        except Unreachable as error:
            self._count(error.cause, 1)
            harvest.bad(self._items, BAD_COMMUNICATION)
            return texts.no_connection(self._settings, error)
        if not sweep.all_silent:
            return ""
        return texts.no_answer(self._settings, [unit.unit_id for unit in sweep.units], causes=sweep.causes.values())

    def _sweep(self, line: Line) -> Sweep:
        settings = self._settings
        clock = asyncio.get_running_loop().time
        requests = plan_requests(self._items, max_registers=settings.max_registers, max_gap=settings.max_gap)
        silences, self._known_silent = self._known_silent, {}
        units = [
            Unit(unit_id, group, silence=silences.get(unit_id), now_s=clock())
            for unit_id, group in groupby(requests, key=lambda request: request.unit_id)
        ]
        return Sweep(
            units=sorted(units, key=lambda unit: unit.unit_id in silences),  # no unit waits for those
            line=line,
            points=self._context.points,
            count=self._count,
            clock=clock,
            interval_s=settings.interval_s,
            timeout_s=settings.timeout_s,
        )

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
            silent_units=[unit.unit_id for unit in sweep.units if unit.silent][: texts.MOST_LISTED],
            bad_tags=len(bad),
            bad_tag_names=[self._items[index].name for index in sorted(bad)[: texts.MOST_LISTED]],
        )
