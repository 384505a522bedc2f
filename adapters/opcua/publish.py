"""The publish loop: keeps requests outstanding, hands out messages in order, acknowledges what is durable.

asyncua's own loop is not used: it acknowledges a message before anybody has seen it, and drops messages when its queue
is full.

Invariants
- A number is acknowledged only after `done` was called for it, in a request sent later.
- Each message that is taken out is replaced by a new request only after it was dealt with: at most `window` messages
  wait in memory, and a slow gateway makes the server hold its readings back.
- A hole in the numbers is filled by Republish, oldest first, before the message that showed it is handed out; what
  the server has no more is counted and told with the next message.
- No message for `silence_s` while one is being waited for means that the source is lost.
- What arrived before the source was lost is handed out first: a reading that is here is not thrown away.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, NamedTuple

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
        message: what the server sent.
        lost: messages missing right before this one that nobody has any more.
        republished: whether it was fetched by Republish.
    """

    message: Message
    lost: int = 0
    republished: bool = False


class Publisher:
    """The messages of one subscription.

    Args:
        session: where requests are sent.
        subscription: the subscription's id at the server.
        group: runs the waiting requests.
        silence_s: longest wait for a sign of life, in seconds.
        window: requests to keep outstanding.
    """

    def __init__(
        self,
        session: Session,
        subscription: int,
        group: asyncio.TaskGroup,
        *,
        silence_s: float,
        window: int = WINDOW,
    ) -> None:
        self._session = session
        self._subscription = subscription
        self._group = group
        self._silence_s = silence_s
        self._window = window
        self._outstanding = 0
        self._arrived: deque[Message] = deque()
        self._news = asyncio.Event()
        self._in_turn: deque[Arrival] = deque()
        self._durable: list[int] = []
        self._expected: int | None = None
        self._lost = 0
        self._asked_for: deque[int] = deque(maxlen=_MOST_REPUBLISHED)
        self._end: SourceLost | None = None

    async def next(self) -> Arrival:
        """The next message in its turn; keep-alives too, since they are signs of life.

        Raises:
            SourceLost: none came in time, or the session ended.
        """
        while not self._in_turn:
            self._fill()
            await self._put_in_turn(await self._arrival())
        return self._in_turn.popleft()

    def done(self, message: Message) -> None:
        """Says that all that this message held is durable: the server may forget it."""
        if not message.is_keep_alive:
            self._durable.append(message.number)

    def end(self, reason: SourceLost) -> None:
        """Says that the session is of no more use. The first reason counts, once all messages are handed out."""
        self._end = self._end or reason
        self._news.set()

    def _fill(self) -> None:
        while self._end is None and self._outstanding + len(self._arrived) < self._window:
            acknowledged, self._durable = self._durable, []
            self._outstanding += 1
            self._group.create_task(self._request(acknowledged), name="opcua publish request")

    async def _request(self, acknowledged: list[int]) -> None:
        try:
            message = await self._session.publish(self._subscription, acknowledged)
        except SourceLost as lost:
            self.end(lost)
            return
        self._outstanding -= 1
        if message is None:
            # Given back unused: too many for this server, or too old. One stays outstanding whatever happens.
            self._durable = acknowledged + self._durable
            self._window = max(1, self._window - 1)
        else:
            self._arrived.append(message)
        self._news.set()

    async def _arrival(self) -> Message:
        try:
            async with asyncio.timeout(self._silence_s):
                while not self._arrived:
                    if self._end is not None:
                        raise self._end
                    self._fill()
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise self._session.lost(
                "waiting for changes",
                f"no sign of life for {self._silence_s:g} s; check that the server runs, and the network in between",
            ) from None
        return self._arrived.popleft()

    async def _put_in_turn(self, message: Message) -> None:
        number = message.number
        ahead = 0 if self._expected is None else step(self._expected, number)
        if ahead < 0 and not message.is_keep_alive:
            if number not in self._asked_for:
                # The numbers have begun anew, or one was made up: nobody can say any more what is missing.
                raise self._session.lost(
                    "waiting for changes", f"message {number} came where {self._expected} was due; reading anew"
                )
            # Asked for already, and then it came all the same. Acknowledged again, which does no harm.
            self._durable.append(number)
            return
        if ahead > 0:
            await self._fetch(ahead)
        if ahead >= 0:
            self._expected = number if message.is_keep_alive else following(number)
        lost, self._lost = self._lost, 0
        self._in_turn.append(Arrival(message, lost))

    async def _fetch(self, ahead: int) -> None:
        assert self._expected is not None
        self._lost += max(0, ahead - _MOST_REPUBLISHED)
        for number in missing(self._expected, ahead, _MOST_REPUBLISHED):
            self._asked_for.append(number)
            message = await self._republished(number)
            if message is None:
                self._lost += 1
            else:
                lost, self._lost = self._lost, 0
                self._in_turn.append(Arrival(message, lost, republished=True))

    async def _republished(self, number: int) -> Message | None:
        if self._end is not None:
            return None
        try:
            return await self._session.republish(self._subscription, number)
        except SourceLost as lost:
            self.end(lost)
            return None
