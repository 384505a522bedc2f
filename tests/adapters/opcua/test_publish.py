"""The publish loop against a scripted session: orders of arrival that a real server shows only by accident."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from adapters.opcua.continuity import Held
from adapters.opcua.message import Message
from adapters.opcua.publish import Arrival, Publisher
from gateway.errors import SourceLost
from tests.adapters.opcua.plc import NOW_NS
from tests.waiting import until


def data(number: int) -> Message:
    return Message(number, False, (b"",), None)


def keep_alive(number: int) -> Message:
    return Message(number, True, (), None)


def came(subscription: int, message: Message, **keys: int) -> Arrival:
    """A message that came by itself, and not by Republish."""
    return Arrival(subscription, message, received_ns=NOW_NS, **keys)


class Script:
    """A session whose answers the test gives: to the requests outstanding, oldest first."""

    def __init__(self, kept: tuple[int, ...] = ()) -> None:
        self.waiting: list[asyncio.Future[tuple[int, Message] | None]] = []
        self.acknowledged: list[list[int]] = []
        self.kept = kept
        self.asked_again: list[int] = []
        self.republish_fails = False

    async def publish(self, acknowledged: list[tuple[int, int]]) -> tuple[int, Message] | None:
        self.acknowledged.append([number for _, number in acknowledged])
        future: asyncio.Future[tuple[int, Message] | None] = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        return await future

    async def republish(self, subscription: int, number: int) -> Message | None:
        self.asked_again.append(number)
        if self.republish_fails:
            raise SourceLost("gone while republishing")
        return data(number) if number in self.kept else None

    def lost(self, doing: str, what: str) -> SourceLost:
        return SourceLost(f"{doing}: {what}")

    async def answer(self, *messages: Message | None, subscription: int = 1) -> None:
        for message in messages:
            await until(lambda: self.waiting)
            self.waiting.pop(0).set_result(None if message is None else (subscription, message))


@asynccontextmanager
async def publishing(
    script: Script, silence_s: float = 60.0, window: int = 3, now_ns: Callable[[], int] = lambda: NOW_NS
) -> AsyncIterator[Publisher]:
    async with asyncio.TaskGroup() as group:
        publisher = Publisher(script, group, window=window, now_ns=now_ns)  # type: ignore[arg-type]
        publisher.begin(1, silence_s=silence_s)
        first = asyncio.ensure_future(publisher.next())
        await script.answer(keep_alive(1))
        assert await first == came(1, keep_alive(1))
        yield publisher
        for waiting in script.waiting:
            waiting.cancel()


async def take(publisher: Publisher, number: int) -> list[Arrival]:
    arrivals = []
    for _ in range(number):
        arrivals.append(await publisher.next())
        publisher.done(arrivals[-1])
    return arrivals


async def test_no_more_than_the_window_is_outstanding_and_acknowledged_is_what_was_done() -> None:
    script = Script()
    async with publishing(script) as publisher:
        waiting = asyncio.ensure_future(take(publisher, 3))
        await until(lambda: len(script.waiting) == 3)
        await script.answer(data(1), data(2), data(3))
        assert await waiting == [came(1, data(1)), came(1, data(2)), came(1, data(3))]
        more = asyncio.ensure_future(publisher.next())
        await until(lambda: len(script.waiting) == 3)
        await script.answer(data(4))
        assert await more == came(1, data(4))
    assert [number for numbers in script.acknowledged for number in numbers] == [1, 2, 3]


async def test_a_hole_is_filled_in_order_and_what_comes_late_is_not_told_twice() -> None:
    script = Script(kept=(1, 3))
    async with publishing(script) as publisher:
        waiting = asyncio.ensure_future(take(publisher, 3))
        await script.answer(data(4))
        assert await waiting == [
            Arrival(1, data(1)),
            Arrival(1, data(3), lost=1),
            came(1, data(4)),
        ]
        waiting = asyncio.ensure_future(take(publisher, 1))
        await script.answer(data(3), data(5))
        assert await waiting == [came(1, data(5))]
    assert script.asked_again == [1, 2, 3]


async def test_a_hole_too_large_to_be_true_costs_a_bounded_number_of_questions() -> None:
    script = Script()
    async with publishing(script) as publisher:
        waiting = asyncio.ensure_future(take(publisher, 1))
        await script.answer(data(2_000_000_000))
        assert await waiting == [came(1, data(2_000_000_000), lost=1_999_999_999)]
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
        assert await waiting == [came(1, data(2))]
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
        assert await publisher.next() == came(1, data(2))
        with pytest.raises(SourceLost, match="first"):
            await publisher.next()


async def test_a_source_lost_while_a_hole_is_filled_leaves_what_is_unacknowledged_to_the_next_session() -> None:
    script = Script(kept=(1,))
    async with publishing(script) as publisher:
        waiting = asyncio.ensure_future(take(publisher, 1))
        await until(lambda: script.waiting)
        answered = script.republish

        async def fails_at_two(subscription: int, number: int) -> Message | None:
            script.republish_fails = number == 2
            return await answered(subscription, number)

        script.republish = fails_at_two  # type: ignore[method-assign]
        await script.answer(data(4))
        assert await waiting == [Arrival(1, data(1))]
        with pytest.raises(SourceLost, match="gone while republishing"):
            await publisher.next()
    # 4 is not handed out, so it is not acknowledged either: 2, 3 and 4 wait at the server.
    assert script.asked_again == [1, 2]


async def test_what_a_subscription_that_was_taken_over_holds_comes_first_and_once() -> None:
    script = Script(kept=(4, 6))
    async with asyncio.TaskGroup() as group:
        publisher = Publisher(script, group, window=2, now_ns=lambda: NOW_NS)  # type: ignore[arg-type]
        publisher.take_over(1, Held(3, (2, 3, 4, 6), exact=True), silence_s=60)
        assert await take(publisher, 2) == [
            Arrival(1, data(4)),
            Arrival(1, data(6), lost=1),
        ]
        waiting = asyncio.ensure_future(take(publisher, 1))
        await until(lambda: len(script.waiting) == 2)
        # 2 and 3 were durable in the life before: they are acknowledged, and not fetched.
        assert script.acknowledged[0] == [2, 3, 4, 6]
        await script.answer(data(7))
        assert await waiting == [came(1, data(7))]
        for request in script.waiting:
            request.cancel()
    # 5 is not among what the server says it holds.
    assert script.asked_again == [4, 6]


async def test_what_an_earlier_process_may_have_acknowledged_is_unsure_and_not_lost() -> None:
    script = Script(kept=(7, 9))
    async with asyncio.TaskGroup() as group:
        publisher = Publisher(script, group, window=2, now_ns=lambda: NOW_NS)  # type: ignore[arg-type]
        publisher.take_over(1, Held(3, (7, 9), exact=False), silence_s=60)
        assert await take(publisher, 2) == [
            Arrival(1, data(7), unsure=3),
            Arrival(1, data(9), lost=1),
        ]
        publisher.take_over(2, Held(3, (), exact=False), silence_s=60)
        waiting = asyncio.ensure_future(take(publisher, 2))
        await script.answer(data(5), data(7), subscription=2)
        assert await waiting == [came(2, data(5), unsure=1), came(2, data(7), lost=1)]
        for request in script.waiting:
            request.cancel()


async def test_a_server_that_does_not_say_what_it_holds_is_asked_when_the_hole_shows() -> None:
    script = Script(kept=(4, 5))
    async with asyncio.TaskGroup() as group:
        publisher = Publisher(script, group, window=2, now_ns=lambda: NOW_NS)  # type: ignore[arg-type]
        publisher.take_over(1, Held(3, (), exact=True), silence_s=60)
        waiting = asyncio.ensure_future(take(publisher, 3))
        await script.answer(data(6))
        assert await waiting == [
            Arrival(1, data(4)),
            Arrival(1, data(5)),
            came(1, data(6)),
        ]
        for request in script.waiting:
            request.cancel()


async def test_numbers_that_begin_anew_cannot_be_gone_on_with() -> None:
    script = Script()
    async with asyncio.TaskGroup() as group:
        publisher = Publisher(script, group, window=2, now_ns=lambda: NOW_NS)  # type: ignore[arg-type]
        publisher.take_over(1, Held(500, (), exact=True), silence_s=60)
        waiting = asyncio.ensure_future(publisher.next())
        await script.answer(data(1))
        with pytest.raises(SourceLost, match="message 1 came where 501 was due"):
            await waiting
        for request in script.waiting:
            request.cancel()
    assert publisher.spoiled


async def test_each_subscription_has_its_own_numbers_and_shares_the_requests() -> None:
    script = Script(kept=(2,))
    async with publishing(script, window=4) as publisher:
        publisher.begin(7, silence_s=60)
        waiting = asyncio.ensure_future(take(publisher, 4))
        await script.answer(data(1))
        await script.answer(data(1), data(3), subscription=7)
        assert await waiting == [
            came(1, data(1)),
            came(7, data(1)),
            Arrival(7, data(2)),
            came(7, data(3)),
        ]
        waiting = asyncio.ensure_future(publisher.next())
        await script.answer(data(9), subscription=8)
        with pytest.raises(SourceLost, match="subscription 8 came, which is not ours"):
            await waiting
    assert publisher.spoiled


async def test_one_silent_subscription_is_noticed_beside_one_that_speaks() -> None:
    script = Script()
    async with publishing(script) as publisher:
        publisher.begin(7, silence_s=0.3)

        async def speak() -> None:
            number = 1
            while True:
                await script.answer(data(number))
                number += 1
                await asyncio.sleep(0.02)

        speaking = asyncio.ensure_future(speak())
        with pytest.raises(SourceLost, match=r"no sign of life for 0\.3 s"):
            await take(publisher, 10_000)
        speaking.cancel()


async def test_a_message_counts_as_received_when_it_comes_and_not_when_its_turn_comes() -> None:
    """Else a slow disk would look like a server whose clock is behind."""
    script = Script()
    now = [NOW_NS]
    async with publishing(script, now_ns=lambda: now[0]) as publisher:
        waiting = asyncio.ensure_future(take(publisher, 1))
        await script.answer(data(1), data(2))
        assert await waiting == [came(1, data(1))]
        await until(lambda: publisher.heard == 3)
        now[0] += 60_000_000_000
        assert await asyncio.ensure_future(take(publisher, 1)) == [came(1, data(2))]


async def test_silence_is_a_lost_source() -> None:
    script = Script()
    async with publishing(script, silence_s=0.2) as publisher:
        with pytest.raises(SourceLost, match=r"no sign of life for 0\.2 s"):
            await publisher.next()
