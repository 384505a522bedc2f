"""What one run has learned about a unit: how its requests had to be split, which it refuses, whether it answers.

No input and output; times are parameters.

A refused request is set aside and asked again seldom, a few of them in a cycle, so that a long list of mistakes in the
configuration does not slow down the tags that are right. What was learned is forgotten with the run: after a reconnect
the device may be another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from adapters.modbus.planner import Request, split
from adapters.modbus.schedule import probe_delay_s

__all__ = ["RETRY_REFUSED_S", "Unit"]

RETRY_REFUSED_S: Final = 60.0
_RETRIES_PER_CYCLE: Final = 4


class Unit:
    """One unit behind the connection.

    Args:
        unit_id: its id.
        requests: what is asked of it in each cycle.
    """

    def __init__(self, unit_id: int, requests: Iterable[Request]) -> None:
        self.unit_id = unit_id
        self.all_requests = tuple(requests)
        self.silent = False
        self._asked = list(self.all_requests)
        self._refused: dict[Request, float] = {}
        self._failures = 0
        self._probe_at_s = 0.0

    @property
    def asked(self) -> Sequence[Request]:
        """What is asked in each cycle."""
        return self._asked

    @property
    def refused(self) -> Sequence[Request]:
        """What is asked seldom."""
        return tuple(self._refused)

    def due(self, now_s: float) -> list[Request]:
        """What to ask in the cycle that begins now."""
        again = [request for request, at_s in self._refused.items() if at_s <= now_s]
        return self._asked + again[:_RETRIES_PER_CYCLE]

    def split(self, request: Request) -> tuple[Request, ...]:
        """Replaces a request by smaller ones for good; empty where that is not possible."""
        pieces = split(request)
        if pieces:
            self._refused.pop(request, None)
            if request in self._asked:
                at = self._asked.index(request)
                self._asked[at : at + 1] = pieces
            else:
                self._asked += pieces
        return pieces

    def set_aside(self, request: Request, *, now_s: float) -> None:
        """The unit refuses this request: it is asked seldom from now on."""
        if request in self._asked:
            self._asked.remove(request)
        self._refused[request] = now_s + RETRY_REFUSED_S

    def accept(self, request: Request) -> None:
        """The request was answered with values."""
        if self._refused.pop(request, None) is not None:
            self._asked.append(request)

    def complete(self) -> None:
        """Each request of a cycle was answered, one way or the other."""
        self._failures = 0

    def fall_silent(self, *, now_s: float, interval_s: float, timeout_s: float) -> None:
        """The unit did not answer: it is left out until a probe finds it."""
        self.silent = True
        self._failures += 1
        self._probe_at_s = now_s + probe_delay_s(self._failures, interval_s=interval_s, timeout_s=timeout_s)

    def wake(self) -> None:
        """A probe was answered. Failures are forgotten only after a complete cycle."""
        self.silent = False

    def probe(self, now_s: float) -> Request | None:
        """The request that finds out whether a silent unit is back; None while it is not due."""
        if not self.silent or now_s < self._probe_at_s:
            return None
        return (self._asked or list(self._refused))[0]
