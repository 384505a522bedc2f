"""A new version of a module beside the one at work: it is given the same batches, and its answers are only compared.

Invariants
- What a shadow answers goes nowhere, and what it does wrong costs its own instance: it is parked like any other.
- Readings wait while it works: it may take a tenth of the time, or it is parked for long.
- It counts in none of the gateway's counters: what it leaves out is not left out.
- Equal answers cost one comparison of bytes. Where they differ, readings are looked at one by one once a second at
  most, for the examples; the numbers are counted always.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.batch import RECORD_BYTES, Batch, Reading
from gateway.metrics import Metrics
from gateway.wasm.allowance import SHARE, WINDOW_NS, Allowance
from gateway.wasm.failure import GuestFailure
from gateway.wasm.host import Host
from gateway.wasm.stage import BoundFilter, FilterState, Stage
from gateway.wasm.state import KeptState, shadow_key

__all__ = ["Difference", "Shadow", "ShadowHealth", "differences"]

MOST_EXAMPLES: Final = 5
MOST_LOOKED_AT: Final = 500
"""Readings of an answer that are looked at one by one: some milliseconds, once a second."""
_LOOK_EVERY_NS: Final = 1_000_000_000
_LEFT_OUT: Final = "left out"


@dataclass(frozen=True, slots=True)
class Difference:
    """One reading that the two made different things of.

    Attributes:
        tag: its tag, or its point's number where no name is known.
        ts_ns: UTC ns.
        now: what the module at work made of it.
        shadow: what the shadow made of it.
    """

    tag: str
    ts_ns: int
    now: str
    shadow: str


@dataclass(frozen=True, slots=True)
class ShadowHealth:
    """What status shows of a shadow on one device, since the filters of the device were last changed.

    Attributes:
        module: its module, with the version once that is known.
        state: like a filter's.
        failures: batches that it failed on.
        last_error: text of the latest failure; empty where there was none.
        batches: that both answered.
        differing: of those, batches that they answered differently.
        readings: that came in with them.
        kept: readings that went on, of the module at work.
        shadow_kept: readings that would have gone on, of the shadow.
        cost_us: what a reading costs in the module at work, in microseconds.
        shadow_cost_us: what it costs in the shadow.
        examples: the latest differences, a few of them.
    """

    module: str
    state: FilterState
    failures: int
    last_error: str
    batches: int
    differing: int
    readings: int
    kept: int
    shadow_kept: int
    cost_us: float
    shadow_cost_us: float
    examples: tuple[Difference, ...]


class Shadow:
    """Runs one shadow on one device.

    Args:
        host: runs the module.
        bound: the shadow as a filter of its own, with the name of the one that it follows.
        device: name of the device, for texts.
        known: numbers of all the device's points.
        names: names of the points, for the examples.
        follows: the key of the filter that it follows.
    """

    def __init__(
        self,
        host: Host,
        bound: BoundFilter,
        *,
        device: str,
        known: frozenset[int],
        names: Mapping[int, str],
        follows: str,
    ) -> None:
        shadow = replace(bound, name=f"{bound.name} (shadow)")
        self.stage = Stage(host, shadow, device=device, known=known, key=shadow_key(follows), metrics=Metrics())
        """Its instance, and all that belongs to it."""
        self._follows = follows
        self._names = names
        self._batches = self._differing = self._readings = self._kept = self._shadow_kept = 0
        self._cost_s = self._shadow_cost_s = 0.0
        self._allowance = Allowance()
        self._looked_at_ns: int | None = None
        self._examples: deque[Difference] = deque(maxlen=MOST_EXAMPLES)

    def look(self, before: Batch, after: Batch | None, cost_s: float, now_ns: int) -> None:
        """Gives the shadow a batch, and compares.

        Args:
            before: what came in.
            after: what the module at work answered; None where it failed.
            cost_s: how long that took, in seconds.
            now_ns: UTC ns.
        """
        worked_s = self.stage.worked_s
        try:
            shadow = self.stage.apply(before, now_ns)
        except GuestFailure:
            shadow = None
        took_s = self.stage.worked_s - worked_s
        if not self._allowance.spend(took_s, now_ns):
            what = f"it took more than {SHARE:.0%} of {WINDOW_NS // 10**9} s, and readings wait while it works"
            self.stage.stop(GuestFailure("timeout", what), now_ns)
        if shadow is None or after is None:
            return
        self._batches += 1
        self._readings += len(before)
        self._kept += len(after)
        self._shadow_kept += len(shadow)
        self._cost_s += cost_s
        self._shadow_cost_s += took_s
        if shadow is after or (shadow.records == after.records and shadow.heap == after.heap):
            return
        looked_at_ns = self._looked_at_ns
        if looked_at_ns is not None and 0 <= now_ns - looked_at_ns < _LOOK_EVERY_NS:
            self._differing += 1
            return
        self._looked_at_ns = now_ns
        found = differences(after, shadow, self._names)
        # The same readings may stand in another heap.
        self._differing += bool(found) or max(len(after), len(shadow)) > MOST_LOOKED_AT
        self._examples.extend(found[:MOST_EXAMPLES])

    def resume(self, kept: Sequence[KeptState]) -> None:
        """Lets it go on from a state, its own or that of the filter that it follows."""
        self.stage.resume(kept, also=self._follows)

    def health(self, now_ns: int) -> ShadowHealth:
        """How it does, and how it differs."""
        told = self.stage.health(now_ns)
        readings = max(self._readings, 1)
        return ShadowHealth(
            told.module,
            told.state,
            told.failures,
            told.last_error,
            self._batches,
            self._differing,
            self._readings,
            self._kept,
            self._shadow_kept,
            round(self._cost_s * 1e6 / readings, 4),
            round(self._shadow_cost_s * 1e6 / readings, 4),
            tuple(self._examples),
        )


def differences(now: Batch, shadow: Batch, names: Mapping[int, str]) -> list[Difference]:
    """Readings that stand in one of two answers only, or differ in them, in the order of their times.

    Of answers that are equal at their beginning and long behind it, only `MOST_LOOKED_AT` readings are looked at.

    Args:
        now: the answer of the module at work.
        shadow: the answer of the shadow.
        names: names of the points.
    """
    first = _first_difference(now, shadow)
    ours, theirs = _by_place(now, first), _by_place(shadow, first)
    # Where a long answer was cut, a reading may be missing only because it lies behind the cut.
    ends_ours, ends_theirs = _ends(now, first, ours), _ends(shadow, first, theirs)
    found = []
    for place in sorted(ours.keys() | theirs.keys()):
        ts_ns, point, _ = place
        one, other = ours.get(place), theirs.get(place)
        if (one is None and ts_ns >= ends_ours(point)) or (other is None and ts_ns >= ends_theirs(point)):
            continue
        if _text(one) != _text(other):
            found.append(Difference(names.get(point, str(point)), ts_ns, _text(one), _text(other)))
    return found


def _first_difference(now: Batch, shadow: Batch) -> int:
    """Index of the first reading that is not the same in both, or a little before it."""
    if now.heap != shadow.heap:
        return 0
    at, step = 0, RECORD_BYTES * 64
    most = min(len(now.records), len(shadow.records))
    while at + step <= most and now.records[at : at + step] == shadow.records[at : at + step]:
        at += step
    return at // RECORD_BYTES


def _by_place(batch: Batch, first: int) -> dict[tuple[int, int, int], Reading]:
    """The readings by time, point, and turn among those of one time and point."""
    found: dict[tuple[int, int, int], Reading] = {}
    turns: dict[tuple[int, int], int] = {}
    for reading in batch.slice(first, min(len(batch), first + MOST_LOOKED_AT)):
        turn = turns[reading.ts_ns, reading.point] = turns.get((reading.ts_ns, reading.point), -1) + 1
        found[reading.ts_ns, reading.point, turn] = reading
    return found


def _ends(batch: Batch, first: int, looked_at: Mapping[tuple[int, int, int], Reading]) -> Callable[[int], float]:
    """Until which time all readings of a point were looked at; for ever where the answer was not cut."""
    if len(batch) <= first + MOST_LOOKED_AT:
        return lambda _point: math.inf
    latest: dict[int, int] = {}
    for ts_ns, point, _ in looked_at:
        latest[point] = max(ts_ns, latest.get(point, ts_ns))
    return lambda point: latest.get(point, -math.inf)


def _text(reading: Reading | None) -> str:
    if reading is None:
        return _LEFT_OUT
    value = "no value" if reading.value is None else f"{reading.value!r:.60}"
    status = f", status 0x{reading.status:04X}" if reading.status else ""
    return f"{value} ({reading.kind.name.lower()}{status})"
