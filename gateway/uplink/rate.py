"""A token bucket: how fast the backlog may flow. Pure; the clock is passed in."""

from __future__ import annotations

__all__ = ["TokenBucket"]


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

    def _fill(self, now_s: float) -> None:
        self._tokens = min(self._burst, self._tokens + max(0.0, now_s - self._at_s) * self._rate)
        self._at_s = now_s
