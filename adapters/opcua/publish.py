"""The publish loop: keeps requests outstanding, hands out messages in order, acknowledges what is durable.

asyncua's own loop is not used: it acknowledges a message before anybody has seen it, and drops messages when its queue
is full. Requests belong to the session; each answer says which of its subscriptions it speaks for.

Invariants
- A number is acknowledged only after `done` was called for it, in a request sent later.
- Each message that is taken out is replaced by a new request only after it was dealt with: at most `window` messages
  wait in memory, and a slow gateway makes the server hold its readings back.
- A hole in a subscription's numbers is filled by Republish, oldest first, before the message that showed it is handed
  out; what the server has no more is counted and told with the next message.
- No message of a subscription for its `silence_s`, while one is being waited for, means that the source is lost.
- What arrived before the source was lost is handed out first: a reading that is here is not thrown away. Only a message
  that shows a hole is not, where the source is lost while the hole is filled: it stays unacknowledged like what is
  missing before it, and both are the next session's to fetch.
- What a subscription that was taken over still holds is handed out before anything new, one at a time, and what of it
  was durable already is acknowledged and not handed out again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from adapters.opcua.continuity import Held
from adapters.opcua.message import Message
from adapters.opcua.sequence import following, missing, step
from adapters.opcua.session import Session
from gateway.errors import SourceLost

__all__ = ["WINDOW", "Arrival", "Publisher"]

WINDOW: Final = 4
"""Requests outstanding. Two would do on a quick network; four cover a few intervals of delay."""
_MOST_REPUBLISHED: Final = 100
"""Messages of one hole that are asked for. Servers keep far fewer than this; a made-up number must not cost hours."""


class Arrival(NamedTuple):
    """A message in its turn.

    Attributes:
        subscription: whose message it is.
        message: what the server sent.
        lost: messages missing right before this one that nobody has any more.
        unsure: messages missing before this one that may have been dealt with by an earlier process.
        received_ns: when it came, by the gateway's clock, UTC ns since 1970; None where it was fetched by Republish,
            for then the time at which the server first sent it says nothing about that server's clock.
    """

    subscription: int
    message: Message
    lost: int = 0
    unsure: int = 0
    received_ns: int | None = None

    @property
    def republished(self) -> bool:
        """Whether it was fetched by Republish."""
        return self.received_ns is None


class _Stream:
    """Where one subscription stands.

    Attributes:
        silence_s: longest wait for a sign of life, in seconds.
        waited_s: how long one has been waited for.
        expected: the number due next; None before the first message.
        lost: messages that are missing and have not been told yet.
        exact: whether what is missing now is lost; else nobody knows.
        unsure: missing ones of that kind that have not been told yet.
        asked_for: numbers that were asked for by Republish.
    """

    def __init__(self, silence_s: float, expected: int | None, *, exact: bool = True) -> None:
        self.silence_s = silence_s
        self.waited_s = 0.0
        self.expected = expected
        self.lost = 0
        self.exact = exact
        self.unsure = 0
        self.asked_for: deque[int] = deque(maxlen=_MOST_REPUBLISHED)

    def misses(self, messages: int) -> None:
        """Notes messages that nobody has."""
        if self.exact:
            self.lost += messages
        else:
            self.unsure += messages

    def arrival(self, subscription: int, message: Message, received_ns: int | None = None) -> Arrival:
        """A message in its turn, with what is missing before it; fetched by Republish where no time is given."""
        lost, self.lost, unsure, self.unsure = self.lost, 0, self.unsure, 0
        if not message.is_keep_alive:
            self.exact = True
        return Arrival(subscription, message, lost, unsure, received_ns)


class Publisher:
    """The messages of a session's subscriptions.

    Args:
        session: where requests are sent.
        group: runs the waiting requests.
        window: requests to keep outstanding.
        now_ns: UTC nanoseconds since 1970.

    Attributes:
        heard: messages that came, by Publish or Republish.
        spoiled: whether the numbers make no sense any more, so that nothing of these subscriptions can be gone on with.
    """

    def __init__(
        self,
        session: Session,
        group: asyncio.TaskGroup,
        *,
        window: int = WINDOW,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._session = session
        self._now_ns = now_ns
        self._group = group
        self._window = window
        self._streams: dict[int, _Stream] = {}
        self._held: deque[tuple[int, int]] = deque()
        self._outstanding = 0
        self._arrived: deque[tuple[int, Message, int]] = deque()
        self._news = asyncio.Event()
        self._in_turn: deque[Arrival] = deque()
        self._durable: list[tuple[int, int]] = []
        self._end: SourceLost | None = None
        self.heard = 0
        self.spoiled = False

    def begin(self, subscription: int, *, silence_s: float) -> None:
        """Adds a subscription that was made in this session.

        Args:
            subscription: its id at the server.
            silence_s: longest wait for a sign of life, in seconds.
        """
        self._streams[subscription] = _Stream(silence_s, None)

    def take_over(self, subscription: int, held: Held, *, silence_s: float) -> None:
        """Adds a subscription of an earlier session.

        Args:
            subscription: its id at the server.
            held: how far it was dealt with, and what the server still has of it.
            silence_s: longest wait for a sign of life, in seconds.
        """
        expected = following(held.durable)
        self._streams[subscription] = _Stream(silence_s, expected, exact=held.exact)
        steps = {number: step(expected, number) for number in held.numbers}
        self._durable += [(subscription, number) for number, ahead in steps.items() if ahead < 0]
        self._held += [(subscription, number) for number in sorted(steps, key=steps.__getitem__) if steps[number] >= 0]

    async def next(self) -> Arrival:
        """The next message in its turn; keep-alives too, since they are signs of life.

        Raises:
            SourceLost: none came in time, or the session ended.
        """
        while not self._in_turn:
            if self._held:
                await self._recover(*self._held.popleft())
                continue
            self._fill()
            await self._put_in_turn(*await self._arrival())
        return self._in_turn.popleft()

    def done(self, arrival: Arrival) -> None:
        """Says that all that this message held is durable: the server may forget it."""
        if not arrival.message.is_keep_alive:
            self._durable.append((arrival.subscription, arrival.message.number))

    def end(self, reason: SourceLost) -> None:
        """Says that the session is of no more use. The first reason counts, once all messages are handed out."""
        self._end = self._end or reason
        self._news.set()

    def _fill(self) -> None:
        # Without a subscription a request would come back as an error.
        while self._streams and self._end is None and self._outstanding + len(self._arrived) < self._window:
            acknowledged, self._durable = self._durable, []
            self._outstanding += 1
            self._group.create_task(self._request(acknowledged), name="opcua publish request")

    async def _request(self, acknowledged: list[tuple[int, int]]) -> None:
        try:
            answer = await self._session.publish(acknowledged)
        except SourceLost as lost:
            self.end(lost)
            return
        self._outstanding -= 1
        if answer is None:
            # Given back unused: too many for this server, or too old. One stays outstanding whatever happens.
            self._durable = acknowledged + self._durable
            self._window = max(1, self._window - 1)
        elif answer[0] not in self._streams:
            self.spoiled = True
            self.end(
                self._session.lost(
                    "waiting for changes",
                    f"a message of subscription {answer[0]} came, which is not ours; reading anew",
                )
            )
        else:
            self.heard += 1
            # Now, and not when its turn comes: it may wait for a slow disk.
            self._arrived.append((*answer, self._now_ns()))
        self._news.set()

    async def _arrival(self) -> tuple[int, Message, int]:
        while not self._arrived:
            if self._end is not None:
                raise self._end
            self._fill()
            await self._wait()
        arrived = self._arrived.popleft()
        self._streams[arrived[0]].waited_s = 0.0
        return arrived

    async def _wait(self) -> None:
        """Waits for news; only this time counts as silence, since a server cannot speak while it is not asked."""
        self._news.clear()
        if not self._streams:
            await self._news.wait()
            return
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        quietest = min(self._streams.values(), key=lambda stream: stream.silence_s - stream.waited_s)
        try:
            async with asyncio.timeout(quietest.silence_s - quietest.waited_s):
                await self._news.wait()
        except TimeoutError:
            if self._arrived or self._end is not None:
                return
            raise self._session.lost(
                "waiting for changes",
                f"no sign of life for {quietest.silence_s:g} s; check that the server runs, and the network in between",
            ) from None
        finally:
            waited_s = loop.time() - began_s
            for stream in self._streams.values():
                stream.waited_s += waited_s

    async def _put_in_turn(self, subscription: int, message: Message, received_ns: int) -> None:
        stream = self._streams[subscription]
        number = message.number
        ahead = 0 if stream.expected is None else step(stream.expected, number)
        if ahead < 0 and not message.is_keep_alive:
            if number not in stream.asked_for:
                # The numbers have begun anew, or one was made up: nobody can say any more what is missing.
                self.spoiled = True
                raise self._session.lost(
                    "waiting for changes", f"message {number} came where {stream.expected} was due; reading anew"
                )
            # Asked for already, and then it came all the same. Acknowledged again, which does no harm.
            self._durable.append((subscription, number))
            return
        if ahead > 0 and not await self._fetch(subscription, stream, ahead):
            return
        if ahead >= 0:
            stream.expected = number if message.is_keep_alive else following(number)
        self._in_turn.append(stream.arrival(subscription, message, received_ns))

    async def _recover(self, subscription: int, number: int) -> None:
        """Fetches the next message that a subscription that was taken over still holds."""
        stream = self._streams[subscription]
        assert stream.expected is not None
        # What the server does not name while it names others is not there.
        stream.misses(step(stream.expected, number))
        stream.expected = number
        if await self._fetch_one(subscription, stream, number):
            stream.expected = following(number)
        else:
            self._held.clear()

    async def _fetch(self, subscription: int, stream: _Stream, ahead: int) -> bool:
        """Fills a hole; False where the source was lost meanwhile."""
        assert stream.expected is not None
        stream.misses(max(0, ahead - _MOST_REPUBLISHED))
        for number in missing(stream.expected, ahead, _MOST_REPUBLISHED):
            if not await self._fetch_one(subscription, stream, number):
                return False
        return True

    async def _fetch_one(self, subscription: int, stream: _Stream, number: int) -> bool:
        """Fetches a message that is missing; False where the source was lost meanwhile."""
        stream.asked_for.append(number)
        message = await self._republished(subscription, number)
        if message is not None:
            self.heard += 1
            self._in_turn.append(stream.arrival(subscription, message))
        elif self._end is not None:
            return False
        else:
            stream.misses(1)
        return True

    async def _republished(self, subscription: int, number: int) -> Message | None:
        if self._end is not None:
            return None
        try:
            return await self._session.republish(subscription, number)
        except SourceLost as lost:
            self.end(lost)
            return None
