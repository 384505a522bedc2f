"""Reading all units once, one request at a time, and learning from what they refuse.

Invariants
- Each tag that is asked for leaves a good reading, or a bad one the first time it has none: whether a tag is bad
  already is remembered in `bad`, so a unit that stays away does not fill the spool with the same news.
- A unit that does not answer costs one time-out, then only its probes, one unit a cycle, after the batch is under way.
- What was gathered before a failure stays in the harvest, so it is emitted and not lost; and it is handed over before
  the next unit is asked, so that many units that die together delay no reading by more than one time-out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from adapters.modbus.decode import Decoder, bad_record
from adapters.modbus.errors import NOT_FINITE, Fault, Reaction, Refused, Silent, Unreachable
from adapters.modbus.items import Item
from adapters.modbus.line import Line
from adapters.modbus.planner import Request, split
from adapters.modbus.units import Unit
from gateway.batch import BAD_COMMUNICATION, Batch

__all__ = ["SPLITS_PER_CYCLE", "Harvest", "Sweep"]

SPLITS_PER_CYCLE: Final = 16
"""So that a device which refuses everything does not hold up a cycle with hundreds of attempts."""


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

    def good(self, request: Request, decoder: Decoder, words: Sequence[int]) -> int:
        """Takes an answer that has just come in; says how many floats were no number."""
        records, not_finite = decoder.decode(words, self._now_ns(), self._heap)
        self._parts.append(records)
        self.answers += 1
        if self._bad:
            for item in request.items:
                self._bad.pop(item.index, None)
        return not_finite

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


class Sweep:
    """Reads the units of one device.

    Args:
        units: the units, in the order in which they are asked.
        line: the connection.
        points: number of each tag's point, by `Item.index`.
        count: counts a source error by cause.
        clock: monotonic seconds.
        interval_s: poll interval.
        timeout_s: what an answer may take.
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
        most_splits: int = SPLITS_PER_CYCLE,
    ) -> None:
        self.units = units
        self.line = line
        self._points = points
        self._count = count
        self._clock = clock
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._most_splits = most_splits
        self._splits_left = 0
        self.causes: dict[int, str] = {}
        """Why each unit that fell silent while it was read did so: label of `Metrics.source_errors`, by unit id."""
        self._decoders: dict[Request, Decoder] = {}

    @property
    def all_silent(self) -> bool:
        """Whether no unit answers."""
        return all(unit.silent for unit in self.units)

    async def read(self, harvest: Harvest, hand_over: Callable[[], Awaitable[None]]) -> None:
        """Asks each unit that is not silent for all its tags.

        Args:
            harvest: takes the readings.
            hand_over: called with what there is after a unit has made the others wait in vain.

        Raises:
            Unreachable: a connection was needed and could not be made.
        """
        for unit in self.units:
            if not unit.silent:
                await self._read_unit(unit, harvest)
                if unit.silent:
                    await hand_over()

    async def probe(self) -> None:
        """Asks one silent unit whose time has come; its answer only tells that it is back."""
        now_s = self._clock()
        for unit in self.units:
            request = unit.probe(now_s)
            if request is None:
                continue
            try:
                await self.line.read(request)
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
            return

    async def _read_unit(self, unit: Unit, harvest: Harvest) -> None:
        waiting = deque(unit.due(self._clock()))
        self._splits_left = self._most_splits
        try:
            while waiting:
                request = waiting.popleft()
                try:
                    words = await self.line.read(request)
                except Refused as refusal:
                    waiting.extendleft(reversed(await self._cope(unit, request, refusal, harvest)))
                else:
                    unit.accept(request)
                    self._take(request, words, harvest)
        except (Silent, Refused) as failure:
            self._count(failure.cause, 1)
            self.causes[unit.unit_id] = failure.cause
            self._lose(unit, harvest)
        else:
            unit.complete()

    async def _cope(self, unit: Unit, request: Request, refusal: Refused, harvest: Harvest) -> Sequence[Request]:
        """Does what a refusal calls for; gives the requests that are to be asked at once instead.

        Raises:
            Refused: it means that the unit is away.
            Silent: the unit fell silent meanwhile.
        """
        fault = refusal.fault
        now_s = self._clock()
        if fault.reaction is Reaction.UNIT_AWAY:
            raise refusal
        if fault.reaction is Reaction.LOOK_CLOSER and self._splits_left and unit.may_look_closer(request, now_s=now_s):
            await self._look_closer(unit, request, fault, harvest)
            return ()
        if fault.reaction is Reaction.SPLIT and (pieces := unit.split(request)):
            self._decoders.pop(request, None)
            self._count("split", 1)
            if self._splits_left:
                self._splits_left -= 1
                return pieces
        else:
            self._count(refusal.cause, 1)
            if fault.reaction in (Reaction.SPLIT, Reaction.SELDOM):
                unit.set_aside(request, now_s=now_s)
        harvest.bad(request.items, fault.status)
        return ()

    async def _look_closer(self, unit: Unit, request: Request, fault: Fault, harvest: Harvest) -> None:
        """Asks for ever smaller parts of a request; where any is answered, the parts take its place.

        Otherwise the whole device has a bad moment, and the request stays as it is.
        """
        answered: list[Request] = []
        failed: list[tuple[Request, Fault]] = []
        waiting = deque([(request, fault)])
        while waiting:
            whole, why = waiting.popleft()
            pieces = split(whole) if self._splits_left else ()
            if not pieces:
                failed.append((whole, why))
                continue
            self._splits_left -= 1
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
            self._decoders.pop(request, None)
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
        if not_finite := harvest.good(request, decoder, words):
            self._count(NOT_FINITE.cause, not_finite)

    def _lose(self, unit: Unit, harvest: Harvest) -> None:
        self._fall_silent(unit)
        for request in unit.all_requests:
            harvest.bad(request.items, BAD_COMMUNICATION)

    def _fall_silent(self, unit: Unit) -> None:
        unit.fall_silent(now_s=self._clock(), interval_s=self._interval_s, timeout_s=self._timeout_s)
