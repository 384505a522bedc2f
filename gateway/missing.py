"""What a source did not give: found in its batches and told by its adapter, noted as gaps that are stored with a batch.

- Readings marked `Flag.LOST_BEFORE` end a gap of their tag. They are looked for in all flags of a batch at once.
- What an adapter says to be missing (`missed`) ends with the first good reading that comes after it: nobody knows
  before how long it lasts. It begins with the last good reading that passed the filters, so it is never too short.
- The time in which the gateway did not run is such a gap for each device that was read before (`stopped_before`), but
  for those whose adapter goes on where it was (`resumed`).
- Readings that have the gateway's time because the device's clock is off are a gap of cause `clock`: nothing but their
  own time is missing. It is told when it begins, then once an hour, and when it ends.

A gap that has not ended when the process does is part of the next life's, which begins with the device's last batch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import reduce
from typing import Final, NamedTuple

from gateway.batch import Batch, Flag, is_bad
from gateway.gap import Gap, gap_of, join

__all__ = ["Missing"]

_MOST_TAGS: Final = 100
"""Gaps of single tags that one batch may end. Beyond it they are one of the whole device."""

_CLOCK_NS: Final = 3_600_000_000_000
"""How often a clock that stays off is told."""

_NOT_LOST: Final = bytes(flags for flags in range(256) if not flags & Flag.LOST_BEFORE)


class _Open(NamedTuple):
    """What is missing until a good reading comes.

    Attributes:
        cause: why.
        from_ns: source time of the last good reading before it; None where nobody knows.
        points: whose good reading ends it; None: any of the device.
        sure: whether something is missing for certain, and not only if the source did not go on where it was.
    """

    cause: str
    from_ns: int | None
    points: frozenset[int] | None
    sure: bool = True


class Missing:
    """What is missing of one device.

    Args:
        device: its name.
        tags: the tag of each point, by its number.
        latest: the latest reading of each of its points that passed the filters.
        now_ns: UTC ns since 1970.
    """

    def __init__(
        self, device: str, *, tags: Sequence[str], latest: Callable[[], Batch], now_ns: Callable[[], int]
    ) -> None:
        self._device = device
        self._tags = tags
        self._latest = latest
        self._now_ns = now_ns
        self._before_ns: int | None = None
        self._open: dict[str | None, _Open] = {}
        self._marked: set[int] | None = None
        self._clock_is_off = False
        self._untimed: Gap | None = None
        self._clock_told_ns: int | None = None

    def stopped_before(self, last_ns: int) -> None:
        """The gateway did not run before now.

        Args:
            last_ns: when the last batch before that was accepted, UTC ns.
        """
        self._before_ns = last_ns
        self._open[None] = _Open("gateway_stopped", last_ns, None, sure=False)

    def missed(self, cause: str, *, points: Collection[int] | None = None, group: str | None = None) -> None:
        """Readings are missing since the last good one, until one comes. Saying it again meanwhile changes nothing.

        Args:
            cause: one of `gateway.gap.CAUSES`.
            points: whose readings; None: the whole device's. Then the next reading of each point that is marked
                `Flag.LOST_BEFORE` tells of this gap, and not of another one.
            group: what these points are called, such as `unit 3`.
        """
        if points is None:
            self._marked = set()
        known = self._open.get(group)
        if known is not None:
            self._open[group] = known._replace(sure=True)
        else:
            wanted = None if points is None else frozenset(points)
            self._open[group] = _Open(cause, self._last_good_ns(wanted), wanted)

    def resumed(self) -> None:
        """The source goes on exactly where it was, so nothing is missing but what was told to be."""
        known = self._open.get(None)
        if known is not None and not known.sure:
            del self._open[None]

    def clock(self, *, is_off: bool) -> None:
        """Whether the next batches have the gateway's time because the device's clock is off."""
        self._clock_is_off = is_off

    def look(self, batch: Batch) -> list[Gap]:
        """The gaps to be stored with a batch.

        Args:
            batch: as it came from the adapter, before any filter.
        """
        gaps: list[Gap] = []
        flags = batch.flags()
        if flags.translate(None, _NOT_LOST):
            gaps += self._lost_before(batch, flags)
        if self._open:
            gaps += self._ended(batch)
        if self._clock_is_off or self._clock_told_ns is not None:
            gaps += self._without_time(batch)
        return gaps

    def _last_good_ns(self, points: frozenset[int] | None) -> int | None:
        latest = self._latest()
        times = [
            ts_ns
            for point, ts_ns, status in zip(latest.points(), latest.ts_ns(), latest.statuses(), strict=True)
            if not is_bad(status) and (points is None or point in points)
        ]
        return max(times, default=self._before_ns)

    def _lost_before(self, batch: Batch, flags: bytes) -> list[Gap]:
        latest = self._latest()
        times = dict(zip(latest.points(), latest.ts_ns(), strict=True))
        gaps: list[Gap] = []
        for point, ts_ns, flag in zip(batch.points(), batch.ts_ns(), flags, strict=True):
            if flag & Flag.LOST_BEFORE:
                if self._marked is not None and point not in self._marked:
                    self._marked.add(point)
                else:
                    from_ns = times.get(point, ts_ns if self._before_ns is None else self._before_ns)
                    tag = self._tags[point]
                    gaps.append(Gap(self._device, "queue_overflow", *_in_order(from_ns, ts_ns), None, tag))
            times[point] = ts_ns
        return gaps if len(gaps) <= _MOST_TAGS else [reduce(join, gaps)._replace(tag=None)]

    def _ended(self, batch: Batch) -> list[Gap]:
        points, times, statuses = batch.points(), batch.ts_ns(), batch.statuses()
        # The last word on a point counts: a unit may have answered, and fallen silent in the same cycle.
        good = {point for point, status in dict(zip(points, statuses, strict=True)).items() if not is_bad(status)}
        gaps: list[Gap] = []
        for group, missing in [*self._open.items()]:
            back = good if missing.points is None else good & missing.points
            if not back:
                continue
            del self._open[group]
            if missing.from_ns is None:
                continue  # It has never been heard before: there is nothing that it goes on with.
            to_ns = min(
                ts_ns
                for point, ts_ns, status in zip(points, times, statuses, strict=True)
                if point in back and not is_bad(status)
            )
            gaps.append(Gap(self._device, missing.cause, *_in_order(missing.from_ns, to_ns), None, group=group))
        return gaps

    def _without_time(self, batch: Batch) -> list[Gap]:
        now_ns = self._now_ns()
        if self._clock_is_off and batch:
            gap = gap_of(self._device, "clock", batch)
            self._untimed = gap if self._untimed is None else join(self._untimed, gap)
        told_ns = self._clock_told_ns
        if self._clock_is_off and told_ns is not None and 0 <= now_ns - told_ns < _CLOCK_NS:
            return []
        self._clock_told_ns = now_ns if self._clock_is_off else None
        told, self._untimed = self._untimed, None
        return [] if told is None else [told]


def _in_order(one_ns: int, other_ns: int) -> tuple[int, int]:
    """A source whose clock was set back must not make a gap that ends before it begins."""
    return min(one_ns, other_ns), max(one_ns, other_ns)
