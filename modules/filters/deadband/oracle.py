"""The oracle of deadband."""

import math
from collections.abc import Iterator

from gateway.batch import Flag, Kind, Reading, is_bad
from modules.oracle import Params, is_close_in_time

CASES: list[dict[str, float]] = [
    {},
    {"absolute": 1.0},
    {"absolute": 2.0, "max_silence_s": 2.0},
    {"percent": 2.0, "span": 80.0, "max_silence_s": 0.0},
    {"percent": 50.0, "span": 1e300, "absolute": 0.5},
    {"absolute": 0.5, "min_interval_s": 2.5},
]


class Oracle:
    def __init__(self, params: Params) -> None:
        self.params: dict[str, float] = {**params}
        self.last: Reading | None = None

    def reading(self, now: Reading) -> Iterator[Reading]:
        if self.last is None or self.is_news(self.last, now):
            self.last = now
            yield now

    def is_news(self, last: Reading, now: Reading) -> bool:
        if last.status != now.status or last.kind != now.kind or now.flags & Flag.LOST_BEFORE:
            return True
        if now.ts_ns < last.ts_ns or not is_close_in_time(last.ts_ns, now.ts_ns, self.params["max_silence_s"]):
            return True
        interval_s = self.params["min_interval_s"]
        if interval_s and is_close_in_time(last.ts_ns, now.ts_ns, interval_s):
            return False
        return self.strays(last, now)

    def strays(self, last: Reading, now: Reading) -> bool:
        if is_bad(now.status):
            return False
        if now.kind in (Kind.STR, Kind.BYTES):
            return True
        before, after = last.value, now.value
        assert isinstance(before, (int, float))
        assert isinstance(after, (int, float))
        if now.kind == Kind.BOOL or before == after:
            return before != after
        if math.isnan(before) or math.isnan(after):
            return math.isnan(before) != math.isnan(after)
        return float(abs(after - before)) > max(
            self.params["absolute"], self.params["percent"] / 100.0 * self.params["span"]
        )
