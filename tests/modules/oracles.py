"""What the built-in filters do, in plain Python: the oracles of their property tests."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.batch import Flag, Kind, Reading, is_bad

NUMBERS = (Kind.I64, Kind.U64, Kind.F64)


def scaled(readings: Iterable[Reading], points: Iterable[int], factor: float, offset: float) -> list[Reading]:
    mine = set(points)
    return [
        reading._replace(value=float(reading.value) * factor + offset, kind=Kind.F64)
        if reading.point in mine and not is_bad(reading.status) and reading.kind in NUMBERS
        else reading
        for reading in readings
    ]


@dataclass
class Deadband:
    points: frozenset[int]
    absolute: float = 0.0
    percent: float = 0.0
    span: float = 0.0
    max_silence_s: float = 300.0
    last: dict[int, Reading] = field(default_factory=dict)

    def passed(self, readings: Iterable[Reading]) -> list[Reading]:
        kept = []
        for reading in readings:
            if reading.point in self.points:
                if not self.is_news(self.last.get(reading.point), reading):
                    continue
                self.last[reading.point] = reading
            kept.append(reading)
        return kept

    def is_news(self, last: Reading | None, now: Reading) -> bool:
        if last is None or last.status != now.status or last.kind != now.kind or now.flags & Flag.LOST_BEFORE:
            return True
        silence_ns = min(self.max_silence_s * 1e9, 2.0**64)
        silent_ns = now.ts_ns - last.ts_ns
        if silent_ns < 0 or (silence_ns >= 1 and silent_ns >= int(silence_ns)):
            return True
        return self.strays(last, now)

    def strays(self, last: Reading, now: Reading) -> bool:
        if is_bad(now.status):
            return False
        if now.kind in (Kind.STR, Kind.BYTES):
            return True
        if now.kind == Kind.BOOL:
            return last.value != now.value
        before, after = last.value, now.value
        if isinstance(before, float) and isinstance(after, float):
            if math.isnan(before) or math.isnan(after):
                return math.isnan(before) != math.isnan(after)
            if before == after:
                return False
        return float(abs(after - before)) > max(self.absolute, self.percent / 100.0 * self.span)
