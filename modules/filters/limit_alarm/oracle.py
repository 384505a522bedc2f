"""The oracle of limit_alarm."""

import math
from collections.abc import Iterator

from gateway.batch import Kind, Reading, is_bad
from modules.oracle import Made, Params, made, number

CASES: list[dict[str, float]] = [
    {"above": 1.0},
    {"below": 0.0, "delay_s": 1.5},
    {"above": 2.0, "below": -1.0, "hysteresis": 1.0},
    {"above": 1.0, "below": 0.0, "hysteresis": 0.5, "delay_s": 2.0},
]


class Alarm:
    """An alarm for values above a limit; one for values below it is the same, upside down."""

    def __init__(self, limit: float, back: float, delay_ns: float) -> None:
        self.limit, self.back, self.delay_ns = limit, back, delay_ns
        self.stands = False
        self.since_ns: int | None = None

    def look(self, ts_ns: int, value: float) -> bool:
        """Whether it changed."""
        before = self.stands
        if self.stands:
            self.stands = not value <= self.back
        elif value > self.limit:
            if self.since_ns is None or ts_ns < self.since_ns:
                self.since_ns = ts_ns
            self.stands = float(ts_ns - self.since_ns) >= self.delay_ns
        if not self.stands and (before or not value > self.limit):
            self.since_ns = None
        return before != self.stands


class Oracle:
    def __init__(self, params: Params) -> None:
        above, below, back, delay_ns = params["above"], params["below"], params["hysteresis"], params["delay_s"] * 1e9
        self.high = Alarm(above, above - back, delay_ns)
        self.low = Alarm(-below, -(below + back), delay_ns)
        self.told: object = None

    def reading(self, now: Reading) -> Iterator[Reading | Made]:
        yield now
        value = number(now)
        if value is None or math.isnan(value):
            unknown = now if is_bad(now.status) else now._replace(status=0x8000)
            if self.told != ("unknown", unknown.status):
                yield made("high", unknown, None)
                yield made("low", unknown, None)
            self.told = ("unknown", unknown.status)
            self.high.since_ns = self.low.since_ns = None
            return
        news = self.told != now.status
        if self.high.look(now.ts_ns, value) or news:
            yield made("high", now, self.high.stands, Kind.BOOL)
        if self.low.look(now.ts_ns, -value) or news:
            yield made("low", now, self.low.stands, Kind.BOOL)
        self.told = now.status
