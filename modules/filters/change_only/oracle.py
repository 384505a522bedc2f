"""The oracle of change_only."""

import math
from collections.abc import Iterator

from gateway.batch import Flag, Reading
from modules.oracle import Params, is_close_in_time

CASES: list[dict[str, float]] = [{}, {"max_silence_s": 2.0}]


class Oracle:
    def __init__(self, params: Params) -> None:
        self.max_silence_s: float = params["max_silence_s"]
        self.last: Reading | None = None

    def reading(self, now: Reading) -> Iterator[Reading]:
        if self.last is None or not self.repeats(self.last, now):
            self.last = now
            yield now

    def repeats(self, last: Reading, now: Reading) -> bool:
        both_nan = all(isinstance(one.value, float) and math.isnan(one.value) for one in (last, now))
        return (
            (last.status, last.kind) == (now.status, now.kind)
            and (last.value == now.value or both_nan)
            and not now.flags & Flag.LOST_BEFORE
            and now.ts_ns >= last.ts_ns
            and is_close_in_time(last.ts_ns, now.ts_ns, self.max_silence_s)
        )
