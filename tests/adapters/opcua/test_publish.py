"""The publish loop against a scripted session: orders of arrival that a real server shows only by accident."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from adapters.opcua.message import Message
from adapters.opcua.publish import Arrival, Publisher
from gateway.errors import SourceLost
from tests.waiting import until


def data(number: int) -> Message:
    return Message(number, False, (b"",), None)


def keep_alive(number: int) -> Message:
    return Message(number, True, (), None)


class Script:
    """A session whose answers the test gives: to the requests outstanding, oldest first."""

    def __init__(self, kept: tuple[int, ...] = ()) -> None:
        self.waiting: list[asyncio.Future[Message | None]] = []
        self.acknowledged: list[list[int]] = []
        self.kept = kept
        self.asked_again: list[int] = []
        self.republish_fails = False

    async def publish(self, subscription: int, acknowledged: list[int]) -> Message | None:
        self.acknowledged.append([*acknowledged])
        future: asyncio.Future[Message | None] = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        return await future

    async def republish(self, subscription: int, number: int) -> Message | None:
        self.asked_again.append(number)
        if self.republish_fails:
            raise SourceLost("gone while republishing")
        return data(number) if number in self.kept else None

    def lost(self, doing: str, what: str) -> SourceLost:
        return SourceLost(f"{doing}: {what}")

    async def answer(self, *messages: Message | None) -> None:
        for message in messages:
            await until(lambda: self.waiting)
            self.waiting.pop(0).set_result(message)


@asynccontextmanager
async def publishing(script: Script, silence_s: float = 60.0, window: int = 3) -> AsyncIterator[Publisher]:
    async with asyncio.TaskGroup() as group:
        publisher = Publisher(script, 1, group, silence_s=silence_s, window=window)  # type: ignore[arg-type]
        first = asyncio.ensure_future(publisher.next())
        await script.answer(keep_alive(1))
        assert await first == Arrival(keep_alive(1))
        yield publisher
        for waiting in script.waiting:
            waiting.cancel()


async def take(publisher: Publisher, number: int) -> list[Arrival]:
    arrivals = []
    for _ in range(number):
        arrivals.append(await publisher.next())
        publisher.done(arrivals[-1].message)
    return arrivals


async def test_no_more_than_the_window_is_outstanding_and_acknowledged_is_what_was_done() -> None:
    script = Script()
    async with publishing(script) as publisher:
        waiting = asyncio.ensure_future(take(publisher, 3))
        await until(lambda: len(script.waiting) == 3)
        await script.answer(data(1), data(2), data(3))
        assert await waiting == [Arrival(data(1)), Arrival(data(2)), Arrival(data(3))]
        more = asyncio.ensure_future(publisher.next())
        await until(lambda: len(script.waiting) == 3)
        await script.answer(data(4))
        assert await more == Arrival(data(4))
    assert [number for numbers in script.acknowledged for number in numbers] == [1, 2, 3]


async def test_a_hole_is_filled_in_order_and_what_comes_late_is_not_told_twice() -> None:
    script = Script(kept=(1, 3))
    async with publishing(script) as publisher:
        waiting = asyncio.ensure_future(take(publisher, 3))
        await script.answer(data(4))
        assert await waiting == [
            Arrival(data(1), republished=True),
            Arrival(data(3), lost=1, republished=True),
            Arrival(data(4)),
        ]
        waiting = asyncio.ensure_future(take(publisher, 1))
        await script.answer(data(3), data(5))
        assert await waiting == [Arrival(data(5))]
    assert script.asked_again == [1, 2, 3]


async def test_a_hole_too_large_to_be_true_costs_a_bounded_number_of_questions() -> None:
    script = Script()
    async with publishing(script) as publisher:
        waiting = asyncio.ensure_future(take(publisher, 1))
        await script.answer(data(2_000_000_000))
        assert await waiting == [Arrival(data(2_000_000_000), lost=1_999_999_999)]
    assert len(script.asked_again) == 100
    assert script.asked_again[-1] == 1_999_999_999


async def test_a_request_given_back_narrows_the_window_and_repeats_its_acknowledgement() -> None:
    script = Script()
    async with publishing(script, window=2) as publisher:
        waiting = asyncio.ensure_future(take(publisher, 1))
        await script.answer(data(1))
        await waiting
        waiting = asyncio.ensure_future(take(publisher, 1))
        await until(lambda: [1] in script.acknowledged and len(script.waiting) == 2)
        await script.answer(None, None)
        await script.answer(data(2))
        assert await waiting == [Arrival(data(2))]
    assert script.acknowledged.count([1]) == 2


async def test_what_arrived_is_handed_out_before_the_end_is_told() -> None:
    script = Script()
    async with publishing(script) as publisher:
        waiting = asyncio.ensure_future(take(publisher, 1))
        await script.answer(data(1), data(2))
        await waiting
        await asyncio.sleep(0)
        publisher.end(SourceLost("first"))
        publisher.end(SourceLost("second"))
        assert await publisher.next() == Arrival(data(2))
        with pytest.raises(SourceLost, match="first"):
            await publisher.next()


async def test_a_source_lost_while_a_hole_is_filled_still_gives_the_message_that_showed_it() -> None:
    script = Script()
    script.republish_fails = True
    async with publishing(script) as publisher:
        waiting = asyncio.ensure_future(take(publisher, 1))
        await script.answer(data(3))
        assert await waiting == [Arrival(data(3), lost=2)]
        with pytest.raises(SourceLost, match="gone while republishing"):
            await publisher.next()
    assert script.asked_again == [1]


async def test_silence_is_a_lost_source() -> None:
    script = Script()
    async with publishing(script, silence_s=0.2) as publisher:
        with pytest.raises(SourceLost, match=r"no sign of life for 0\.2 s"):
            await publisher.next()
