"""The oracle of downsample: it keeps all readings of a span, and chooses at its end."""

import math
from collections.abc import Callable, Iterator

from gateway.batch import Flag, Kind, Reading
from modules.oracle import Params, number

CASES: list[dict[str, float | str]] = [
    *({"interval_s": 2.0, "method": method} for method in ("first", "last", "min", "max", "mean")),
    {"interval_s": 3600.0, "method": "mean"},
    {"interval_s": 0.001},
]


class Oracle:
    def __init__(self, params: Params) -> None:
        self.interval_ns = int(params["interval_s"] * 1e9)
        self.method = params["method"]
        self.span: list[Reading] = []

    def reading(self, now: Reading) -> Iterator[Reading]:
        value = number(now)
        if value is None or math.isnan(value):
            yield from self.ended()
            yield now
            return
        if self.span and not self.goes_on(now):
            yield from self.ended()
        if not self.span and self.method == "first":
            yield now
        self.span.append(now)

    def goes_on(self, now: Reading) -> bool:
        last = self.span[-1]
        return (now.ts_ns // self.interval_ns, now.status, now.kind) == (
            last.ts_ns // self.interval_ns,
            last.status,
            last.kind,
        ) and not now.flags & Flag.LOST_BEFORE

    def ended(self) -> Iterator[Reading]:
        span, self.span = self.span, []
        if not span or self.method == "first":
            return
        if self.method == "mean":
            yield self.mean(span)
            return
        choose: dict[str, Callable[..., Reading]] = {"last": lambda span, **_: span[-1], "min": min, "max": max}
        yield choose[self.method](span, key=_value)

    def mean(self, span: list[Reading]) -> Reading:
        total = 0.0
        for one in span:
            total += _value(one)
        end_ns = min((span[0].ts_ns // self.interval_ns + 1) * self.interval_ns, 2**63 - 1)
        flags = span[-1].flags & Flag.GATEWAY_TIME | Flag.DERIVED
        return span[-1]._replace(ts_ns=end_ns, value=total / len(span), kind=Kind.F64, flags=int(flags))


def _value(reading: Reading) -> float:
    value = number(reading)
    assert value is not None
    return value
