"""The contract of `adapters.base`, held to each protocol."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from adapters.base import Adapter, Context, Writer
from gateway.batch import Batch, Reading, is_bad
from gateway.config.models import DeviceSettings
from gateway.errors import SourceLost, SpoolError, TidegateError
from gateway.health import Health
from gateway.metrics import Metrics
from gateway.supervise import Backoff, supervise
from tests.adapters.contract.sites import MOVES, RESTS, SETPOINT, SITES, Site
from tests.bad_line import BadLine
from tests.leftovers import leftovers
from tests.serving import serving
from tests.waiting import until

QUICK = Backoff(first_s=0.02, most_s=0.1, steady_s=5.0)
POINTS = {MOVES: 11, RESTS: 12, SETPOINT: 13}


pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(params=SITES, scope="module", loop_scope="session")
async def shared_site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """Starting a server costs seconds, so all tests of a protocol share one."""
    site = SITES[request.param]()
    try:
        yield site
    finally:
        await site.stop()
        site.close()


@pytest_asyncio.fixture(loop_scope="session")
async def site(shared_site: Site) -> AsyncIterator[Site]:
    await shared_site.start()
    async with shared_site.moving():
        yield shared_site


@pytest_asyncio.fixture(loop_scope="session")
async def line(site: Site) -> AsyncIterator[BadLine]:
    async with BadLine(site.port) as line:
        yield line


class Crew:
    """An adapter at work, and what it said and gave."""

    def __init__(self, site: Site, settings: DeviceSettings) -> None:
        assert site.protocol.check(settings) == []
        self.metrics = Metrics()
        self.health = Health()
        self.lives: list[bool] = []
        self.batches: list[Batch] = []
        self.in_emit = 0
        self.most_in_emit = 0
        self.gate = asyncio.Event()
        self.gate.set()
        points = [POINTS[spec.tag] for spec in site.protocol.points(settings)]
        self.context = Context(points=points, metrics=self.metrics, live=self.lives.append, site=site.house)
        self.adapter: Adapter = site.protocol.create(settings, self.context)

    async def emit(self, batch: Batch, mark: bytes = b"", /) -> None:
        self.in_emit += 1
        self.most_in_emit = max(self.most_in_emit, self.in_emit)
        try:
            await self.gate.wait()
            assert batch.check() is batch
            self.batches.append(batch)
        finally:
            self.in_emit -= 1

    async def run(self) -> None:
        await self.adapter.run(self.emit)

    @asynccontextmanager
    async def supervised(self) -> AsyncIterator[None]:
        """Runs it again and again, as the gateway does."""
        running = supervise("device plc", self.run, health=self.health, metrics=self.metrics, backoff=QUICK)
        task = asyncio.create_task(running)
        try:
            yield
            assert not task.done()
            assert "unexpected" not in self.health["device plc"].why
        finally:
            task.cancel()
            await asyncio.wait([task])

    def readings(self, tag: str) -> list[Reading]:
        return [reading for batch in self.batches for reading in batch if reading.point == POINTS[tag]]

    def good(self, tag: str) -> int:
        return sum(not is_bad(reading.status) for reading in self.readings(tag))

    async def flows(self, more: int = 5) -> None:
        """Waits until so many more good readings of what moves have come."""
        before = self.good(MOVES)
        await until(
            lambda: self.good(MOVES) >= before + more,
            what=lambda: f"{self.good(MOVES)} good readings; {self.health.as_dict()}",
        )


async def test_a_device_that_is_absent_is_a_lost_source_and_says_which(site: Site) -> None:
    port = site.port
    await site.stop()
    crew = Crew(site, site.settings(port))
    with pytest.raises(SourceLost) as lost:
        await crew.run()
    assert str(port) in str(lost.value)
    assert crew.good(MOVES) == 0
    assert True not in crew.lives


async def test_it_starts_while_the_device_is_off(site: Site) -> None:
    """telegraf#8632: start-up fails while the PLC is off."""
    port = site.port
    await site.stop()
    crew = Crew(site, site.settings(port))
    async with crew.supervised():
        await until(lambda: "next attempt" in crew.health.as_dict().get("device plc", {}).get("why", ""))
        await site.start()
        await crew.flows()
    assert {reading.value for reading in crew.readings(RESTS) if not is_bad(reading.status)} == {2}


async def test_the_device_is_restarted(site: Site) -> None:
    crew = Crew(site, site.settings(site.port))
    async with crew.supervised():
        await crew.flows()
        await site.stop()
        await until(lambda: crew.lives and not crew.lives[-1])
        await site.start()
        await crew.flows()
        assert crew.lives[-1]


async def test_a_cut_line_is_a_lost_source(site: Site, line: BadLine) -> None:
    crew = Crew(site, site.settings(line.port))
    task = asyncio.create_task(crew.run())
    await crew.flows()
    await line.cut()
    with pytest.raises(SourceLost):
        await task
    assert crew.lives == [True, False]


async def test_it_resumes_after_each_cut_over_one_connection(site: Site, line: BadLine) -> None:
    """telegraf#19186, thingsboard-gateway#1641: never resumes. Industrial-IoT#2349: subscribed twice afterwards."""
    crew = Crew(site, site.settings(line.port))
    async with crew.supervised():
        for _ in range(3):
            await crew.flows()
            await line.cut()
            line.mend()
        await crew.flows(20)
        await until(lambda: site.connections == 1)
        times = [reading.ts_ns for reading in crew.readings(MOVES) if not is_bad(reading.status)]
        assert len(times) == len(set(times))
        assert times == sorted(times)


async def test_a_flapping_line(site: Site, line: BadLine) -> None:
    rng = random.Random(7)
    crew = Crew(site, site.settings(line.port))
    async with crew.supervised():
        for _ in range(15):
            await asyncio.sleep(rng.random() * 0.15)
            await line.cut()
            await asyncio.sleep(rng.random() * 0.05)
            line.mend()
        await crew.flows()
        await until(lambda: site.connections == 1)


async def test_a_line_that_goes_silent_is_noticed(site: Site, line: BadLine) -> None:
    crew = Crew(site, site.settings(line.port))
    task = asyncio.create_task(crew.run())
    await crew.flows()
    line.silent = True
    with pytest.raises(SourceLost):
        async with asyncio.timeout(60):
            await task


async def test_a_line_that_is_silent_from_the_start_is_noticed(site: Site, line: BadLine) -> None:
    line.silent = True
    crew = Crew(site, site.settings(line.port))
    with pytest.raises(SourceLost):
        async with asyncio.timeout(60):
            await crew.run()
    assert crew.good(MOVES) == 0


async def test_a_slow_line_is_only_slow(site: Site, line: BadLine) -> None:
    line.delay_s = 0.05
    crew = Crew(site, site.settings(line.port))
    async with crew.supervised():
        await crew.flows()
        assert line.carried == site.connections_per_run


async def test_wrong_answers_harm_nothing_that_comes_after(site: Site, line: BadLine) -> None:
    crew = Crew(site, site.settings(line.port))
    async with crew.supervised():
        await crew.flows()
        line.garbled = 0.3
        for _ in range(20):
            await asyncio.sleep(0.05)
            assert "unexpected" not in crew.health["device plc"].why
        line.mend()
        await line.cut()
        line.mend()
        await crew.flows()
        await until(lambda: site.connections == 1)


async def test_a_line_that_says_nonsense_from_the_start(site: Site) -> None:
    rng = random.Random(3)

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(rng.randbytes(rng.choice([1, 7, 8, 40, 3_000])))
        await asyncio.sleep(0.01)

    async with serving(babble) as server:
        crew = Crew(site, site.settings(server.port))
        for _ in range(20):
            with pytest.raises(SourceLost):
                await crew.run()
    assert crew.good(MOVES) == 0


@pytest.mark.parametrize("part", range(4))
async def test_cancelled_at_any_await_it_leaves_nothing_behind(site: Site, line: BadLine, part: int) -> None:
    crew = Crew(site, site.settings(line.port))
    assert not leftovers()
    for turns in range(part, 120, 4):
        task = asyncio.create_task(crew.run())
        for _ in range(turns):
            await asyncio.sleep(0)
        # The last ones are given time as well, so that some are hit while readings flow.
        if turns > 80:
            await asyncio.sleep(0.005 * (turns - 80))
        task.cancel()
        async with asyncio.timeout(30):
            # On a busy machine the server may be too slow for this time-out, and the source is lost before.
            with pytest.raises((asyncio.CancelledError, SourceLost)):
                await task
        await until(lambda: not leftovers(), what=leftovers)
    await until(lambda: site.connections == 0)
    assert crew.lives.count(True) == crew.lives.count(False)


async def test_while_emit_waits_nothing_else_is_emitted(site: Site) -> None:
    crew = Crew(site, site.settings(site.port))
    async with crew.supervised():
        await crew.flows()
        crew.gate.clear()
        await until(lambda: crew.in_emit == 1)
        await asyncio.sleep(0.3)
        assert crew.most_in_emit == 1
        crew.gate.set()
        await crew.flows()
    assert crew.most_in_emit == 1


async def test_what_emit_raises_ends_the_run(site: Site) -> None:
    crew = Crew(site, site.settings(site.port))

    async def full(batch: Batch, mark: bytes = b"", /) -> None:
        raise SpoolError("the disk is full")

    with pytest.raises(SpoolError, match="the disk is full"):
        async with asyncio.timeout(30):
            await crew.adapter.run(full)
    await until(lambda: site.connections == 0)


async def test_a_write_is_read_back_and_then_read(site: Site) -> None:
    crew = Crew(site, site.settings(site.port))
    assert isinstance(crew.adapter, Writer)
    with pytest.raises(SourceLost):
        await crew.adapter.write(SETPOINT, 7)
    async with crew.supervised():
        await crew.flows()
        shown = await crew.adapter.write(SETPOINT, 7)
        assert shown.value == 7
        assert shown.point == POINTS[SETPOINT]
        await until(lambda: crew.readings(SETPOINT)[-1].value == 7)
        with pytest.raises(TidegateError, match=r"no such tag|has no tag"):
            await crew.adapter.write("nowhere", 7)
        await crew.flows()


async def test_a_clean_stop_closes_the_connection(site: Site, line: BadLine) -> None:
    crew = Crew(site, site.settings(line.port))
    async with crew.supervised():
        await crew.flows()
        assert site.connections == 1
    await until(lambda: site.connections == 0)
    assert crew.lives[-1] is False
