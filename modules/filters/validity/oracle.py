"""The oracle of validity."""

from collections.abc import Iterator

from gateway.batch import Kind, Reading, is_bad
from modules.oracle import Params, is_close_in_time, number, worse

CASES: list[dict[str, float]] = [
    {"low": 0.0, "high": 2.0},
    {"stuck_s": 2.0},
    {"stuck_s": 1.0, "stuck_band": 1.0},
    {"hold_off_s": 2.0},
    {"low": -1.0, "hold_off_s": 1.0, "stuck_s": 3.0},
]


class Oracle:
    def __init__(self, params: Params) -> None:
        self.params = params
        self.stood: tuple[float, int] | None = None
        self.good_from_ns: int | None = None
        self.was_bad = False

    def reading(self, now: Reading) -> Iterator[Reading]:
        value = number(now)
        if value is not None:
            stuck = self.is_stuck(now.ts_ns, value)
            if not self.params["low"] <= value <= self.params["high"]:
                now = now._replace(value=None, kind=Kind.F64, status=0x803C)
            elif stuck:
                now = now._replace(status=worse(now.status, 0x4093))
        if is_bad(now.status):
            self.was_bad, self.good_from_ns = True, None
        elif self.recovers(now.ts_ns):
            now = now._replace(status=worse(now.status, 0x4000))
        yield now

    def is_stuck(self, ts_ns: int, value: float) -> bool:
        if self.stood is None or ts_ns < self.stood[1] or not abs(value - self.stood[0]) <= self.params["stuck_band"]:
            self.stood = (value, ts_ns)
            return False
        return not is_close_in_time(self.stood[1], ts_ns, self.params["stuck_s"])

    def recovers(self, ts_ns: int) -> bool:
        if self.was_bad:
            self.was_bad, self.good_from_ns = False, ts_ns
        limit_s, since_ns = self.params["hold_off_s"], self.good_from_ns
        if not limit_s or since_ns is None or ts_ns < since_ns or not is_close_in_time(since_ns, ts_ns, limit_s):
            self.good_from_ns = None
            return False
        return True
