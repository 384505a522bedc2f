"""Reading all units once, one request at a time, and learning from what they refuse.

Invariants
- Each tag that is asked for leaves a good reading, or a bad one the first time it has none: whether a tag is bad
  already is remembered in `bad`, so a unit that stays away does not fill the spool with the same news.
- A unit that does not answer costs one time-out, then only its probes, one unit a cycle, after the batch is under way.
- What was gathered before a failure stays in the harvest, so it is emitted and not lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from adapters.modbus.decode import Decoder, bad_record
from adapters.modbus.errors import NOT_FINITE, Reaction, Refused, Silent, Unreachable
from adapters.modbus.items import Item
from adapters.modbus.planner import Request
from adapters.modbus.transport import Line
from adapters.modbus.units import Unit
from gateway.batch import BAD_COMMUNICATION, Batch

__all__ = ["Harvest", "Sweep"]

_SPLITS_PER_CYCLE = 16
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

    def batch(self) -> Batch:
        """All readings so far."""
        return Batch(b"".join(self._parts), bytes(self._heap))


class Sweep:
    """Reads the units of one device.

    Args:
        units: the units, all taken to be alive.
        line: the connection.
        points: number of each tag's point, by `Item.index`.
        count: counts a source error by cause.
        clock: monotonic seconds.
        interval_s: poll interval.
        timeout_s: what an answer may take.
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
    ) -> None:
        self.units = units
        self._line = line
        self._points = points
        self._count = count
        self._clock = clock
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._decoders: dict[Request, Decoder] = {}

    @property
    def all_silent(self) -> bool:
        """Whether no unit answers."""
        return all(unit.silent for unit in self.units)

    async def read(self, harvest: Harvest) -> None:
        """Asks each unit that is not silent for all its tags.

        Raises:
            Unreachable: a connection was needed and could not be made.
        """
        for unit in self.units:
            if not unit.silent:
                await self._read_unit(unit, harvest)

    async def probe(self) -> None:
        """Asks one silent unit whose time has come; its answer only tells that it is back."""
        now_s = self._clock()
        for unit in self.units:
            request = unit.probe(now_s)
            if request is None:
                continue
            try:
                await self._line.read(request)
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
        splits_left = _SPLITS_PER_CYCLE
        while waiting:
            request = waiting.popleft()
            try:
                words = await self._line.read(request)
            except Silent as silence:
                self._count(silence.cause, 1)
                self._lose(unit, harvest)
                return
            except Refused as refusal:
                fault = refusal.fault
                if fault.reaction is Reaction.UNIT_AWAY:
                    self._count(refusal.cause, 1)
                    self._lose(unit, harvest)
                    return
                pieces = unit.split(request) if fault.reaction is Reaction.SPLIT else ()
                if pieces:
                    self._decoders.pop(request, None)
                    self._count("split", 1)
                    if splits_left:
                        splits_left -= 1
                        waiting.extendleft(reversed(pieces))
                        continue
                else:
                    self._count(refusal.cause, 1)
                    if fault.reaction is not Reaction.NEXT_TIME:
                        unit.set_aside(request, now_s=self._clock())
                harvest.bad(request.items, fault.status)
            else:
                unit.accept(request)
                not_finite = harvest.good(request, self._decoder(request), words)
                if not_finite:
                    self._count(NOT_FINITE.cause, not_finite)
        unit.complete()

    def _lose(self, unit: Unit, harvest: Harvest) -> None:
        self._fall_silent(unit)
        for request in unit.all_requests:
            harvest.bad(request.items, BAD_COMMUNICATION)

    def _fall_silent(self, unit: Unit) -> None:
        unit.fall_silent(now_s=self._clock(), interval_s=self._interval_s, timeout_s=self._timeout_s)

    def _decoder(self, request: Request) -> Decoder:
        decoder = self._decoders.get(request)
        if decoder is None:
            decoder = self._decoders[request] = Decoder(request, self._points)
        return decoder
