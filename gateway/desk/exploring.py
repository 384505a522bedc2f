"""Connections to look at devices with: opened when somebody browses, kept for a while, closed when nobody does.

A person who opens a tree asks for one level after the other, and a new session for each would take seconds. So a
connection stays open for `idle_s` after its last question.

Invariants
- At most `most` connections are open at once; the one that was idle for longest makes room for the next.
- Questions to one device are asked one after the other; different devices do not wait for each other.
- A connection is opened, used and closed by one task of its own. What goes wrong in it, a defect included, reaches
  the person who asked and nobody else.
- After `close` nothing is open, and nothing can be opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeAlias

import msgspec

from adapters.base import NOWHERE, Explorer, Site
from adapters.registry import protocol
from gateway.config.models import DeviceSettings
from gateway.errors import SourceLost, TidegateError

__all__ = ["ANSWER_S", "IDLE_S", "MOST", "Explorers"]

IDLE_S: Final = 30.0
ANSWER_S: Final = 30.0
MOST: Final = 8

Question: TypeAlias = Callable[[Explorer], Awaitable[Any]]


class Explorers:
    """The open connections.

    Args:
        site: what all devices of this gateway have in common.
        idle_s: how long one is kept after its last question, in seconds.
        answer_s: longest wait for an answer, connecting included, in seconds.
        most: how many may be open at once.
    """

    def __init__(
        self, site: Site = NOWHERE, *, idle_s: float = IDLE_S, answer_s: float = ANSWER_S, most: int = MOST
    ) -> None:
        self._site = site
        self._idle_s = idle_s
        self._answer_s = answer_s
        self._most = most
        self._visits: dict[bytes, _Visit] = {}
        self._closed = False

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._visits)

    async def ask(self, device: DeviceSettings, question: Question) -> Any:  # noqa: ANN401
        """Puts a question to a device.

        Args:
            device: its settings; equal settings share a connection.
            question: is given the explorer; its result is the answer.

        Raises:
            SourceLost: the device cannot be reached, went away, or did not answer in time.
            TidegateError: the protocol cannot do that, or the device refused.
        """
        visit = await self._visit(device)
        try:
            async with asyncio.timeout(self._answer_s):
                return await visit.ask(question)
        except TimeoutError:
            # Whatever it waits for, the next question is not to wait for it as well.
            await visit.end()
            raise SourceLost(
                f"device {device.name} did not answer within {self._answer_s:g} s. Check its address, and whether it "
                "is overloaded"
            ) from None

    async def close(self) -> None:
        """Closes all connections."""
        self._closed = True
        await asyncio.gather(*(visit.end() for visit in [*self._visits.values()]))

    async def _visit(self, device: DeviceSettings) -> _Visit:
        if self._closed:
            raise TidegateError("the gateway is stopping")
        key = msgspec.json.encode(device)
        visit = self._visits.pop(key, None)
        if visit is None:
            while len(self._visits) >= self._most:
                await self._make_room()
            explore = protocol(device.type).explore
            if explore is None:
                raise TidegateError(f"device {device.name}: {device.type} devices cannot be looked at from here yet")
            visit = _Visit(explore(device, self._site), name=f"explore {device.name}", idle_s=self._idle_s)
            visit.ended(lambda: self._visits.pop(key, None))
        # Taken out and put back, the one used last stands last.
        self._visits[key] = visit
        return visit

    async def _make_room(self) -> None:
        idle = next((visit for visit in self._visits.values() if not visit.busy), None)
        if idle is None:
            raise TidegateError(f"{self._most} devices are being looked at already; wait for one of them")
        await idle.end()


class _Visit:
    """One connection and the task that owns it."""

    def __init__(self, opening: AbstractAsyncContextManager[Explorer], *, name: str, idle_s: float) -> None:
        self._idle_s = idle_s
        self._questions: asyncio.Queue[tuple[Question, asyncio.Future[Any]]] = asyncio.Queue()
        self._waiting: set[asyncio.Future[Any]] = set()
        self._task = asyncio.create_task(self._run(opening), name=name)
        self._task.add_done_callback(self._answer_the_rest)

    @property
    def busy(self) -> bool:
        """Whether somebody waits for an answer."""
        return bool(self._waiting)

    def ended(self, callback: Callable[[], object]) -> None:
        """Has this called once the connection is closed."""
        self._task.add_done_callback(lambda _task: callback())

    async def ask(self, question: Question) -> Any:  # noqa: ANN401
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.add(answer)
        answer.add_done_callback(self._waiting.discard)
        self._questions.put_nowait((question, answer))
        return await answer

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def _run(self, opening: AbstractAsyncContextManager[Explorer]) -> None:
        async with opening as explorer:
            while True:
                try:
                    async with asyncio.timeout(self._idle_s):
                        question, answer = await self._questions.get()
                except TimeoutError:
                    return
                try:
                    found = await question(explorer)
                except SourceLost:
                    raise
                except TidegateError as error:
                    if not answer.done():
                        answer.set_exception(error)
                else:
                    if not answer.done():
                        answer.set_result(found)

    def _answer_the_rest(self, task: asyncio.Task[None]) -> None:
        """Tells those who still wait why the connection is gone."""
        error = None if task.cancelled() else task.exception()
        for answer in [*self._waiting]:
            if not answer.done():
                answer.set_exception(error or SourceLost("the connection to the device was closed; try again"))
