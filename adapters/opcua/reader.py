"""What one run does with what comes: decode, count, mark, emit; and the chores that go on beside it.

Invariants
- One batch is emitted at a time, whoever has it: what is monitored, polled, refused, or read again.
- What cannot be decoded, or is no reading, is counted by its cause, and the tags are named.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final, NoReturn

from adapters.base import Context, Emit
from adapters.clock import SourceClock
from adapters.opcua.continuity import Continuity, Subscription, is_continued
from adapters.opcua.decode import Items, decode
from adapters.opcua.failures import status_name
from adapters.opcua.items import CANNOT_BE_MONITORED, MonitoredItems
from adapters.opcua.layout import intervals
from adapters.opcua.places import Places
from adapters.opcua.poll import Poller
from adapters.opcua.publish import Arrival, Publisher
from adapters.opcua.session import Session
from adapters.opcua.settings import OpcuaSettings
from adapters.opcua.shapes import Shapes
from gateway.batch import Batch, Flag, Reading

__all__ = ["Reader"]

_MOST_NAMED: Final = 20
"""Refused tags that are named in the facts; the others are only counted."""


class Reader:
    """What one run does with what comes.

    Args:
        settings: the device, checked.
        context: where counts and facts go.
        items: what the client handles stand for.
        continuity: is told how far everything is durable.
        clock: the device's; it outlives the run.
        emit: takes the batches.
    """

    def __init__(
        self,
        settings: OpcuaSettings,
        context: Context,
        items: Items,
        continuity: Continuity,
        clock: SourceClock,
        emit: Emit,
    ) -> None:
        self._settings = settings
        self._context = context
        self._items = items
        self._continuity = continuity
        self._emit_to = emit
        self._one_at_a_time = asyncio.Lock()
        self._lost: set[int] = set()
        self._strange: dict[int, str] = {}
        self._strange_type = asyncio.Event()
        self._clock = clock
        self._live = False
        self._facts = context.facts
        self._facts.clear()
        self._facts.update(notifications=0, republished=0, lost_notifications=0, unsure_notifications=0)

    def began(self, subscriptions: Sequence[Subscription]) -> None:
        """Notes what the server granted, and whether it goes on where an earlier session ended."""
        continued = is_continued(subscriptions)
        if continued:
            self._context.missing.resumed()
        elif self._continuity.was_read:
            self.mark_all("unreachable")  # nobody knows what changed while there was no subscription
        self._continuity.was_read = True
        wanted = len(intervals(self._settings))
        self._facts.update(
            subscriptions=len(subscriptions),
            subscriptions_refused=wanted - len(subscriptions),
            continued=continued,
            items_monitored=0,
        )
        granted = [one.granted for one in subscriptions]
        if granted:
            self._facts.update(
                publishing_interval_ms=min(one.interval_ms for one in granted),
                sign_of_life_s=max(one.sign_of_life_s for one in granted),
                subscription_lifetime_s=min(one.lifetime_s for one in granted),
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
            publisher.done(arrival)
            if arrival.message.status:
                await self._continuity.forget(gone=True)
                raise session.lost("waiting for changes", _ended_by(arrival.message.status))

    async def look_after(self, monitored: MonitoredItems, session: Session, places: Places) -> NoReturn:
        """Has all tags monitored, and seldom asks again for those that were refused."""
        if not self._continuity.complete:
            await self._ask(monitored, range(len(self._items.points)))
        self._account(monitored)
        await self._emit(self._refusals(monitored.refused))
        while True:
            await asyncio.sleep(self._settings.retry_refused_s)
            if monitored.refused:
                if not monitored.subscriptions and await session.subscribe(self._settings.publishing_interval_ms):
                    raise session.lost("subscribing", "the server offers subscriptions now; reading anew")
                # Namespaces are read anew: a program that was loaded meanwhile may have brought one.
                places.renew((await session.limits()).namespaces)
                places.forget(monitored.refused)
                await self._continuity.making_items()
                await self._ask(monitored, tuple(monitored.refused))
                self._account(monitored)

    async def learn(self, shapes: Shapes) -> NoReturn:
        """Learns types as they are met; what the server does not describe, it is seldom asked about again."""
        while True:
            once_more = False
            try:
                async with asyncio.timeout(self._settings.retry_refused_s):
                    await self._strange_type.wait()
            except TimeoutError:
                once_more = True
            self._strange_type.clear()
            if again := await shapes.learn_unknown(once_more=once_more):
                self._strange.clear()
                self._name_strange({})
                await self._emit(self._decoded(again))

    async def poll(self, monitored: MonitoredItems, poller: Poller) -> NoReturn:
        """Reads what cannot be monitored."""
        if self._facts["continued"] and (handles := _polled(monitored)):
            # The server kept what it monitors; of the others nobody knows what they were meanwhile.
            points = [point for handle in handles for point in self._items.points_of(handle)]
            self._context.missing.missed("unreachable", points=points, group="polled tags")
        while True:
            await asyncio.sleep(self._settings.polling_interval_ms / 1000)
            if handles := _polled(monitored):
                body, sent_ns = await poller.round(handles)
                self.look_at_clock(sent_ns, self._context.now_ns())
                self._say_live(True)
                await self._emit(self._decoded(body))

    async def _ask(self, monitored: MonitoredItems, handles: Sequence[int]) -> None:
        refused = await monitored.ask(handles)
        await self._continuity.made_items(monitored.refused, monitored.short)
        for_good = sum(code not in CANNOT_BE_MONITORED for code in refused.values())
        if for_good:
            self._count("refused_tag", for_good)

    async def _take(self, arrival: Arrival) -> None:
        subscription, message = arrival.subscription, arrival.message
        if arrival.republished:
            self._facts["republished"] += 1
        if arrival.lost:
            self._facts["lost_notifications"] += arrival.lost
            self._count("lost_notification", arrival.lost)
            self.mark_all("lost_notification")
        if arrival.unsure:
            self._facts["unsure_notifications"] += arrival.unsure
            self._count("unsure_notification", arrival.unsure)
            self.mark_all("unsure_notification")
        self.look_at_clock(message.sent_ns, arrival.received_ns)
        if message.is_keep_alive:
            return
        self._facts["notifications"] += 1
        for place, body in enumerate(message.changes, start=1):
            last = place == len(message.changes)
            mark = self._continuity.mark(subscription, message.number) if last else b""
            await self._emit(self._decoded(body), mark)
        self._continuity.is_durable(subscription, message.number)

    def look_at_clock(self, sent_ns: int | None, received_ns: int | None) -> None:
        """Notes how far the server's clock is ahead, and whether times are taken from it from now on.

        Args:
            sent_ns: when the server sent something, by its clock; None where it does not say.
            received_ns: when that came, by the gateway's; None where it was kept for a while, and so tells nothing.
        """
        if sent_ns is not None and received_ns is not None:
            ahead_ns = self._clock.judge(sent_ns, received_ns).ahead_ns
            self._facts["clock_ahead_s"] = round(ahead_ns / 1e9, 3)

    def _decoded(self, body: bytes) -> Batch:
        decoded = decode(body, self._items, now_ns=self._context.now_ns(), lost=self._lost)
        for cause, number in decoded.odd.items():
            self._count(cause, number)
        if decoded.strange:
            self._name_strange(decoded.strange)
        if self._items.types.news:
            self._items.types.news = False
            self._strange_type.set()
        if not decoded.complete:
            self.mark_all("lost_notification")
        verdict = self._clock.distrusted
        self._context.missing.clock(is_off=verdict is not None)
        if verdict is None or verdict.trouble is None or not decoded.batch:
            return decoded.batch
        self._count(verdict.trouble, len(decoded.batch))
        return decoded.batch.on_gateway_time(verdict.ahead_ns)

    async def _emit(self, batch: Batch, mark: bytes = b"") -> None:
        if batch or mark:
            async with self._one_at_a_time:
                await self._emit_to(batch, mark)

    def mark_all(self, cause: str) -> None:
        """Nobody knows whose readings went missing, so the next one of each tag says that some may have.

        Args:
            cause: why, as the gap says it.
        """
        self._context.missing.missed(cause)
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

    def _account(self, monitored: MonitoredItems) -> None:
        tags = self._settings.tags
        refused = {handle: code for handle, code in monitored.refused.items() if code not in CANNOT_BE_MONITORED}
        self._facts["items_monitored"] = len(tags) - len(monitored.refused)
        self._facts["tags_polled"] = len(monitored.refused) - len(refused)
        self._facts["tags_refused"] = len(refused)
        self._facts.update(monitored.short)
        self._facts["refused_tags"] = [
            f"{tags[handle].name} ({tags[handle].node}): {status_name(code)}"
            for handle, code in islice(refused.items(), _MOST_NAMED)
        ]

    def _refusals(self, refused: Mapping[int, int]) -> Batch:
        now_ns = self._context.now_ns()
        return Batch.of(
            Reading(now_ns, None, point, code >> 16, flags=Flag.GATEWAY_TIME)
            for handle, code in refused.items()
            if code not in CANNOT_BE_MONITORED
            for point in self._items.points_of(handle)
        )


def _ended_by(status: int) -> str:
    return f"the server ended the subscription ({status_name(status)})"


def _polled(monitored: MonitoredItems) -> list[int]:
    """Handles of the tags that are polled."""
    return [handle for handle, code in monitored.refused.items() if code in CANNOT_BE_MONITORED]
