"""`tidegate spool gaps`: the gap ledger of a file for people, as plain data."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any, Final

from gateway.errors import TidegateError
from gateway.spool.ledger.gaps import Entry, Telling
from gateway.spool.snapshot import Snapshot

__all__ = ["listed", "since_ns"]

_AGO: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhd])", re.ASCII)
_UNIT_NS: Final = {"s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9}


def listed(path: Path, *, since_ns: int = 0) -> dict[str, Any]:
    """What is missing, oldest first.

    Args:
        path: the spool's file; a gateway may have it open.
        since_ns: only gaps that end then or later, UTC ns.

    Raises:
        SpoolError: the file cannot be read.
    """
    with Snapshot(path) as snapshot:
        entries = snapshot.ledger(since_ns=since_ns)
    return {
        "file": str(path),
        "rows": len(entries),
        "not_told_yet": sum(entry.telling is not Telling.TOLD for entry in entries),
        "gaps": [_row(entry) for entry in entries],
    }


def _row(entry: Entry) -> dict[str, Any]:
    gap = entry.gap
    return {
        "number": entry.number,
        "from_ns": gap.from_ns,
        "to_ns": gap.to_ns,
        "device": gap.device or None,
        "tag": gap.tag,
        "group": gap.group,
        "readings": gap.readings,
        "cause": gap.cause,
        "told": entry.telling is Telling.TOLD,
    }


def since_ns(text: str, *, now_ns: int) -> int:
    """The moment that is meant, in UTC ns.

    Args:
        text: `36h`: so long ago (s, m, h, d); or a date or time such as `2026-03-01T06:00`, UTC or with its offset.
        now_ns: UTC ns.

    Raises:
        TidegateError: it is neither.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return max(0, now_ns - int(float(ago[1]) * _UNIT_NS[ago[2]]))
    try:
        moment = dt.datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=dt.UTC)
        return int((moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) / dt.timedelta(microseconds=1)) * 1000
    except (ValueError, OverflowError):
        raise TidegateError(
            f"{text!r} is no time: write how long ago, such as 36h (s, m, h, d), or a time such as 2026-03-01T06:00"
        ) from None
