"""Looking at a device: every tag of a draft, read once, now, over a connection of its own.

A serial line has one connection only: there it is shared, turn by turn, with the devices that are polled.

Modbus has no tree: nothing can be browsed or searched. A device that allows only one connection cannot be looked at
while it is polled; it says so by refusing this one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import groupby

from adapters.base import Node
from adapters.modbus import texts
from adapters.modbus.ages import Ages
from adapters.modbus.errors import Busy, Unreachable
from adapters.modbus.items import resolve
from adapters.modbus.line import Line
from adapters.modbus.planner import plan_requests
from adapters.modbus.settings import ModbusSettings
from adapters.modbus.sweep import Harvest, Sweep
from adapters.modbus.units import Unit
from gateway.batch import Reading
from gateway.errors import SourceLost, TidegateError

__all__ = ["ModbusExplorer", "explore"]

_NO_POINT = 0


class ModbusExplorer:
    """A connection to look at a device with.

    Args:
        settings: the device, free of mistakes (`items.check`).
        line: the connection.
    """

    def __init__(self, settings: ModbusSettings, line: Line) -> None:
        self._settings = settings
        self._items = resolve(settings)
        self._line = line

    async def browse(self, node: str | None) -> list[Node]:  # noqa: ARG002 - the contract's argument
        """Modbus has no tree.

        Raises:
            TidegateError: always; the text says what to use instead.
        """
        raise TidegateError(texts.no_tree(self._settings))

    async def search(self, text: str, limit: int) -> tuple[list[Node], bool]:  # noqa: ARG002 - the contract's arguments
        """Modbus has no tree.

        Raises:
            TidegateError: always; the text says what to use instead.
        """
        raise TidegateError(texts.no_tree(self._settings))

    async def read(self) -> list[tuple[str, Reading]]:
        """Every tag, read once now, in the order of the settings; a tag that is refused carries the refusal's status.

        The readings name no point: their number is 0.

        Raises:
            SourceLost: the device cannot be reached any more, or no unit answers.
        """
        settings, items = self._settings, self._items
        requests = plan_requests(items, max_registers=settings.max_registers, max_gap=settings.max_gap)
        sweep = Sweep(
            units=[Unit(unit_id, group) for unit_id, group in groupby(requests, key=lambda request: request.unit_id)],
            line=self._line,
            points=range(len(items)),
            count=_count_nothing,
            clock=asyncio.get_running_loop().time,
            interval_s=settings.interval_s,
            timeout_s=settings.timeout_s,
            ages=Ages(items),
            most_splits=len(items),  # there is no next cycle that could go on
        )
        harvest = Harvest(points=range(len(items)), bad={}, now_ns=time.time_ns)
        try:
            async for _ in sweep.read(harvest):
                pass
        except Unreachable as failure:
            raise SourceLost(texts.no_connection(settings, failure)) from None
        if sweep.all_silent:
            unit_ids = [unit.unit_id for unit in sweep.units]
            raise SourceLost(texts.no_answer(settings, unit_ids, causes=sweep.causes.values()))
        # A tag that was read before its unit fell silent has two readings; the later one counts.
        last = {reading.point: reading._replace(point=_NO_POINT) for reading in harvest.take()}
        return [(item.name, last[item.index]) for item in items]


@asynccontextmanager
async def explore(settings: ModbusSettings) -> AsyncIterator[ModbusExplorer]:
    """Connects to a device to look at it, and closes the connection afterwards.

    Args:
        settings: the device, free of mistakes (`items.check`).

    Raises:
        SourceLost: no connection could be made.
    """
    line = Line(settings, own=True)
    try:
        try:
            async with line.turn() as link:
                await link.dial(timeout_s=settings.timeout_s)
        except (Unreachable, Busy) as failure:
            raise SourceLost(texts.no_connection(settings, failure)) from None
        yield ModbusExplorer(settings, line)
    finally:
        line.end()
        await asyncio.sleep(0)  # the event loop closes an aborted connection's socket in its next turn


def _count_nothing(_cause: str, _times: int) -> None:
    """What a look finds is shown to who looks; the counters are the running device's."""
