"""How fast this gateway wears out its flash: bytes written a reading and a day, and how long the disk will bear it.

Measured over the last day, or since the start where that is shorter. The rates are those of the whole process: beside
the spool that is the audit, the cache of modules, and versions of the configuration, which hardly count.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.spool import SpoolStats
from gateway.spool.written import process_written_bytes

__all__ = ["Sample", "Wear", "WearMeter", "measure"]

INTERVAL_S: Final = 60.0
_DAY_S: Final = 86_400.0
_DAYS_A_YEAR: Final = 365.25
_TB: Final = 1e12
LEAST_S: Final = 60.0
"""A rate of a shorter time says nothing about a day."""


class Sample(NamedTuple):
    """What was written and accepted so far, at one moment of a steady clock."""

    at_s: float
    written_bytes: int
    readings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wear:
    """What is known of the wear now.

    Attributes:
        written_bytes: by the process since its start; None where the kernel keeps no such account.
        spool_written_bytes: of those, by the spool.
        payload_bytes: of the batches that the spool stored since its start; the rest is the cost of durability.
        measured_s: the time that the rates below are taken over.
        bytes_per_reading: written for each reading accepted; None while there was none.
        bytes_per_day: at the rate of that time; None in the first minute.
        endurance_tbw: what the disk bears, as configured.
        life_years: how long a new disk bears this rate; None where its endurance is not configured.
    """

    written_bytes: int | None
    spool_written_bytes: int | None
    payload_bytes: int
    measured_s: float
    bytes_per_reading: float | None
    bytes_per_day: float | None
    endurance_tbw: float | None
    life_years: float | None


def measure(first: Sample | None, last: Sample | None, *, stats: SpoolStats, endurance_tbw: float | None) -> Wear:
    """The wear between two samples.

    Args:
        first: the earlier one.
        last: the later one; None, as the first, where the kernel keeps no account.
        stats: of the spool now.
        endurance_tbw: what the disk bears, in terabytes (10**12) written.
    """
    measured_s = 0.0 if first is None or last is None else last.at_s - first.at_s
    a_reading = a_day = life = None
    if first is not None and last is not None:
        written_bytes, readings = last.written_bytes - first.written_bytes, last.readings - first.readings
        if readings > 0:
            a_reading = written_bytes / readings
        if measured_s >= LEAST_S:
            a_day = written_bytes / measured_s * _DAY_S
        if a_day and endurance_tbw is not None:
            life = endurance_tbw * _TB / a_day / _DAYS_A_YEAR
    return Wear(
        written_bytes=None if last is None else last.written_bytes,
        spool_written_bytes=stats.written_bytes,
        payload_bytes=stats.payload_bytes,
        measured_s=measured_s,
        bytes_per_reading=a_reading,
        bytes_per_day=a_day,
        endurance_tbw=endurance_tbw,
        life_years=life,
    )


class WearMeter:
    """Keeps what was written, minute by minute, for a day.

    Args:
        spool: the spool's statistics as of now.
        endurance_tbw: what the disk bears, in terabytes written; None where that is not known.
        clock: seconds of a steady clock.
        written: bytes that the process has written so far; None where the kernel keeps no account.
    """

    def __init__(
        self,
        *,
        spool: Callable[[], SpoolStats],
        endurance_tbw: float | None,
        clock: Callable[[], float],
        written: Callable[[], int | None] = process_written_bytes,
    ) -> None:
        self._spool = spool
        self._endurance_tbw = endurance_tbw
        self._clock = clock
        self._written = written
        self._samples: deque[Sample] = deque(maxlen=round(_DAY_S / INTERVAL_S) + 1)

    def look(self) -> None:
        """Takes a sample where one is due; to be called every few seconds."""
        if self._samples and self._clock() - self._samples[-1].at_s < INTERVAL_S:
            return
        sample = self._sample(self._spool())
        if sample is not None:
            if self._samples and sample.readings < self._samples[-1].readings:
                self._samples.clear()  # a fresh file has taken the place of a damaged one, and counts from 0
            self._samples.append(sample)

    @property
    def wear(self) -> Wear:
        """What is known now."""
        stats = self._spool()
        last = self._sample(stats)
        first = self._samples[0] if self._samples else last
        return measure(first, last, stats=stats, endurance_tbw=self._endurance_tbw)

    def _sample(self, stats: SpoolStats) -> Sample | None:
        written_bytes = self._written()
        return None if written_bytes is None else Sample(self._clock(), written_bytes, stats.accepted_readings)
