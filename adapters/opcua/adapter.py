"""One OPC UA device: the life of a session, from logging in until it is lost or no longer wanted.

Invariants
- A message is acknowledged only after `emit` returned for everything in it.
- Nothing outlives `run`: its tasks are in one group, its socket is closed behind it.
- Whatever ends the session ends `run`, as `SourceLost`; nothing is retried here but refused tags.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import islice
from typing import Final, NoReturn

from adapters.base import Context, Emit
from adapters.opcua.decode import Items, decode
from adapters.opcua.failures import status_name
from adapters.opcua.items import MonitoredItems
from adapters.opcua.paths import parse_place
from adapters.opcua.places import Places
from adapters.opcua.plan import endpoint, items_of
from adapters.opcua.publish import Arrival, Publisher
from adapters.opcua.session import Limits, Session, Subscribed
from adapters.opcua.settings import OpcuaSettings
from adapters.opcua.shapes import Shapes
from adapters.opcua.write import TagWriter
from gateway.batch import Batch, Flag, Reading, Value
from gateway.errors import SourceLost

__all__ = ["OpcuaAdapter"]

_MOST_NAMED: Final = 20
"""Refused tags that are named in the facts; the others are only counted."""


class OpcuaAdapter:
    """Reads one OPC UA server through one subscription.

    Args:
        settings: the device, checked.
        context: its points, and where counts and facts go.
    """

    def __init__(self, settings: OpcuaSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._where = [parse_place(tag.node) for tag in settings.tags]
        self._items = items_of(settings.tags, context.points)
        self._writer: TagWriter | None = None
        self._was_read = False

    async def run(self, emit: Emit) -> None:
        """Connects, reads and emits until cancelled.

        Raises:
            SourceLost: the server cannot be reached, refused us, went silent or went away.
        """
        session = Session(self._settings, self._context.site)
        reader = _Reader(self._settings, self._context, self._items, emit)
        try:
            await session.open()
            self._context.facts["security"] = session.security
            limits = await session.limits()
            places = Places(session, self._where)
            self._writer = TagWriter(session, self._settings, places, self._items, self._context.now_ns)
            subscribed = await session.subscribe()
            reader.began(subscribed)
            if self._was_read:
                reader.mark_all()  # nobody knows what changed while there was no subscription
            self._was_read = True
            monitored = MonitoredItems(self._settings, places, session=session, subscription=subscribed.id)
            async with asyncio.TaskGroup() as group:
                publisher = Publisher(
                    session,
                    subscribed.id,
                    group,
                    silence_s=subscribed.sign_of_life_s + self._settings.timeout_s,
                )
                items = partial(reader.look_after, monitored, places, session, limits)
                group.create_task(_or_end(publisher, items), name="opcua items")
                group.create_task(_or_end(publisher, partial(_stay_alive, session)), name="opcua sign of life")
                await reader.take_from(publisher, session)
        except BaseExceptionGroup as failures:
            raise _reason(failures) from None
        finally:
            self._writer = None
            reader.ended()
            await session.close()

    async def write(self, tag: str, value: Value) -> Reading:
        """Writes one value over the session that reads, and reads it back.

        Args:
            tag: name of a tag in the device's settings.
            value: what to write, as a reading of the tag would show it.

        Raises:
            SourceLost: there is no session now, or it was lost on the way.
            TidegateError: the tag is unknown, may not be written, or the server refused; the text says which.
        """
        if self._writer is None:
            raise SourceLost(
                f"OPC UA device {self._settings.name!r} at {endpoint(self._settings)}: writing tag {tag!r}: "
                "not connected now; nothing was written"
            )
        return await self._writer.write(tag, value)


class _Reader:
    """What one run does with messages and refusals: decode, count, mark, emit."""

    def __init__(self, settings: OpcuaSettings, context: Context, items: Items, emit: Emit) -> None:
        self._settings = settings
        self._context = context
        self._items = items
        self._emit_to = emit
        self._one_at_a_time = asyncio.Lock()
        self._lost: set[int] = set()
        self._strange: dict[int, str] = {}
        self._live = False
        self._facts = context.facts
        self._facts.clear()
        self._facts.update(notifications=0, republished=0, lost_notifications=0)

    def began(self, subscribed: Subscribed) -> None:
        """Notes what the server granted."""
        self._facts.update(
            publishing_interval_ms=subscribed.interval_ms,
            sign_of_life_s=subscribed.sign_of_life_s,
            items_monitored=0,
        )

    def ended(self) -> None:
        """Says that no readings flow any more."""
        self._say_live(False)

    async def take_from(self, publisher: Publisher, session: Session) -> NoReturn:
        """Emits what comes, and acknowledges it, until the source is lost."""
        while True:
            arrival = await publisher.next()
            self._say_live(True)
            await self._take(arrival)
            publisher.done(arrival.message)
            if arrival.message.status:
                raise session.lost("waiting for changes", _ended_by(arrival.message.status))

    async def look_after(self, monitored: MonitoredItems, places: Places, session: Session, limits: Limits) -> NoReturn:
        """Has all tags monitored, and seldom asks again for those that were refused."""
        shapes = Shapes(session, self._items, places)
        await shapes.learn(limits.namespaces)
        refused = await monitored.ask(range(len(self._items.points)), limits)
        self._account(monitored, refused)
        await self._emit(self._refusals(refused))
        while True:
            await asyncio.sleep(self._settings.retry_refused_s)
            if monitored.refused:
                # Namespaces are read anew: a program that was loaded meanwhile may have brought one.
                limits = await session.limits()
                self._account(monitored, await monitored.ask(tuple(monitored.refused), limits))
            if again := await shapes.learn_unknown():
                self._strange.clear()
                self._name_strange({})
                await self._take_body(again)

    async def _take(self, arrival: Arrival) -> None:
        if not arrival.message.is_keep_alive:
            self._facts["notifications"] += 1
        if arrival.republished:
            self._facts["republished"] += 1
        if arrival.lost:
            self._facts["lost_notifications"] += arrival.lost
            self._count("lost_notification", arrival.lost)
            self.mark_all()
        for body in arrival.message.changes:
            await self._take_body(body)

    async def _take_body(self, body: bytes) -> None:
        decoded = decode(body, self._items, now_ns=self._context.now_ns(), lost=self._lost)
        for cause, number in decoded.odd.items():
            self._count(cause, number)
        if decoded.strange:
            self._name_strange(decoded.strange)
        if not decoded.complete:
            self.mark_all()
        await self._emit(decoded.batch)

    async def _emit(self, batch: Batch) -> None:
        if batch:
            async with self._one_at_a_time:
                await self._emit_to(batch)

    def mark_all(self) -> None:
        """Nobody knows whose readings went missing, so the next one of each tag says that some may have."""
        self._lost.update(range(len(self._items.points)))

    def _count(self, cause: str, number: int) -> None:
        self._context.metrics.source_errors.labels(self._settings.name, cause).inc(number)

    def _name_strange(self, strange: Mapping[int, str]) -> None:
        """Names the tags whose values are no readings, and why; the newest word on each counts."""
        self._strange.update(strange)
        tags = self._settings.tags
        self._facts["strange_tags"] = [
            f"{tags[handle].name} ({tags[handle].node}): {what}"
            for handle, what in islice(self._strange.items(), _MOST_NAMED)
        ]

    def _say_live(self, up: bool) -> None:
        if up != self._live:
            self._live = up
            self._context.live(up)

    def _account(self, monitored: MonitoredItems, refused: Mapping[int, int]) -> None:
        if refused:
            self._count("refused_tag", len(refused))
        tags = self._settings.tags
        self._facts["items_monitored"] = len(tags) - len(monitored.refused)
        self._facts["tags_refused"] = len(monitored.refused)
        self._facts["refused_tags"] = [
            f"{tags[handle].name} ({tags[handle].node}): {status_name(code)}"
            for handle, code in islice(monitored.refused.items(), _MOST_NAMED)
        ]

    def _refusals(self, refused: Mapping[int, int]) -> Batch:
        now_ns = self._context.now_ns()
        return Batch.of(
            Reading(now_ns, None, point, code >> 16, flags=Flag.GATEWAY_TIME)
            for handle, code in refused.items()
            for point in self._items.points_of(handle)
        )


async def _stay_alive(session: Session) -> NoReturn:
    """Keeps the session while publishing rests, because `emit` waits or nothing changes."""
    while True:
        await asyncio.sleep(session.stay_alive_every_s)
        await session.stay_alive()


async def _or_end(publisher: Publisher, chore: Callable[[], Awaitable[NoReturn]]) -> None:
    """Runs a chore; where it loses the source, what has arrived is still emitted before that ends the run."""
    try:
        await chore()
    except SourceLost as lost:
        publisher.end(lost)


def _ended_by(status: int) -> str:
    return f"the server ended the subscription ({status_name(status)})"


def _reason(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one failure to raise: a defect or a failed `emit` before a lost source, which may only follow from it."""
    others = failures.split(SourceLost)[1]
    return (others or failures).exceptions[0]
