"""The oracle of scale."""

import math
from collections.abc import Iterator

from gateway.batch import Kind, Reading
from modules.oracle import Params, number

CASES: list[dict[str, float | bool]] = [
    {"factor": 0.1, "offset": -40.0},
    {"factor": -2.5, "square_root": True},
    {"raw_low": 4.0, "raw_high": 20.0, "high": 100.0},
    {"raw_low": 27648, "raw_high": 0, "low": -1.5, "high": 3.0},
    {"raw_low": 1.0, "raw_high": 3.0, "low": 2.0, "high": 8.0, "square_root": True},
]


class Oracle:
    def __init__(self, params: Params) -> None:
        self.params: dict[str, float] = {**params}

    def reading(self, now: Reading) -> Iterator[Reading]:
        value = number(now)
        yield now if value is None else now._replace(value=self.scaled(value), kind=Kind.F64)

    def scaled(self, value: float) -> float:
        params = self.params
        raw_span = params["raw_high"] - params["raw_low"]
        if not raw_span:
            return self.curve(value) * params["factor"] + params["offset"]
        share = (value - params["raw_low"]) / raw_span
        return self.curve(share) * (params["high"] - params["low"]) + params["low"]

    def curve(self, value: float) -> float:
        if not self.params["square_root"] or math.isnan(value):
            return value
        if value < 0:
            return 0.0  # a flow below zero is none
        return math.sqrt(value) if value > 0 else value
