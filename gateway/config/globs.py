"""Which names a filter's `devices` and `tags` mean: `*` stands for any text, `?` for any one character.

Nothing else is special, so a name with brackets in it, which is common in tags taken from arrays, means itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

__all__ = ["matches"]

_WILDCARDS = {"*": ".*", "?": "."}


def matches(patterns: Iterable[str], name: str) -> bool:
    """Whether any of the patterns means this name. Case counts."""
    return any(_compiled(pattern).fullmatch(name) is not None for pattern in patterns)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("".join(_WILDCARDS.get(char) or re.escape(char) for char in pattern), re.DOTALL)
