"""Many units over minutes, in a time of the tests' own: what is polled when, with nothing left to the machine's load.

The event loop's clock jumps to the next thing to happen. The connection is a fake: an answer takes a millisecond, and
one that does not come takes as long as the adapter waits. Everything above it is the real thing.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import pytest

from adapters.modbus import adapter as adapter_module
from adapters.modbus.errors import Silent
from adapters.modbus.planner import Request
from adapters.modbus.settings import ModbusTag
from gateway.batch import GOOD, Batch
from tests.adapters.modbus.rig import Site, settings

ANSWER_S = 0.001


class _Jumping(selectors.SelectSelector):
    """Instead of waiting, the time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1_000.0

    def select(self, timeout: float | None = None) -> list[Any]:
        found = super().select(0)
        if not found and timeout:
            self.now_s += timeout
        return found


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jumping = _Jumping()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.now_s


class _Line:
    """A connection to units of which some are dead."""

    dead: ClassVar[set[int]] = set()
    asked: ClassVar[list[tuple[float, int]]] = []

    dropped = 0

    def __init__(self, what: Any) -> None:
        self._timeout_s = what.timeout_s

    async def read(self, request: Request, *, patience_s: float | None = None) -> Sequence[int]:
        self.asked.append((asyncio.get_running_loop().time(), request.unit_id))
        if request.unit_id in self.dead:
            await asyncio.sleep(self._timeout_s if patience_s is None else patience_s)
            raise Silent("timeout", "")
        await asyncio.sleep(ANSWER_S)
        return [request.unit_id] * request.count

    def end(self) -> None:
        pass


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> type[_Line]:
    class Line(_Line):
        dead: ClassVar[set[int]] = set()
        asked: ClassVar[list[tuple[float, int]]] = []

    monkeypatch.setattr(adapter_module, "Line", Line)
    return Line


class Log:
    """When each point was read."""

    def __init__(self, count: int) -> None:
        self.at_s: dict[int, list[float]] = {point: [] for point in range(1, count + 1)}

    async def __call__(self, batch: Batch) -> None:
        now_s = asyncio.get_running_loop().time()
        for point, status in zip(batch.points(), batch.statuses(), strict=True):
            if status == GOOD:
                self.at_s[point].append(now_s)

    def longest_gap_s(self, point: int, since_s: float) -> float:
        times = [since_s, *(at_s for at_s in self.at_s[point] if at_s >= since_s)]
        return max(after - before for before, after in pairwise(times))


def live(story: Callable[[], Awaitable[None]]) -> None:
    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(story())  # type: ignore[arg-type]


@pytest.mark.parametrize(("interval_s", "timeout_s"), [(1.0, 1.0), (1.0, 0.3), (5.0, 1.0), (0.5, 2.0)])
def test_twenty_dead_units_of_two_hundred_cost_the_others_next_to_nothing(
    interval_s: float, timeout_s: float, line: type[_Line]
) -> None:
    line.dead = set(range(10, 210, 10))
    living = set(range(1, 201)) - line.dead
    log = Log(200)

    async def story() -> None:
        tags = [ModbusTag(name=f"u{i}", address=0, unit_id=i) for i in range(1, 201)]
        site = Site(settings(502, tags, interval_s=interval_s, timeout_s=timeout_s))
        loop = asyncio.get_running_loop()
        run = asyncio.create_task(site.adapter.run(log))
        await asyncio.sleep(100)  # by then it knows them
        began_s, before = loop.time(), site.errors("overrun")
        measured_s = max(150, 60 * interval_s)
        await asyncio.sleep(measured_s)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        slots = measured_s / interval_s
        assert site.errors("overrun") - before <= slots / 20 + 1
        for unit in living:
            assert sum(at_s >= began_s for at_s in log.at_s[unit]) >= slots * 0.94
        probed = {unit: sum(u == unit and at_s >= began_s for at_s, u in line.asked) for unit in line.dead}
        assert min(probed.values()) >= 2, probed

    live(story)


def test_twenty_units_that_die_together_do_not_stop_the_others(line: type[_Line]) -> None:
    log = Log(200)
    dying = set(range(50, 70))

    async def story() -> None:
        tags = [ModbusTag(name=f"u{i}", address=0, unit_id=i) for i in range(1, 201)]
        site = Site(settings(502, tags, interval_s=1.0, timeout_s=1.0))
        run = asyncio.create_task(site.adapter.run(log))
        await asyncio.sleep(60.5)
        died_s = asyncio.get_running_loop().time()
        line.dead = dying
        await asyncio.sleep(60)
        back_s = asyncio.get_running_loop().time()
        line.dead = set()
        await asyncio.sleep(130)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        # Those before them in the order hardly notice; those behind them wait until the dead are known.
        assert max(log.longest_gap_s(unit, died_s) for unit in range(1, 50)) <= 3.1
        assert max(log.longest_gap_s(unit, died_s) for unit in range(70, 201)) <= 24
        # All come back, within the longest pause between two probes.
        assert all(min(at_s for at_s in log.at_s[unit] if at_s > back_s) - back_s <= 70 for unit in dying)

    live(story)


def test_a_cold_start_with_dead_units_in_front_reads_the_others_soon(line: type[_Line]) -> None:
    line.dead = set(range(1, 21))
    log = Log(200)

    async def story() -> None:
        tags = [ModbusTag(name=f"u{i}", address=0, unit_id=i) for i in range(1, 201)]
        site = Site(settings(502, tags, interval_s=1.0, timeout_s=1.0))
        began_s = asyncio.get_running_loop().time()
        run = asyncio.create_task(site.adapter.run(log))
        await asyncio.sleep(60)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        # A time-out for each of the dead, once: nobody knows yet whom it can wait less for.
        assert max(log.at_s[unit][0] for unit in range(21, 201)) - began_s <= 24

    live(story)
