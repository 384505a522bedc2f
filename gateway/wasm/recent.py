"""What was found out about the files that were asked for lately."""

from __future__ import annotations

from typing import Final, TypeVar

__all__ = ["MOST_KEPT", "keep"]

MOST_KEPT: Final = 64

_Kept = TypeVar("_Kept")


def keep(kept: dict[str, _Kept], digest: str, one: _Kept) -> _Kept:
    """Keeps what was found out about a file; of the latest `MOST_KEPT` files."""
    while len(kept) >= MOST_KEPT:
        kept.pop(next(iter(kept)), None)  # whoever works with it has it still
    kept[digest] = one
    return one
