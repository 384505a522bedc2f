"""The oracle of window."""

import math
from collections.abc import Iterator

from gateway.batch import Kind, Reading
from modules.oracle import Made, Params, made, number, worse

CASES: list[dict[str, float | bool]] = [
    {"length_s": 1.0},
    {"length_s": 2.0, "keep_readings": False},
    {"length_s": 3600.0},
    {"length_s": 0.001, "keep_readings": False},
]


class Oracle:
    def __init__(self, params: Params) -> None:
        self.length_ns = int(params["length_s"] * 1e9)
        self.keeps = params["keep_readings"]
        self.window: list[Reading] = []

    def reading(self, now: Reading) -> Iterator[Reading | Made]:
        if self.window and now.ts_ns // self.length_ns != self.window[0].ts_ns // self.length_ns:
            yield from self.told()
            self.window = []
        value = number(now)
        if value is not None and not math.isnan(value):
            self.window.append(now)
        if self.keeps:
            yield now

    def told(self) -> Iterator[Made]:
        end_ns = min((self.window[0].ts_ns // self.length_ns + 1) * self.length_ns, 2**63 - 1)
        status, flags = self.window[0].status, 0
        total, values = 0.0, []
        for one in self.window:
            value = number(one)
            assert value is not None
            status, flags = worse(status, one.status), flags | one.flags
            total += value
            values.append(value)
        like = Reading(end_ns, 0.0, 0, status, flags=flags)
        yield made("min", like, min(values))
        yield made("max", like, max(values))
        yield made("mean", like, total / len(values))
        yield made("count", like, len(values), Kind.U64)
