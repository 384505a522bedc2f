"""How long the room of the spool lasts: a pure function of what comes in, what it takes at rest, and what room is left.

While the broker is away it tells when the spool is full; while it is there, how long an outage that began now could
last. The number is the same.

A forecast looks back as far as it looks forward, at least ten minutes and at most a day: that a shift began a quarter
of an hour ago matters to what happens within the hour, and not to what happens within three days.

Part of the room is for rows that wait to become a block, uncompressed; that they come and go does not move a forecast.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Final, Literal

from gateway.batch import RECORD_BYTES

__all__ = ["Forecast", "History", "duration_text", "forecast", "forecast_text"]

STEP_S: Final = 60.0
DAY_S: Final = 86_400.0
WINDOWS_S: Final = (600.0, 3600.0, 21_600.0, DAY_S)
"""How far a forecast may look back."""

DISK_PART: Final = 1.05
"""What a byte of payload takes of the disk: rows and blocks have heads, and their last pages are not full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """How long the room lasts. None: not known yet, or, where nothing comes in, for ever.

    Attributes:
        used_bytes: payload of all stored readings.
        room_bytes: what may still come.
        limit: what ends the room: the budget or the disk.
        readings_per_s: what comes in.
        over_s: the time over which that was measured.
        bytes_per_reading: what one takes once it is in a block.
        full_in_s: how long the room lasts.
        autonomy_s: how long it would last if the spool were empty.
        wanted_s: the autonomy that the configuration asks for.
    """

    used_bytes: int
    room_bytes: int
    limit: Literal["max_bytes", "disk"]
    readings_per_s: float | None
    over_s: float
    bytes_per_reading: float | None
    full_in_s: float | None
    autonomy_s: float | None
    wanted_s: float | None

    @property
    def too_short(self) -> bool:
        """Whether less is there than is asked for."""
        return self.wanted_s is not None and self.autonomy_s is not None and self.autonomy_s < self.wanted_s


class History:
    """How many readings had been accepted by when, a minute apart, for a day.

    Args:
        now_s: seconds of a steady clock.
    """

    def __init__(self, now_s: float) -> None:
        self._times_s = [now_s]
        self._accepted = [0]

    def note(self, now_s: float, accepted: int) -> None:
        """Takes the number that is accepted by now, counted from when the history began."""
        if now_s - self._times_s[-1] < STEP_S:
            return
        self._times_s.append(now_s)
        self._accepted.append(accepted)
        # One that is older than a day stays: from it on the whole day is known.
        old = bisect_right(self._times_s, now_s - DAY_S) - 1
        if old > 0:
            del self._times_s[:old], self._accepted[:old]

    def rate(self, now_s: float, accepted: int, *, over_s: float) -> tuple[float, float]:
        """Readings a second over the last `over_s` seconds, and over how many they were measured in fact."""
        place = max(0, bisect_right(self._times_s, now_s - over_s) - 1)
        known_s = now_s - self._times_s[place]
        return (accepted - self._accepted[place]) / known_s if known_s > 0 else 0.0, known_s


def forecast(
    history: History,
    *,
    now_s: float,
    accepted: int,
    used_bytes: int,
    max_bytes: int,
    disk_room_bytes: int,
    row_bytes: int,
    most_row_bytes: int,
    bytes_per_reading: float | None,
    wanted_s: float | None,
) -> Forecast:
    """How long the room lasts.

    Args:
        history: what came in.
        now_s: seconds of the history's clock.
        accepted: readings accepted by now, as the history counts them.
        used_bytes: payload of all stored readings.
        max_bytes: most that it may be.
        disk_room_bytes: what of the disk the spool's file may still take, and what is free inside the file.
        row_bytes: those of `used_bytes` that are rows, not blocks.
        most_row_bytes: what rows take before they become blocks.
        bytes_per_reading: what a reading takes at rest; None where that is not known yet.
        wanted_s: the autonomy that the configuration asks for.
    """
    budget_bytes = max(0, max_bytes - used_bytes)
    disk_bytes = max(0, int(disk_room_bytes / DISK_PART))
    room_bytes = min(budget_bytes, disk_bytes)
    to_come_bytes = max(0, most_row_bytes - row_bytes)
    full_in_s = None
    per_s, known_s = 0.0, 0.0
    for over_s in WINDOWS_S:
        per_s, known_s = history.rate(now_s, accepted, over_s=over_s)
        full_in_s = _lasts_s(room_bytes, to_come_bytes, per_s=per_s, bytes_per_reading=bytes_per_reading)
        if known_s < over_s or (full_in_s is not None and full_in_s <= over_s):
            break
    known = known_s >= STEP_S
    full_in_s = full_in_s if known else None
    autonomy_s = None
    if known:
        empty_bytes = room_bytes + used_bytes
        autonomy_s = _lasts_s(empty_bytes, most_row_bytes, per_s=per_s, bytes_per_reading=bytes_per_reading)
    return Forecast(
        used_bytes=used_bytes,
        room_bytes=room_bytes,
        limit="max_bytes" if budget_bytes <= disk_bytes else "disk",
        readings_per_s=round(per_s, 3) if known else None,
        over_s=round(known_s),
        bytes_per_reading=None if bytes_per_reading is None else round(bytes_per_reading, 3),
        full_in_s=None if full_in_s is None else round(full_in_s),
        autonomy_s=None if autonomy_s is None else round(autonomy_s),
        wanted_s=wanted_s,
    )


def _lasts_s(room_bytes: int, for_rows_bytes: int, *, per_s: float, bytes_per_reading: float | None) -> float | None:
    """How long some room lasts of which a part is for rows; at least as long as it would without any compression."""
    if not per_s or not bytes_per_reading:
        return None
    return (
        max((room_bytes - for_rows_bytes) / bytes_per_reading, room_bytes / max(bytes_per_reading, RECORD_BYTES))
        / per_s
    )


def forecast_text(seen: Forecast, *, connected: bool) -> str:
    """The forecast as a sentence.

    Args:
        seen: the forecast.
        connected: whether the broker takes what comes in.
    """
    if not seen.room_bytes:
        text = "full"
    elif seen.readings_per_s == 0:
        text = "nothing comes in"
    elif seen.full_in_s is None:
        text = "not known yet: what comes in is measured over a minute at least"
    else:
        lasts = f"{duration_text(seen.full_in_s)} {_at_rate(seen.over_s)}"
        text = f"an outage that began now could last {lasts}" if connected else f"full in {lasts}"
    if seen.limit == "disk":
        text += "; the disk has less room than max_bytes allows"
    if seen.too_short and seen.autonomy_s is not None and seen.wanted_s is not None:
        text += (
            f"; {duration_text(seen.wanted_s)} of autonomy are asked for, and empty it could hold "
            f"{duration_text(seen.autonomy_s)}"
        )
    return text


def duration_text(seconds: float) -> str:
    """A time in its two largest units, rounded down: 3 d 4 h."""
    whole = max(0, int(seconds))
    for length_s, unit, below_s, below in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= length_s:
            more = whole % length_s // below_s
            return f"{whole // length_s} {unit}" + (f" {more} {below}" if more else "")
    return f"{whole} s"


def _at_rate(over_s: float) -> str:
    return (
        "at today's rate" if over_s >= DAY_S else f"at the rate of the last {duration_text(over_s - over_s % STEP_S)}"
    )
