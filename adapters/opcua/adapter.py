"""One OPC UA device: the life of a session, from logging in until it is lost or no longer wanted.

Invariants
- A message is acknowledged only after `emit` returned for everything in it.
- The subscriptions of the session before are gone on with where that is possible (`continuity`).
- Nothing outlives `run`: its tasks are in one group, its socket is closed behind it.
- Whatever ends the session ends `run`, as `SourceLost`; nothing is retried here but refused tags.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NoReturn

from adapters.base import Context, Emit
from adapters.clock import SourceClock
from adapters.opcua.continuity import Continuity, Subscription, is_continued
from adapters.opcua.items import MonitoredItems
from adapters.opcua.kept import Subscribed
from adapters.opcua.layout import intervals, layout_of
from adapters.opcua.paths import parse_place
from adapters.opcua.places import Places
from adapters.opcua.plan import endpoint, items_of
from adapters.opcua.poll import Poller
from adapters.opcua.publish import WINDOW, Publisher
from adapters.opcua.reader import Reader
from adapters.opcua.session import Limits, Session
from adapters.opcua.settings import OpcuaSettings
from adapters.opcua.shapes import Shapes
from adapters.opcua.trust import LOOK_S
from adapters.opcua.write import TagWriter
from gateway.batch import Reading, Value
from gateway.errors import SourceLost

__all__ = ["OpcuaAdapter"]


class OpcuaAdapter:
    """Reads one OPC UA server through one subscription for each publishing interval.

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
        self._continuity = Continuity(context.memory)
        self._clock = SourceClock(limit_ns=round(settings.max_clock_skew_s * 1e9))

    async def run(self, emit: Emit) -> None:
        """Connects, reads and emits until cancelled.

        Raises:
            SourceLost: the server cannot be reached, refused us, went silent or went away.
        """
        session = Session(self._settings, self._context.site)
        continuity = self._continuity
        reader = Reader(self._settings, self._context, self._items, continuity, self._clock, emit)
        lost = False
        try:
            await session.open()
            self._context.facts["security"] = session.security
            limits = await session.limits()
            # What its clock did while it was away is no jump; what it kept meanwhile is judged by what it says now.
            self._clock.forget()
            reader.look_at_clock(limits.time_ns, self._context.now_ns())
            places = Places(session, self._where, limits.namespaces)
            self._writer = TagWriter(session, self._settings, places, self._items, self._context.now_ns)
            subscriptions = await self._subscribe(session, places, limits)
            reader.began(subscriptions)
            await self._read(session, places, limits, reader, subscriptions)
        except SourceLost:
            lost = True
            raise
        finally:
            self._writer = None
            reader.ended()
            await session.close(keep=continuity.worth_keeping(lost=lost))

    async def _read(
        self,
        session: Session,
        places: Places,
        limits: Limits,
        reader: Reader,
        subscriptions: Sequence[Subscription],
    ) -> NoReturn:
        """Reads over an open session until it is lost."""
        continuity = self._continuity
        # Before anything comes: what a subscription kept over a crash is of types that this process does not know yet.
        shapes = Shapes(session, self._items, places)
        await shapes.learn()
        publisher: Publisher | None = None
        try:
            async with asyncio.TaskGroup() as group:
                window = WINDOW + max(0, len(subscriptions) - 1)
                publisher = Publisher(session, group, window=window, now_ns=self._context.now_ns)
                for granted, held in subscriptions:
                    silence_s = granted.sign_of_life_s + self._settings.timeout_s
                    if held is None:
                        publisher.begin(granted.id, silence_s=silence_s)
                    else:
                        publisher.take_over(granted.id, held, silence_s=silence_s)
                monitored = MonitoredItems(
                    self._settings,
                    places,
                    session=session,
                    subscriptions=[one.granted.id for one in subscriptions],
                    items_per_request=limits.items_per_request,
                    refused=continuity.refused,
                    short=continuity.short,
                )
                chores = {
                    "items": partial(reader.look_after, monitored, session, places),
                    "types": partial(reader.learn, shapes),
                    "polling": partial(reader.poll, monitored, Poller(session, places)),
                    "sign of life": partial(_stay_alive, session),
                    "trust": partial(_stay_trusted, session),
                }
                for name, chore in chores.items():
                    group.create_task(_or_end(publisher, chore), name=f"opcua {name}")
                await reader.take_from(publisher, session)
        except BaseExceptionGroup as failures:
            reason = _reason(failures)
            if not isinstance(reason, SourceLost):
                await continuity.forget()  # what failed once would come again, and fail again
            elif publisher is not None and await _is_spoiled(publisher, session, subscriptions):
                await continuity.forget()
            raise reason from None
        finally:
            if publisher is not None and publisher.heard:
                continuity.heard()

    async def _subscribe(self, session: Session, places: Places, limits: Limits) -> list[Subscription]:
        """The session's subscriptions: those of the session before where they can be gone on with, else new ones."""
        continuity = self._continuity
        found = await places.find(range(len(self._where)))
        nodes = [None if isinstance(found[handle], int) else found[handle] for handle in range(len(self._where))]
        layout = await asyncio.to_thread(layout_of, self._settings, nodes)
        continued = await continuity.go_on(session, server=limits.server, layout=layout)
        if continued:
            return continued
        subscriptions: list[Subscribed] = []
        for interval_ms in intervals(self._settings):
            subscribed = await session.subscribe(interval_ms)
            if subscribed is None:
                break  # the tags of the others are put into those that there are
            subscriptions.append(subscribed)
        if subscriptions:
            await continuity.begin(subscriptions, server=limits.server, layout=layout)
        return [Subscription(one) for one in subscriptions]

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


async def _stay_alive(session: Session) -> NoReturn:
    """Keeps the session while publishing rests, because `emit` waits or nothing changes."""
    while True:
        await asyncio.sleep(session.stay_alive_every_s)
        await session.stay_alive()


async def _stay_trusted(session: Session) -> NoReturn:
    """Ends the session once somebody has rejected the server's certificate."""
    while True:
        await asyncio.sleep(LOOK_S)
        await session.look_after_trust()


async def _is_spoiled(publisher: Publisher, session: Session, subscriptions: Sequence[Subscription]) -> bool:
    """Whether the subscriptions must not be taken over again: their numbers make no sense, or they are dead.

    Dead is what was taken over and says nothing while its server answers everything else.
    """
    if publisher.spoiled:
        return True
    if not (is_continued(subscriptions) and session.connected) or publisher.heard:
        return False
    try:
        await session.stay_alive()
    except SourceLost:
        return False
    return True


async def _or_end(publisher: Publisher, chore: Callable[[], Awaitable[NoReturn]]) -> None:
    """Runs a chore; where it loses the source, what has arrived is still emitted before that ends the run."""
    try:
        await chore()
    except SourceLost as lost:
        publisher.end(lost)


def _reason(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one failure to raise: a defect or a failed `emit` before a lost source, which may only follow from it."""
    others = failures.split(SourceLost)[1]
    return (others or failures).exceptions[0]
