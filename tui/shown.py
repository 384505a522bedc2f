"""Values, rates, sizes and ages as they stand on a screen."""

from __future__ import annotations

import math

from tui.cells import clean
from tui.i18n import Words

__all__ = ["age", "count", "rate", "size", "value"]

_UNITS = ("B", "kB", "MB", "GB", "TB")


def value(told: object) -> str:
    """A reading's value; a dash where it has none."""
    match told:
        case None:
            return "-"
        case bool():
            return "true" if told else "false"
        case float() if math.isfinite(told):
            return f"{told:.6g}"
        case _:
            return clean(str(told))


def rate(per_s: float | None) -> str:
    """Events a second; a dash where it is not known yet."""
    if per_s is None:
        return "-/s"
    return f"{per_s:.0f}/s" if per_s >= 99.95 or not per_s else f"{per_s:.1f}/s"


def count(number: float) -> str:
    """A whole number with its thousands apart."""
    return f"{int(number):,}"


def size(count_bytes: float) -> str:
    """Bytes in decimal units, as disks are sold."""
    power = 0
    while count_bytes >= 1000 and power < len(_UNITS) - 1:
        count_bytes /= 1000
        power += 1
    return (
        f"{count_bytes:.0f} {_UNITS[power]}"
        if power == 0 or count_bytes >= 100
        else f"{count_bytes:.1f} {_UNITS[power]}"
    )


def age(seconds: float | None, words: Words) -> str:
    """A duration in its largest fitting unit; a dash where there is none."""
    if seconds is None:
        return "-"
    seconds = max(seconds, 0.0)
    if seconds < 9.95:
        return words("age.s", n=f"{seconds:.1f}")
    if seconds < 120:
        return words("age.s", n=f"{seconds:.0f}")
    if seconds < 7200:
        return words("age.min", n=f"{seconds / 60:.0f}")
    return (
        words("age.h", n=f"{seconds / 3600:.0f}") if seconds < 172_800 else words("age.d", n=f"{seconds / 86400:.0f}")
    )
