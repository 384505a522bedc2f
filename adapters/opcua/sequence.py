"""Sequence numbers of notification messages (OPC 10000-4, 7.22): they count from 1 to 4294967295 and then from 1 again.

Pure. A keep-alive does not use its number up: it names the one that the next message will have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

__all__ = ["LAST", "following", "missing", "step"]

LAST: Final = 0xFFFFFFFF


def following(number: int) -> int:
    """The number after this one."""
    return 1 if number >= LAST else number + 1


def step(expected: int, number: int) -> int:
    """How far a number is ahead of the expected one: 0 as expected, above 0 so many are missing, below 0 it is old."""
    ahead = (number - expected) % LAST
    return ahead if ahead <= LAST // 2 else ahead - LAST


def missing(expected: int, ahead: int, most: int) -> Iterator[int]:
    """The numbers that were left out, oldest first.

    Args:
        expected: the first of them.
        ahead: how many they are.
        most: no more than so many are named, the newest.
    """
    number = (expected - 1 + max(0, ahead - most)) % LAST + 1
    for _ in range(min(ahead, most)):
        yield number
        number = following(number)
