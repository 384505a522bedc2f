"""A token bucket: how fast the backlog may flow. The clock is passed in; only `pace` waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

__all__ = ["TokenBucket", "burst_of"]

_BURST_S: Final = 0.1


def burst_of(rate: float) -> float:
    """The burst that suits a rate of readings a second."""
    return max(1.0, rate * _BURST_S)


class TokenBucket:
    """Lets `rate` tokens a second through, with a burst.

    A taker that finds the bucket above zero may take more than is in it: rows cannot be cut, and the debt is waited
    out before the next one. So the long-run rate holds whatever the size of a row.

    Args:
        rate: tokens a second.
        burst: most tokens that gather while nobody takes any.
        now_s: the time, in seconds of any steady clock.
    """

    __slots__ = ("_at_s", "_burst", "_rate", "_tokens")

    def __init__(self, *, rate: float, burst: float, now_s: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at_s = now_s

    def set_rate(self, rate: float, *, burst: float, now_s: float) -> None:
        """Lets `rate` tokens a second through from now on, with this burst."""
        self._fill(now_s)
        self._rate, self._burst = rate, burst

    def wait_s(self, now_s: float) -> float:
        """Seconds until something may be taken; 0 when it may be now."""
        self._fill(now_s)
        return 0.0 if self._tokens > 0 else (1e-9 - self._tokens) / self._rate

    def take(self, tokens: int, now_s: float) -> None:
        """Takes tokens; call it when `wait_s` was 0."""
        self._fill(now_s)
        self._tokens -= tokens

    async def pace(self, tokens: int, clock: Callable[[], float]) -> None:
        """Waits until something may be taken, and takes it.

        Args:
            tokens: how many.
            clock: seconds of the clock.
        """
        wait_s = self.wait_s(clock())
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        self.take(tokens, clock())

    def _fill(self, now_s: float) -> None:
        self._tokens = min(self._burst, self._tokens + max(0.0, now_s - self._at_s) * self._rate)
        self._at_s = now_s
