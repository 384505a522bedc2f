"""Reading all units once, one request at a time, and learning from what they refuse.

Invariants
- Each tag that is asked for leaves a good reading, or a bad one the first time it has none: whether a tag is bad
  already is remembered in `bad`, so a unit that stays away does not fill the spool with the same news.
- A unit that does not answer costs one time-out, then only its probes, which are made in the time that is left until
  the next poll.
- Units that answered come first. Where a unit made the others wait in vain until they came late, those that did not
  answer yet in this run, or were not asked, are left for the next cycle: so many units that die together do not hold
  up the others one time-out after the other.
- What was gathered before a failure stays in the harvest, so it is emitted and not lost.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final

from adapters.modbus.ages import Ages
from adapters.modbus.decode import Decoded, Decoder, bad_record
from adapters.modbus.errors import Fault, Reaction, Refused, Silent, Unreachable
from adapters.modbus.items import Item
from adapters.modbus.line import Line
from adapters.modbus.planner import Request, split
from adapters.modbus.schedule import patience_s, probe_patience_s, probes_free_again_s
from adapters.modbus.units import Unit
from gateway.batch import BAD_COMMUNICATION, GOOD, Batch

__all__ = ["Harvest", "Sweep"]

_SPLITS_PER_CYCLE: Final = 16
"""So that a device which refuses everything does not hold up a cycle with hundreds of attempts."""
_FADING: Final = 0.999
"""So much of the slowest answer is remembered from one answer to the next."""
_NOISE: Final = ("garbled_answer", "undecodable_answer")
"""It may be what another unit, or the line, has sent."""


class Harvest:
    """The readings of one cycle.

    Args:
        points: number of each tag's point, by `Item.index`.
        bad: status of each tag whose last reading was bad, by `Item.index`; kept up to date here.
        now_ns: UTC ns since 1970.
    """

    def __init__(self, *, points: Sequence[int], bad: dict[int, int], now_ns: Callable[[], int]) -> None:
        self._points = points
        self._bad = bad
        self._now_ns = now_ns
        self._parts: list[bytes | bytearray] = []
        self._heap = bytearray()
        self.answers = 0

    def good(self, request: Request, decoder: Decoder, words: Sequence[int]) -> Decoded:
        """Takes an answer that has just come in; gives what it held."""
        decoded = decoder.decode(words, self._now_ns(), self._heap)
        self._parts.append(decoded.records)
        self.answers += 1
        if self._bad:
            for item in request.items:
                self._bad.pop(item.index, None)
        return decoded

    def bad(self, items: Iterable[Item], status: int) -> None:
        """These tags have no value now. Says so once for each change."""
        ts_ns = self._now_ns()
        for item in items:
            if self._bad.get(item.index) != status:
                self._bad[item.index] = status
                self._parts.append(bad_record(self._points[item.index], status, ts_ns))

    def take(self) -> Batch:
        """All readings since the last call."""
        batch = Batch(b"".join(self._parts), bytes(self._heap))
        self._parts.clear()
        self._heap.clear()
        return batch


class _Budget:
    """How often requests of one unit may still be split and asked again in a cycle."""

    def __init__(self, splits: int) -> None:
        self.left = splits


class Sweep:
    """Reads the units of one device.

    Args:
        units: the units, in the order in which they are asked.
        line: the connection.
        points: number of each tag's point, by `Item.index`.
        count: counts a source error by cause.
        clock: monotonic seconds.
        interval_s: shortest poll interval.
        timeout_s: what an answer may take.
        ages: when each tag was last good.
        most_splits: how often requests of one unit may be split and asked again in one cycle.
    """

    def __init__(
        self,
        *,
        units: Sequence[Unit],
        line: Line,
        points: Sequence[int],
        count: Callable[[str, int], None],
        clock: Callable[[], float],
        interval_s: float,
        timeout_s: float,
        ages: Ages,
        most_splits: int = _SPLITS_PER_CYCLE,
    ) -> None:
        self.units = units
        self.line = line
        self._points = points
        self._count = count
        self._clock = clock
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._ages = ages
        self._most_splits = most_splits
        self._probes_free_s = clock()
        self._usual_s = 0.0
        self.causes: dict[int, str] = {}
        """Why each unit that fell silent while it was read did so: label of `Metrics.source_errors`, by unit id."""
        self._decoders: dict[Request, Decoder] = {}

    @property
    def all_silent(self) -> bool:
        """Whether no unit answers."""
        return all(unit.silent for unit in self.units)

    async def read(
        self, harvest: Harvest, *, interval_s: float | None = None, slack_s: Callable[[], float] = lambda: math.inf
    ) -> AsyncIterator[bool]:
        """Asks each unit that is not silent for its tags. Gives the turn back after each request it has seen to.

        Args:
            harvest: takes the readings.
            interval_s: the scan class to read; all of them where None.
            slack_s: seconds until a poll comes late.

        Yields:
            Whether a unit has just made the others wait in vain.

        Raises:
            Unreachable: a connection was needed and could not be made.
        """
        in_vain = False
        left_out = 0
        for unit in sorted(self.units, key=lambda unit: not unit.proven):
            waiting = deque(() if unit.silent else unit.due(self._clock(), interval_s))
            if not waiting:
                continue
            others = any(other.proven for other in self.units if other is not unit)
            if others and in_vain and slack_s() <= 0:
                unit.leave_out()
                left_out += 1
                continue
            timeout_s = self._timeout_s
            if others and not unit.proven:
                timeout_s = patience_s(slack_s(), timeout_s=timeout_s, usual_s=self._usual_s)
            budget = _Budget(self._most_splits)
            while waiting and not unit.silent:  # another scan class may find it silent meanwhile
                request = waiting.popleft()
                try:
                    more = await self._exchange(unit, request, harvest, budget, timeout_s)
                except (Silent, Refused) as failure:
                    self._count(failure.cause, 1)
                    self.causes[unit.unit_id] = failure.cause
                    self._lose(unit, harvest)
                    in_vain = True
                    yield True
                else:
                    waiting.extendleft(reversed(more))
                    yield False
            if not unit.silent:
                unit.complete()
        if left_out:
            self._count("left_out", left_out)

    async def probe(self, slack_s: float) -> bool:
        """Asks one silent unit whose time has come; its answer only tells that it is back.

        Args:
            slack_s: seconds until the next poll.

        Returns:
            Whether one was asked, so that another may be.
        """
        began_s = self._clock()
        # The one that has waited longest; where there is time for few, each gets its turn.
        for unit in sorted(self.units, key=lambda unit: unit.probe_at_s):
            request = unit.probe(began_s)
            if request is None:
                continue
            patience = probe_patience_s(
                slack_s,
                timeout_s=self._timeout_s,
                failures=unit.failures,
                is_free=began_s >= self._probes_free_s,
                usual_s=self._usual_s,
            )
            if patience is None:
                return False
            await self._probe(unit, request, patience)
            now_s = self._clock()
            late_s = now_s - began_s - max(slack_s, 0.0)
            if late_s > 0:
                self._probes_free_s = probes_free_again_s(now_s, late_s=late_s, interval_s=self._interval_s)
            return True
        return False

    async def _probe(self, unit: Unit, request: Request, patience: float) -> None:
        try:
            await self.line.read(request, patience_s=patience)
        except Refused as refusal:
            if refusal.fault.reaction is Reaction.UNIT_AWAY:
                self._count(refusal.cause, 1)
                self._fall_silent(unit)
            else:
                unit.wake()
        except (Silent, Unreachable) as failure:
            # A device that cannot be reached at all shows in the next cycle, which reads the others.
            self._count(failure.cause, 1)
            self._fall_silent(unit)
        else:
            unit.wake()

    async def _exchange(
        self, unit: Unit, request: Request, harvest: Harvest, budget: _Budget, timeout_s: float
    ) -> Sequence[Request]:
        """Asks once; gives the requests that are to be asked at once instead.

        Raises:
            Refused: it means that the unit is away.
            Silent: no usable answer came.
        """
        began_s = self._clock()
        try:
            words = await self._words(unit, request, timeout_s)
        except Refused as refusal:
            return await self._cope(unit, request, refusal, harvest, budget)
        self._usual_s = max(self._usual_s * _FADING, self._clock() - began_s)
        unit.accept(request)
        self._take(request, words, harvest)
        return ()

    async def _words(self, unit: Unit, request: Request, timeout_s: float) -> Sequence[int]:
        try:
            return await self.line.read(request, patience_s=timeout_s)
        except Silent as failure:
            if failure.cause not in _NOISE or not unit.answers:
                raise
            # Noise hits any unit, whoever made it; one that has answered before is asked once more.
            self._count(failure.cause, 1)
        return await self.line.read(request, patience_s=timeout_s)

    async def _cope(
        self, unit: Unit, request: Request, refusal: Refused, harvest: Harvest, budget: _Budget
    ) -> Sequence[Request]:
        """Does what a refusal calls for; gives the requests that are to be asked at once instead.

        Raises:
            Refused: it means that the unit is away.
            Silent: the unit fell silent meanwhile.
        """
        fault = refusal.fault
        now_s = self._clock()
        if fault.reaction is Reaction.UNIT_AWAY:
            raise refusal
        if fault.reaction is Reaction.LOOK_CLOSER and budget.left and unit.may_look_closer(request, now_s=now_s):
            await self._look_closer(unit, request, fault, harvest, budget)
            return ()
        if fault.reaction is Reaction.SPLIT and (pieces := unit.split(request)):
            self._forget(request)
            self._count("split", 1)
            if budget.left:
                budget.left -= 1
                return pieces
        else:
            self._count(refusal.cause, 1)
            if fault.reaction in (Reaction.SPLIT, Reaction.SELDOM):
                unit.set_aside(request, now_s=now_s)
        harvest.bad(request.items, fault.status)
        return ()

    async def _look_closer(self, unit: Unit, request: Request, fault: Fault, harvest: Harvest, budget: _Budget) -> None:
        """Asks for ever smaller parts of a request; where any is answered, the parts take its place.

        Otherwise the whole device has a bad moment, and the request stays as it is.
        """
        answered: list[Request] = []
        failed: list[tuple[Request, Fault]] = []
        waiting = deque([(request, fault)])
        while waiting:
            whole, why = waiting.popleft()
            pieces = split(whole) if budget.left else ()
            if not pieces:
                failed.append((whole, why))
                continue
            budget.left -= 1
            for piece in pieces:
                try:
                    words = await self.line.read(piece)
                except Refused as refusal:
                    if refusal.fault.reaction is Reaction.UNIT_AWAY:
                        raise
                    waiting.append((piece, refusal.fault))
                else:
                    answered.append(piece)
                    self._take(piece, words, harvest)
        if answered:
            parts = [*answered, *(part for part, _ in failed)]
            self._forget(request)
            self._count("split", len(parts) - 1)
            unit.replace(request, sorted(parts, key=lambda part: part.address))
        else:
            failed = [(request, fault)]
        for part, why in failed:
            self._count(why.cause, 1)
            harvest.bad(part.items, why.status)
            if answered and not split(part):
                unit.set_aside(part, now_s=self._clock())

    def _take(self, request: Request, words: Sequence[int], harvest: Harvest) -> None:
        decoder = self._decoders.get(request)
        if decoder is None:
            decoder = self._decoders[request] = Decoder(request, self._points)
        records, bad = harvest.good(request, decoder, words)
        if not bad:
            self._ages.good(request, at_s=self._clock())
            return
        batch = Batch(bytes(records))
        good = {point for point, status in zip(batch.points(), batch.statuses(), strict=True) if status == GOOD}
        indexes = [item.index for item in request.items if self._points[item.index] in good]
        self._ages.some(request, indexes, at_s=self._clock())
        for fault, times in bad.items():
            self._count(fault.cause, times)

    def _forget(self, request: Request) -> None:
        self._decoders.pop(request, None)
        self._ages.settle(request)

    def _lose(self, unit: Unit, harvest: Harvest) -> None:
        self._fall_silent(unit)
        for request in unit.all_requests:
            harvest.bad(request.items, BAD_COMMUNICATION)

    def _fall_silent(self, unit: Unit) -> None:
        unit.fall_silent(now_s=self._clock(), interval_s=self._interval_s, timeout_s=self._timeout_s)
