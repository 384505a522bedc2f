"""What one run has learned about a unit: how its requests had to be split, which it refuses, whether it answers.

No input and output; times are parameters.

A refused request is set aside and asked again seldom, a few of them in a cycle, so that a long list of mistakes in the
configuration does not slow down the tags that are right. What was learned is forgotten with the run: after a reconnect
the device may be another one. Only what is known of silent units is handed on from a lost run to the next (`Silence`),
or each attempt to come back would first wait for all the dead units again.

Where a request is refused and both its halves are answered, it was too long for the device: from then on all requests
of that length are cut before they are asked.

A request that fails as a whole, though not because it asks for too much, is looked at more closely only now and then:
when the whole device has a bad moment, no part of it is answered either, and asking for parts in each cycle would make
it worse.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from adapters.modbus.planner import Request, split
from adapters.modbus.schedule import probe_delay_s

__all__ = ["RETRY_REFUSED_S", "Silence", "Unit"]

RETRY_REFUSED_S: Final = 60.0
_RETRIES_PER_CYCLE: Final = 4


class Silence(NamedTuple):
    """What is known of a unit that does not answer: how often in a row it did not, and when to ask again."""

    failures: int
    probe_at_s: float


class Unit:
    """One unit behind the connection.

    Args:
        unit_id: its id.
        requests: what is asked of it in each cycle.
        silence: what the last run knew of it, where it was silent then: it is, until its next probe is due.
        now_s: monotonic time.
    """

    def __init__(
        self, unit_id: int, requests: Iterable[Request], *, silence: Silence | None = None, now_s: float = 0.0
    ) -> None:
        self.unit_id = unit_id
        self.all_requests = tuple(requests)
        self.silent = silence is not None and now_s < silence.probe_at_s
        self._asked = list(self.all_requests)
        self._refused: dict[Request, float] = {}
        self._looked: dict[Request, float] = {}
        self._halves: dict[Request, tuple[Request, int, bool]] = {}
        self._most: dict[bool, int] = {}
        self._failures, self._probe_at_s = silence or (0, 0.0)
        self._heard = False
        self._left_out = False

    @property
    def most_registers(self) -> int | None:
        """Most registers that it takes at once, where that was learned."""
        return self._most.get(False)

    @property
    def failures(self) -> int:
        """Times in a row that it did not answer."""
        return self._failures

    @property
    def proven(self) -> bool:
        """Whether it answered when it was last to be asked: it will probably answer again."""
        return self.answers and not self._left_out

    @property
    def answers(self) -> bool:
        """Whether it has answered in this run, and has not fallen silent since."""
        return self._heard and not self.silent

    @property
    def silence(self) -> Silence | None:
        """What the next run should know of it, where it is silent."""
        return Silence(self._failures, self._probe_at_s) if self.silent else None

    @property
    def asked(self) -> Sequence[Request]:
        """What is asked in each cycle."""
        return self._asked

    @property
    def refused(self) -> Sequence[Request]:
        """What is asked seldom."""
        return tuple(self._refused)

    def due(self, now_s: float, interval_s: float | None = None) -> list[Request]:
        """What to ask in the cycle that begins now.

        Args:
            now_s: monotonic time.
            interval_s: scan class; all of them where None.
        """
        if self._most:
            self._shorten()
        asked = [request for request in self._asked if interval_s in (None, request.interval_s)]
        again = [
            request
            for request, at_s in self._refused.items()
            if at_s <= now_s and interval_s in (None, request.interval_s)
        ]
        return asked + again[:_RETRIES_PER_CYCLE]

    def leave_out(self) -> None:
        """There was no time to ask it: the dead took it. It comes behind the others until it has answered."""
        self._left_out = True

    def split(self, request: Request) -> tuple[Request, ...]:
        """Replaces a request by smaller ones for good; empty where that is not possible."""
        pieces = split(request)
        if pieces:
            self.replace(request, pieces)
            first, second = pieces
            if first.count + second.count == request.count:  # nothing was left out that could have been the cause
                self._halves[first] = second, request.count, False
                self._halves[second] = first, request.count, False
        return pieces

    def replace(self, request: Request, pieces: Sequence[Request]) -> None:
        """From now on these are asked instead of the request whose tags they serve."""
        self._refused.pop(request, None)
        self._looked.pop(request, None)
        if request in self._asked:
            at = self._asked.index(request)
            self._asked[at : at + 1] = pieces
        else:
            self._asked += pieces

    def may_look_closer(self, request: Request, *, now_s: float) -> bool:
        """Whether to find out now if parts of a failing request are answered. Says yes once in a while only."""
        if not split(request) or now_s < self._looked.get(request, -math.inf):
            return False
        self._looked[request] = now_s + RETRY_REFUSED_S
        return True

    def set_aside(self, request: Request, *, now_s: float) -> None:
        """The unit refuses this request: it is asked seldom from now on."""
        if request in self._asked:
            self._asked.remove(request)
        self._refused[request] = now_s + RETRY_REFUSED_S

    def accept(self, request: Request) -> None:
        """The request was answered with values."""
        if self._refused.pop(request, None) is not None:
            self._asked.append(request)
        if self._halves:
            self._learn(request)

    def _learn(self, request: Request) -> None:
        other, whole, other_answered = self._halves.pop(request, (request, 0, False))
        if other_answered:
            is_bits = request.table.is_bits
            self._most[is_bits] = min(self._most.get(is_bits, whole), whole - 1)
        elif other in self._halves:
            self._halves[other] = request, whole, True

    def _shorten(self) -> None:
        """Cuts what is known to be too long."""
        whole = 0
        while whole < len(self._asked):
            request = self._asked[whole]
            most = self._most.get(request.table.is_bits, request.count)
            pieces = split(request) if request.count > most else ()
            self._asked[whole : whole + 1] = pieces or (request,)
            whole += not pieces

    def complete(self) -> None:
        """Each request of a cycle was answered, one way or the other."""
        self._heard = True
        self._left_out = False
        self._failures = 0

    def fall_silent(self, *, now_s: float, interval_s: float, timeout_s: float) -> None:
        """The unit did not answer: it is left out until a probe finds it."""
        self.silent = True
        self._failures += 1
        self._probe_at_s = now_s + probe_delay_s(self._failures, interval_s=interval_s, timeout_s=timeout_s)

    def wake(self) -> None:
        """A probe was answered. Failures are forgotten only after a complete cycle."""
        self._heard = True
        self._left_out = False
        self.silent = False

    @property
    def probe_at_s(self) -> float:
        """When it is to be asked again, where it is silent; on the monotonic clock."""
        return self._probe_at_s

    def probe(self, now_s: float) -> Request | None:
        """The request that finds out whether a silent unit is back; None while it is not due."""
        if not self.silent or now_s < self._probe_at_s:
            return None
        return (self._asked or list(self._refused))[0]
