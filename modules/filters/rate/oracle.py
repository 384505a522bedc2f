"""The oracle of rate."""

from collections.abc import Iterator

from gateway.batch import Flag, Reading
from modules.oracle import Made, Params, made, number, worse

CASES: list[dict[str, float]] = [{}, {"over_s": 2.0}]


class Oracle:
    def __init__(self, params: Params) -> None:
        self.over_ns = params["over_s"] * 1e9
        self.since: Reading | None = None

    def reading(self, now: Reading) -> Iterator[Reading | Made]:
        yield now
        value = number(now)
        since = self.since
        if value is None:
            self.since = None
        elif since is not None and now.ts_ns == since.ts_ns:
            return
        elif since is None or now.ts_ns < since.ts_ns or now.flags & Flag.LOST_BEFORE:
            self.since = now
        elif float(now.ts_ns - since.ts_ns) >= self.over_ns:
            before = number(since)
            assert before is not None
            per_second = (value - before) / (float(now.ts_ns - since.ts_ns) / 1e9)
            like = now._replace(status=worse(since.status, now.status))
            yield made("per_second", like, per_second)
            yield made("per_minute", like, per_second * 60.0)
            yield made("per_hour", like, per_second * 3600.0)
            self.since = now
