"""The oracle of swinging_door: it keeps all readings since the last corner, and tries each line on all of them."""

import math
from collections.abc import Iterator

from gateway.batch import Flag, Reading
from modules.oracle import Params, is_close_in_time, number

CASES: list[dict[str, float]] = [
    {"deviation": 0.0, "max_silence_s": 0.0},
    {"deviation": 0.5},
    {"deviation": 1.0, "max_silence_s": 3.0},
    {"deviation": 1e300, "max_silence_s": 2.0},
]


class Oracle:
    def __init__(self, params: Params) -> None:
        self.deviation: float = params["deviation"]
        self.max_silence_s: float = params["max_silence_s"]
        self.corner: Reading | None = None
        self.between: list[Reading] = []

    def reading(self, now: Reading) -> Iterator[Reading]:
        value = number(now)
        is_number = value is not None and math.isfinite(value)
        last = self.between[-1] if self.between else self.corner
        if not is_number or last is None or not self.follows(last, now):
            yield from self.between[-1:]
            yield now
            self.corner, self.between = (now if is_number else None), []
            return
        assert self.corner is not None
        if not self.is_straight(self.corner, now):
            yield self.between[-1]
            self.corner, self.between = self.between[-1], []
        if not is_close_in_time(self.corner.ts_ns, now.ts_ns, self.max_silence_s):
            yield now
            self.corner, self.between = now, []
        else:
            self.between.append(now)

    def follows(self, last: Reading, now: Reading) -> bool:
        same = (now.status, now.kind) == (last.status, last.kind)
        return same and not now.flags & Flag.LOST_BEFORE and now.ts_ns > last.ts_ns

    def is_straight(self, corner: Reading, now: Reading) -> bool:
        slope = self.slope(corner, now, 0.0)
        return all(
            self.slope(corner, one, -self.deviation) <= slope <= self.slope(corner, one, self.deviation)
            for one in self.between
        )

    def slope(self, corner: Reading, to: Reading, above: float) -> float:
        begin, end = number(corner), number(to)
        assert begin is not None
        assert end is not None
        return (end + above - begin) / float(to.ts_ns - corner.ts_ns)
