"""The poll loop of one Modbus device.

Each scan class has a fixed grid on the monotonic clock. A cycle that takes longer than its interval, be it for the
device or for `emit`, makes the next slots fall out; they are counted as `overrun` and never caught up. Where several
classes are due, the one with the shortest interval goes first, and it may come between two requests of a slower one.
All readings of one cycle are one batch, or more where units fall silent meanwhile. What time is left belongs to the
probes of silent units. The loop ends with `SourceLost` when no connection can be made or no unit answers any more,
after the readings that this makes bad have been emitted.

While it runs, tags can be written (`write`); how that and the polls share the connection is `line`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple, cast

from adapters.base import Context, Emit
from adapters.modbus import texts
from adapters.modbus.ages import Ages
from adapters.modbus.endpoint import endpoint_of
from adapters.modbus.errors import Unreachable
from adapters.modbus.items import resolve
from adapters.modbus.line import Line
from adapters.modbus.planner import Request, plan_requests
from adapters.modbus.scan import Scans
from adapters.modbus.schedule import Agenda
from adapters.modbus.settings import ModbusSettings
from adapters.modbus.sweep import Harvest, Sweep
from adapters.modbus.units import Silence, Unit
from adapters.modbus.write import TagWriter
from gateway.batch import BAD_COMMUNICATION, Reading, Value
from gateway.errors import SourceLost, TidegateError

__all__ = ["ModbusAdapter"]


@dataclass(slots=True)
class _Cycle:
    """A scan class that is being read."""

    interval_s: float
    harvest: Harvest
    steps: AsyncGenerator[bool, None]
    began_s: float


class _Step(NamedTuple):
    """One request of a cycle was seen to.

    Attributes:
        lost: why the device is lost; empty where it is not.
        in_vain: a unit has just made the others wait in vain.
        ended: there was none left; the cycle has ended.
    """

    lost: str
    in_vain: bool
    ended: bool


class ModbusAdapter:
    """Polls one Modbus device, or the units behind one gateway or on one bus.

    Args:
        settings: the device, free of mistakes (`items.check`).
        context: see `adapters.base`.
    """

    def __init__(self, settings: ModbusSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._items = resolve(settings)
        self._unit_points: dict[int, list[int]] = {}
        for item in self._items:
            self._unit_points.setdefault(item.unit_id, []).append(context.points[item.index])
        # What the last run, when its source was lost, had said to be bad (the next one need not say it again), and the
        # units that were silent before it was lost.
        self._known_bad: dict[int, int] = {}
        self._bad: dict[int, int] = {}
        self._known_silent: dict[int, Silence] = {}
        self._writer = TagWriter(settings, points=context.points, count=self._count, now_ns=context.now_ns)
        self._running: Sweep | None = None
        self._live: bool | None = None
        self._ages = Ages(self._items)
        intervals_s = (item.interval_s for item in self._items)
        self._scans = Scans(endpoint_of(settings), intervals_s, pause_s=settings.pause_ms / 1000)

    async def run(self, emit: Emit) -> None:
        """Polls and emits until cancelled. Leaves no connection and no task behind.

        Raises:
            SourceLost: no connection, or no unit answers.
        """
        self._bad, self._known_bad = self._known_bad, {}
        line = Line(self._settings)
        sweep = self._running = self._sweep(line)
        self._show(sweep)
        try:
            await self._poll(sweep, emit)
        finally:
            self._running = None
            if self._live:
                self._say_live(False)
            self._live = None  # the next run says it anew, also that nothing can be read from the first poll on
            self._ages.settle_all()
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

    async def _poll(self, sweep: Sweep, emit: Emit) -> None:
        clock = asyncio.get_running_loop().time
        agenda = Agenda((item.interval_s for item in self._items), now_s=clock())
        cycles: dict[float, _Cycle] = {}
        silences: dict[int, Silence] = {}
        try:
            while True:
                for interval_s in agenda.due(clock()):
                    agenda.begin(interval_s)
                    cycles[interval_s] = self._begin(sweep, agenda, interval_s)
                    # As it is before the cycle: that one may be lost because the whole device falls silent.
                    silences = {unit.unit_id: unit.silence for unit in sweep.units if unit.silence is not None}
                if not cycles:
                    if not await sweep.probe(agenda.next_s() - clock()):
                        await asyncio.sleep(agenda.next_s() - clock())
                    continue
                cycle = cycles[min(cycles)]
                step = await self._step(sweep, cycle)
                if step.lost:
                    self._tell_missing(sweep.units)
                    self._known_bad, self._known_silent = self._bad, silences
                    for other in cycles.values():
                        await _hand_over(other, emit)
                    raise SourceLost(step.lost)
                if step.in_vain or step.ended:
                    self._tell_missing(unit for unit in sweep.units if unit.silent)
                    # What there is does not wait for the next unit that makes us wait.
                    await _hand_over(cycle, emit)
                    if cycle.harvest.answers or step.ended:
                        self._say_live(cycle.harvest.answers > 0)
                if step.ended:
                    del cycles[cycle.interval_s]
                    if missed := agenda.finish(cycle.interval_s, now_s=clock()):
                        self._count("overrun", missed)
                        self._scans.overran(cycle.interval_s, missed)
        finally:
            for cycle in cycles.values():
                await cycle.steps.aclose()

    def _begin(self, sweep: Sweep, agenda: Agenda, interval_s: float) -> _Cycle:
        clock = asyncio.get_running_loop().time
        harvest = Harvest(points=self._context.points, bad=self._bad, now_ns=self._context.now_ns)
        steps = sweep.read(harvest, interval_s=interval_s, slack_s=lambda: agenda.slack_s(clock()))
        return _Cycle(interval_s, harvest, cast("AsyncGenerator[bool, None]", steps), clock())

    async def _step(self, sweep: Sweep, cycle: _Cycle) -> _Step:
        """Goes on with a cycle, up to the end of one request."""
        lost = ""
        in_vain = ended = False
        try:
            in_vain = await anext(cycle.steps)
        except StopAsyncIteration:
            ended = True
        except Unreachable as error:
            self._count(error.cause, 1)
            cycle.harvest.bad(self._items, BAD_COMMUNICATION)
            lost = texts.no_connection(self._settings, error)
        if (in_vain or ended) and sweep.all_silent:
            unit_ids = [unit.unit_id for unit in sweep.units]
            lost = texts.no_answer(self._settings, unit_ids, causes=sweep.causes.values())
        if ended or lost:
            self._scans.note(cycle.interval_s, took_s=asyncio.get_running_loop().time() - cycle.began_s)
        return _Step(lost, in_vain, ended)

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
            interval_s=min(item.interval_s for item in self._items),
            timeout_s=settings.timeout_s,
            ages=self._ages,
        )

    def _count(self, cause: str, times: int) -> None:
        self._context.metrics.source_errors.labels(self._settings.name, cause).inc(times)

    def _tell_missing(self, units: Iterable[Unit]) -> None:
        """Says of each of these that nothing comes from it; each has its gap, which ends when it answers again."""
        for unit in units:
            if len(self._unit_points) == 1:
                self._context.missing.missed("unreachable")
            else:
                points = self._unit_points[unit.unit_id]
                self._context.missing.missed("unreachable", points=points, group=f"unit {unit.unit_id}")

    def _say_live(self, live: bool) -> None:
        if live != self._live:
            self._live = live
            self._context.live(live)

    def _show(self, sweep: Sweep) -> None:
        """What status shows; each is looked up when somebody asks."""
        bad, clock = self._bad, asyncio.get_running_loop().time
        self._context.facts.update(
            connection=str(endpoint_of(self._settings)),
            requests=lambda: len(_asked(sweep)),
            registers=lambda: sum(request.count for request in _asked(sweep) if not request.table.is_bits),
            bits=lambda: sum(request.count for request in _asked(sweep) if request.table.is_bits),
            dropped_answers=lambda: sweep.line.dropped,
            most_registers=lambda: _most_registers(self._settings, sweep),
            silent_units=lambda: [unit.unit_id for unit in sweep.units if unit.silent][: texts.MOST_LISTED],
            bad_tags=lambda: len(bad),
            bad_tag_names=lambda: [self._items[index].name for index in sorted(bad)[: texts.MOST_LISTED]],
            classes=lambda: self._scans.told(_asked(sweep)),
            tag_age_s=lambda: self._ages.told(clock()),
        )


def _asked(sweep: Sweep) -> list[Request]:
    """What is asked in a cycle of each class."""
    return [request for unit in sweep.units if not unit.silent for request in unit.asked]


def _most_registers(settings: ModbusSettings, sweep: Sweep) -> int:
    """Of one request: what the settings allow, or less where a unit was found not to take that many."""
    learned = [unit.most_registers for unit in sweep.units if unit.most_registers is not None]
    return min([settings.max_registers, *learned])


async def _hand_over(cycle: _Cycle, emit: Emit) -> None:
    if batch := cycle.harvest.take():
        await emit(batch)
