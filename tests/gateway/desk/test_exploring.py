"""The connections that people look at devices with. The explorer is our own protocol's; real devices are elsewhere."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from adapters.base import Node, Protocol, Site
from gateway.config.models import DeviceSettings
from gateway.desk import exploring
from gateway.desk.exploring import Explorers
from gateway.errors import SourceLost, TidegateError
from tests.waiting import until


@dataclass
class Plc:
    """Counts what is opened and closed, and answers as it is told to."""

    opened: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    fails: Exception | None = None
    away: bool = False
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def explore(self, settings: DeviceSettings, site: Site):
        if self.away:
            raise SourceLost(f"{settings.name} does not answer")
        self.opened.append(settings.name)
        try:
            yield self
        finally:
            self.closed.append(settings.name)

    async def browse(self, node: str | None) -> list[Node]:
        await self.answers.wait()
        if self.fails is not None:
            raise self.fails
        return [Node(node or "root", "Objects", "Objects", "folder", "", "", writable=False, children=True)]


@pytest.fixture
def plc(monkeypatch: pytest.MonkeyPatch) -> Plc:
    plc = Plc()
    plc.answers.set()
    speaks = Protocol(
        name="test",
        settings=DeviceSettings,
        check=lambda _: [],
        points=lambda _: [],
        plan=lambda _: [],
        create=lambda *_: None,
        explore=plc.explore,
    )
    monkeypatch.setattr(exploring, "protocol", lambda _name: speaks)
    return plc


def device(name: str) -> DeviceSettings:
    return DeviceSettings(name=name, type="test")


async def ask(explorers: Explorers, name: str, node: str | None = None) -> list[Node]:
    return await explorers.ask(device(name), lambda explorer: explorer.browse(node))


async def test_one_connection_serves_many_questions(plc: Plc) -> None:
    explorers = Explorers()
    assert (await ask(explorers, "press"))[0].id == "root"
    assert (await ask(explorers, "press", "ns=2;s=a"))[0].id == "ns=2;s=a"
    assert plc.opened == ["press"]
    await explorers.close()
    assert plc.closed == ["press"]
    assert explorers.open == 0
    with pytest.raises(TidegateError, match="stopping"):
        await ask(explorers, "press")


async def test_an_idle_connection_is_closed_and_opened_anew_when_asked(plc: Plc) -> None:
    explorers = Explorers(idle_s=0.05)
    await ask(explorers, "press")
    await until(lambda: plc.closed == ["press"])
    await until(lambda: explorers.open == 0)
    await ask(explorers, "press")
    assert plc.opened == ["press", "press"]
    await explorers.close()


async def test_the_longest_idle_makes_room(plc: Plc) -> None:
    explorers = Explorers(most=2)
    for name in ("a", "b", "a", "c"):
        await ask(explorers, name)
    assert plc.closed == ["b"]
    assert explorers.open == 2
    await explorers.close()


async def test_a_busy_connection_is_not_closed_to_make_room(plc: Plc) -> None:
    explorers = Explorers(most=1)
    plc.answers.clear()
    waiting = asyncio.create_task(ask(explorers, "a"))
    await until(lambda: plc.opened == ["a"])
    with pytest.raises(TidegateError, match="being looked at already"):
        await ask(explorers, "b")
    plc.answers.set()
    assert await waiting
    await explorers.close()


async def test_a_refused_question_leaves_the_connection_open(plc: Plc) -> None:
    explorers = Explorers()
    plc.fails = TidegateError("no such node")
    with pytest.raises(TidegateError, match="no such node"):
        await ask(explorers, "press")
    plc.fails = None
    await ask(explorers, "press")
    assert plc.opened == ["press"]
    await explorers.close()


@pytest.mark.parametrize("error", [SourceLost("it went away"), ZeroDivisionError("a defect")])
async def test_what_ends_a_connection_reaches_those_who_asked_and_nobody_else(plc: Plc, error: Exception) -> None:
    explorers = Explorers()
    await ask(explorers, "other")
    plc.fails = error
    with pytest.raises(type(error), match=str(error)):
        await ask(explorers, "press")
    plc.fails = None
    assert plc.closed == ["press"]
    await ask(explorers, "other")
    await ask(explorers, "press")
    assert plc.opened == ["other", "press", "press"]
    await explorers.close()


async def test_a_device_that_cannot_be_reached_says_so(plc: Plc) -> None:
    explorers = Explorers()
    plc.away = True
    with pytest.raises(SourceLost, match="press does not answer"):
        await ask(explorers, "press")
    await until(lambda: explorers.open == 0)
    plc.away = False
    assert await ask(explorers, "press")
    await explorers.close()


async def test_a_device_that_never_answers_does_not_hold_the_next_question(plc: Plc) -> None:
    explorers = Explorers(answer_s=0.05)
    plc.answers.clear()
    with pytest.raises(SourceLost, match=r"did not answer within 0\.05 s"):
        await ask(explorers, "press")
    assert plc.closed == ["press"]
    plc.answers.set()
    assert await ask(explorers, "press")
    await explorers.close()


async def test_those_who_wait_are_told_at_the_close(plc: Plc) -> None:
    explorers = Explorers()
    plc.answers.clear()
    waiting = asyncio.create_task(ask(explorers, "press"))
    await until(lambda: plc.opened == ["press"])
    await explorers.close()
    with pytest.raises(SourceLost, match="was closed"):
        await waiting
    assert plc.closed == ["press"]
