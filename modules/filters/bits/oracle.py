"""The oracle of bits."""

from collections.abc import Iterator

from gateway.batch import Kind, Reading, is_bad
from modules.oracle import Made, Params, made

CASES: list[dict[str, bool]] = [{}, {"only_changes": False, "keep_readings": False}, {"keep_readings": False}]


class Oracle:
    def __init__(self, params: Params) -> None:
        self.params = params
        self.bits: list[bool] = [False] * 32
        self.status: int | None = None

    def reading(self, now: Reading) -> Iterator[Reading | Made]:
        is_word = now.kind in (Kind.I64, Kind.U64)
        if self.params["keep_readings"] or not (is_word or is_bad(now.status)):
            yield now
        if is_word:
            assert isinstance(now.value, int)
            bits = [bool(now.value >> n & 1) for n in range(32)]
        elif is_bad(now.status):
            bits = self.bits
        else:
            return
        for n, bit in enumerate(bits):
            if not self.params["only_changes"] or self.status != now.status or bit != self.bits[n]:
                yield made(f"bit{n}", now, bit, Kind.BOOL)
        self.bits, self.status = bits, now.status
