"""The crew: starts the named tasks of a gateway in its one TaskGroup, and ends them.

Whatever is started here runs under `supervise`, so that no failure of one task reaches the group. A task that is ended
leaves its component's last state behind; who ended it says what becomes of that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from gateway.health import Health, State
from gateway.metrics import Metrics
from gateway.supervise import Backoff, supervise

__all__ = ["Crew", "Task", "Work", "end"]

Work: TypeAlias = Callable[[], Awaitable[None]]
Task: TypeAlias = asyncio.Task[None]

_BACKOFF = Backoff()
_ASK_AGAIN_S: Final = 5.0
"""Longer than any component takes to say goodbye: who goes on after that has not heard."""


class Crew:
    """Tasks under supervision.

    Args:
        group: where they live.
        health: where their states are kept.
        metrics: restarts are counted by component.
    """

    def __init__(self, group: asyncio.TaskGroup, *, health: Health, metrics: Metrics) -> None:
        self._group = group
        self._health = health
        self._metrics = metrics

    def start(self, name: str, work: Work, backoff: Backoff = _BACKOFF, *, up: str = "") -> Task:
        """Runs a component until it is ended.

        Args:
            name: of the component and of its task.
            work: one life of it.
            backoff: pauses between its lives.
            up: its state in words while it runs; empty where it says itself when it works (`state_of`).
        """

        async def live() -> None:
            if up:
                self._health.set(name, State.UP, up)
            await work()

        supervised = supervise(name, live, health=self._health, metrics=self._metrics, backoff=backoff)
        return self._group.create_task(supervised, name=name)

    def state_of(self, component: str, *, up: str, down: str) -> Callable[[bool], None]:
        """What a component calls to say whether it works.

        Args:
            component: its name.
            up: its state in words while it works.
            down: and while it does not.
        """

        def tell(is_up: bool) -> None:
            task = asyncio.current_task()
            if not is_up and task is not None and task.cancelling():
                return  # ended on purpose; who ended it says what becomes of it
            self._health.set(component, State.UP if is_up else State.DEGRADED, up if is_up else down)

        return tell

    def stopped(self, component: str, why: str) -> None:
        """Says that a component is known and does not run."""
        self._health.set(component, State.STOPPED, why)

    def gone(self, component: str) -> None:
        """Says that a component is no longer known."""
        self._health.forget(component)


async def end(*tasks: Task) -> None:
    """Cancels tasks and waits until they have ended.

    Asks again where one goes on: `asyncio.wait_for` and `TaskGroup` of Python 3.11 may lose a cancellation that comes
    in the moment in which they end.
    """
    running = {task for task in tasks if not task.done()}
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=_ASK_AGAIN_S)
