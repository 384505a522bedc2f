"""What an oracle is: a module's behaviour towards one point in plain Python, for the property test of the module.

Each folder in modules/filters has an `oracle.py` with `CASES`, sets of parameters to try, and a class `Oracle`:

    class Oracle:
        def __init__(self, params: Params) -> None: ...
        def reading(self, now: Reading) -> Iterator[Reading | Made]: ...

`params` holds every parameter, defaults filled in. `reading` is given the point's readings in order and yields what
goes on, and what is made of it. It is written for whoever reads it, in another way than the C where there is another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from gateway.batch import Flag, Kind, Reading, Value, is_bad

__all__ = ["NUMBERS", "Made", "Params", "is_close_in_time", "made", "number", "worse"]

NUMBERS: Final = (Kind.I64, Kind.U64, Kind.F64)
Params: TypeAlias = Mapping[str, Any]


class Made(NamedTuple):
    """A reading of an output."""

    output: str
    reading: Reading


def made(output: str, like: Reading, value: Value, kind: Kind = Kind.F64) -> Made:
    """A reading of an output, with the time and the quality of the reading that it was made of."""
    flags = like.flags & Flag.GATEWAY_TIME | Flag.DERIVED
    if is_bad(like.status):
        return Made(output, like._replace(value=None, kind=Kind.F64, flags=int(flags)))
    return Made(output, like._replace(value=value, kind=kind, flags=int(flags)))


def number(now: Reading) -> float | None:
    """The value as a float; None where it is bad or no number."""
    if is_bad(now.status) or now.kind not in NUMBERS or isinstance(now.value, (str, bytes)) or now.value is None:
        return None
    return float(now.value)


def worse(first: int, second: int) -> int:
    """The worse of two statuses, the first of two that are equally bad."""
    return second if second >> 14 > first >> 14 else first


def is_close_in_time(then_ns: int, now_ns: int, limit_s: float) -> bool:
    """Whether less than this limit went by; 0 is no limit, and so is more than 64 bits of nanoseconds."""
    limit_ns = limit_s * 1e9
    return not 1 <= limit_ns < 2.0**64 or now_ns - then_ns < math.floor(limit_ns)
