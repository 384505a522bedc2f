"""Batches that the broker may take before they are written: when there are such, their numbers, their count. Pure.

With `hold_ms` a batch gets its number and is offered to the uplink before it is on disk. Acknowledged within that time,
it is never written; else it is committed as always. What is lost by a kill or a power cut is what was accepted in the
last `hold_ms` and not acknowledged: no source was told that it had arrived.

Invariants
- A number that was given to a batch is never given to another one, also after a crash: numbers are given in advance of
  the disk only up to a limit that is on the disk.
- What passed without being written is counted, and the count is on the disk every `NOTE_S`; a crash forgets what passed
  since then, in the totals only.
- Where the broker is late once, batches are written first again for a while, longer each time: a source that waits for
  its batch must not be held up by a slow broker.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["FIRST_PAUSE_S", "LONGEST_PAUSE_S", "NOTE_S", "RESERVED_NUMBERS", "Hold", "Passed"]

RESERVED_NUMBERS: Final = 100_000
NOTE_S: Final = 60.0
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0


class Passed(NamedTuple):
    """What the disk knows of it.

    Attributes:
        reserved: numbers up to this one may have been given.
        batches: that were never written, since the file was made.
        readings: theirs.
    """

    reserved: int = 0
    batches: int = 0
    readings: int = 0


class Hold:
    """Decides about the next batch, and gives its number.

    Args:
        window_s: how long a batch may wait for the broker, in seconds; 0: none does.
    """

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self.given = 0
        """The highest number that was given."""
        self.batches = 0
        self.readings = 0
        self._noted = Passed()
        self._noted_s = 0.0
        self._paused_until_s = 0.0
        self._pause_s = FIRST_PAUSE_S

    @property
    def enabled(self) -> bool:
        """Whether batches are held at all."""
        return self.window_s > 0

    def opened(self, last_seq: int, passed: Passed) -> None:
        """A file was opened: what it knows."""
        self.given = max(self.given, last_seq, passed.reserved)
        self.batches = max(self.batches, passed.batches)
        self.readings = max(self.readings, passed.readings)
        self._noted = passed._replace(reserved=0)

    def replaced(self) -> None:
        """A fresh file takes the place of the one that was: it knows of no numbers, and counts from 0."""
        self.batches = self.readings = 0
        self._noted = Passed()

    def stored(self, last_seq: int) -> None:
        """Numbers up to this one are on the disk."""
        self.given = max(self.given, last_seq)

    def may(self, now_s: float) -> bool:
        """Whether the next batch may be offered before it is written."""
        return self.enabled and now_s >= self._paused_until_s and self.given < self._noted.reserved

    def passed(self, readings: int) -> None:
        """The broker took a held batch."""
        self.batches += 1
        self.readings += readings
        self._pause_s = FIRST_PAUSE_S

    def late(self, now_s: float) -> None:
        """The broker did not take a held batch in time."""
        if now_s >= self._paused_until_s:
            self._paused_until_s = now_s + self._pause_s
            self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s)

    def to_note(self, now_s: float) -> Passed | None:
        """What is to be written now; None where nothing is due."""
        if not self.enabled:
            return None
        used_up = self._noted.reserved - self.given < RESERVED_NUMBERS // 2
        counted = now_s >= self._noted_s + NOTE_S and self.batches != self._noted.batches
        return Passed(self.given + RESERVED_NUMBERS, self.batches, self.readings) if used_up or counted else None

    def at_the_end(self) -> Passed | None:
        """What is to be written before the file is closed, so that no number is left out; None: nothing."""
        last = Passed(self.given, self.batches, self.readings)
        return last if self.enabled and self._noted.reserved and last != self._noted else None

    def noted(self, passed: Passed, now_s: float) -> None:
        """It is on the disk."""
        self._noted, self._noted_s = passed, now_s
