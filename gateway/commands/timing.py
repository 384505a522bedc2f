"""When a command is too late. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

__all__ = ["deadline_ns", "too_late"]

_NS_PER_MS: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000
_LONGEST_AHEAD_S: Final = 86_400
"""Ids are remembered for a while and not for ever, so a command cannot stay good for ever either."""


def deadline_ns(expires_ms: float | None, *, received_ns: int, expiry_s: int | None, max_age_s: float) -> int:
    """The moment after which a command is not carried out, UTC ns since 1970.

    Args:
        expires_ms: what the command itself says, ms since 1970; then nothing else counts.
        received_ns: when it came, UTC ns since 1970.
        expiry_s: what was left of its message expiry when it came (MQTT 5, 3.3.2.3.3), in seconds.
        max_age_s: longest wait here.
    """
    if expires_ms is not None:
        return int(expires_ms * _NS_PER_MS)
    left_s = max_age_s if expiry_s is None else min(max_age_s, expiry_s)
    return received_ns + int(left_s * _NS_PER_S)


def too_late(deadline: int, now: int) -> str | None:
    """Why a command is not carried out now, where its time says so.

    Args:
        deadline: as of `deadline_ns`, UTC ns since 1970.
        now: UTC ns since 1970.
    """
    clock = datetime.fromtimestamp(now // _NS_PER_S, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if now > deadline:
        late_s = (now - deadline) / _NS_PER_S
        return f"it expired {late_s:.1f} s ago by this gateway's clock ({clock}); nothing was written"
    if deadline - now > _LONGEST_AHEAD_S * _NS_PER_S:
        return f"it expires more than a day ahead of this gateway's clock ({clock}); nothing was written"
    return None
