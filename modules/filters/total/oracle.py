"""The oracle of total."""

import math
from collections.abc import Iterator

from gateway.batch import Reading, is_bad
from modules.oracle import Made, Params, made, number

CASES: list[dict[str, float | bool]] = [
    {},
    {"modulus": 4.0, "factor": 0.5},
    {"modulus": 65536, "max_step": 10.0, "keep_readings": False},
]


class Oracle:
    def __init__(self, params: Params) -> None:
        self.modulus = float(params["modulus"])
        self.max_step = float(params["max_step"]) or self.modulus / 2
        self.factor: float = params["factor"]
        self.keeps = params["keep_readings"]
        self.last: float | None = None
        self.counts = 0.0

    def reading(self, now: Reading) -> Iterator[Reading | Made]:
        value = number(now)
        if value is not None and not math.isfinite(value):
            value = None
        if value is None or self.keeps:
            yield now
        if is_bad(now.status):
            yield made("total", now, None)
        if value is None:
            return
        if self.last is not None:
            self.counts += self.step(self.last, value)
        self.last = value
        yield made("total", now, self.counts * self.factor)

    def step(self, last: float, now: float) -> float:
        if now >= last:
            return now - last
        over = now - last + self.modulus
        return over if 0 <= over <= self.max_step else max(now, 0.0)
