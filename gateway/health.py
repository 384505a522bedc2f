"""The state of each component, in words: what status, the TUI and the probes show.

A change of state is written to the log here, once, so that a component which fails a thousand times the same way
leaves one line, not a thousand.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Final, NamedTuple

__all__ = ["DEVICE_PREFIX", "ComponentState", "Health", "State", "device_component"]

log = logging.getLogger(__name__)


DEVICE_PREFIX: Final = "device "
"""What the component that reads a device is called, before the device's name."""


def device_component(device: str) -> str:
    """Name of the component that reads this device, in states, logs and metrics."""
    return DEVICE_PREFIX + device


class State(StrEnum):
    """What a component is doing."""

    STARTING = "starting"
    UP = "up"
    DEGRADED = "degraded"
    WAITING = "waiting"
    STOPPED = "stopped"


_LEVEL = {State.DEGRADED: logging.WARNING, State.WAITING: logging.WARNING}


class ComponentState(NamedTuple):
    """State of one component, why, and since when (UTC ns)."""

    state: State
    why: str
    since_ns: int


class Health:
    """All components' states."""

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self._states: dict[str, ComponentState] = {}
        self._logged: dict[str, tuple[State, str]] = {}

    def set(self, name: str, state: State, why: str = "") -> None:
        """Says what a component does now. `since` changes only when the state does."""
        before = self._states.get(name)
        since_ns = before.since_ns if before and before.state == state else self._now_ns()
        self._states[name] = ComponentState(state, why, since_ns)
        if state is not State.STARTING:
            self._log_change(name, state, why)

    def forget(self, name: str) -> None:
        """The component is no more: it is not shown any longer."""
        self._states.pop(name, None)
        self._logged.pop(name, None)

    def __getitem__(self, name: str) -> ComponentState:
        return self._states[name]

    def states(self) -> dict[str, State]:
        """Every component's state."""
        return {name: component.state for name, component in self._states.items()}

    def as_dict(self) -> dict[str, dict[str, str | float]]:
        """Every component's state, for status; `since` in seconds since 1970."""
        return {
            name: {"state": str(state), "why": why, "since": since_ns / 1e9}
            for name, (state, why, since_ns) in self._states.items()
        }

    @property
    def overall(self) -> State:
        """`up` when every component is, `starting` while some start, else `degraded`."""
        states = {component.state for component in self._states.values()}
        if states & {State.WAITING, State.DEGRADED}:
            return State.DEGRADED
        return State.STARTING if State.STARTING in states else State.UP

    @property
    def summary(self) -> str:
        """The overall state and what is not up, in one line of at most 400 characters."""
        trouble = [
            f"{name} is {state}"
            for name, (state, _, _) in self._states.items()
            if state in (State.WAITING, State.DEGRADED)
        ]
        return "; ".join([str(self.overall), *trouble])[:400]

    def _log_change(self, name: str, state: State, why: str) -> None:
        # The attempt's number and pause differ each time; what came back is what counts as a change.
        told = (state, why.partition(" (next attempt")[0])
        if self._logged.get(name) != told:
            self._logged[name] = told
            log.log(_LEVEL.get(state, logging.INFO), "%s is %s: %s", name, state, why)
