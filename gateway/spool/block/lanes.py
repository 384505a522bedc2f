"""Arithmetic on whole columns of 64-bit words: a column is one large integer, and each word a lane of it.

Python's integers work on such a column in one C loop, a few nanoseconds a word; a loop of our own takes fifty. All
differences are modulo 2**64, so that no value, however wild, needs a case of its own. Zigzag turns small numbers of
either sign into small numbers without one: 0, -1, 1, -2 become 0, 1, 2, 3.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from itertools import accumulate
from typing import Final

__all__ = ["WORD_BYTES", "WORD_MASK", "differences", "pack", "shift_right", "sums", "unzigzag", "zigzag"]

WORD_BYTES: Final = 8
WORD_MASK: Final = (1 << 64) - 1


def pack(numbers: Iterable[int]) -> bytes:
    """Integers of any size and sign as words, modulo 2**64."""
    return array("Q", [number & WORD_MASK for number in numbers]).tobytes()


def differences(column: bytes) -> bytes:
    """Each word less the one before it, the first less nothing, in zigzag."""
    words = len(column) // WORD_BYTES
    if not words:
        return b""
    low, high = _masks(words)
    these = int.from_bytes(column, "little")
    before = (these << 64) & (low | high)
    # Subtraction without a borrow from lane to lane (Hacker's Delight, 2-18).
    less = ((these | high) - (before & low)) ^ ((these ^ before ^ high) & high)
    return _zigzag(less, words)


def zigzag(column: bytes) -> bytes:
    """Each word, read as a signed number, in zigzag."""
    words = len(column) // WORD_BYTES
    return _zigzag(int.from_bytes(column, "little"), words) if words else b""


def unzigzag(column: bytes) -> list[int]:
    """The signed numbers of a column in zigzag."""
    words = len(column) // WORD_BYTES
    if not words:
        return []
    low, _ = _masks(words)
    packed = int.from_bytes(column, "little")
    signs = packed & _ones(words)
    plain = ((packed >> 1) & low) ^ ((signs << 64) - signs)
    return memoryview(plain.to_bytes(len(column), "little")).cast("q").tolist()


def sums(column: bytes) -> list[int]:
    """What `differences` was made of, as words."""
    return [number & WORD_MASK for number in accumulate(unzigzag(column))]


def shift_right(column: bytes, bits: int) -> bytes:
    """Each word shifted, where all the bits that go are zero."""
    return (int.from_bytes(column, "little") >> bits).to_bytes(len(column), "little")


def _ones(words: int) -> int:
    return int.from_bytes(b"\1\0\0\0\0\0\0\0" * words, "little")


def _masks(words: int) -> tuple[int, int]:
    """The 63 lower bits of each lane, and the top bit of each."""
    high = _ones(words) << 63
    return ((1 << (64 * words)) - 1) ^ high, high


def _zigzag(column: int, words: int) -> bytes:
    low, _ = _masks(words)
    signs = (column >> 63) & _ones(words)
    return (((column & low) << 1) ^ ((signs << 64) - signs)).to_bytes(words * WORD_BYTES, "little")
