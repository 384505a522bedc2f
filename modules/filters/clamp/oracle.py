"""The oracle of clamp."""

from collections.abc import Iterator

from gateway.batch import Kind, Reading
from modules.oracle import Params, number, worse

CASES: list[dict[str, float | str]] = [
    {"low": -1.0, "high": 2.0},
    {"high": 0.5, "beyond": "limit_silently"},
    {"low": 0.0, "beyond": "bad"},
    {"low": -2.0, "high": 1.0, "beyond": "leave_out"},
]


class Oracle:
    def __init__(self, params: Params) -> None:
        self.params = params

    def reading(self, now: Reading) -> Iterator[Reading]:
        value = number(now)
        if value is None:
            yield now
            return
        low, high, beyond = (self.params[key] for key in ("low", "high", "beyond"))
        inside = not (value < low or value > high)
        if inside:
            yield now._replace(value=value, kind=Kind.F64)
        elif beyond == "bad":
            yield now._replace(value=None, kind=Kind.F64, status=0x803C)
        elif beyond != "leave_out":
            status = worse(now.status, 0x4094) if beyond == "limit" else now.status
            yield now._replace(value=min(max(value, low), high), kind=Kind.F64, status=status)
