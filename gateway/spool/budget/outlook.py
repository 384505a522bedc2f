"""What the spool knows for its forecast: how much comes in, and what a reading takes at rest.

Online, rows live for a second and are never compressed, so nothing would tell how long an outage could last. So now and
then some of what is stored is compressed on trial, in a thread, and thrown away: 8,192 readings every ten minutes, ten
milliseconds of a core. In an outage the real blocks tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from gateway.spool.block import Entry, encode_block
from gateway.spool.budget.forecast import Forecast, History, forecast
from gateway.spool.codec import decode
from gateway.spool.line import Waiting

__all__ = ["Outlook"]

TRIAL_READINGS: Final = 8192
_MOST_COUNTED: Final = 32_768
"""Readings that one measurement counts for at most: years in the file shall not outweigh what comes now."""

TRIAL_GATHERS_S: Final = 60.0
"""How long readings are gathered for a trial."""

TRIAL_INTERVAL_S: Final = 600.0
LARGEST_TRIED_BYTES: Final = 1 << 20
_OLDER_COUNT: Final = 0.8
"""What an older measurement counts beside a new one of as many readings."""


class Outlook:
    """Looks ahead.

    Args:
        clock: seconds of a steady clock.
        most_row_bytes: what rows take before they become blocks.
    """

    def __init__(self, *, clock: Callable[[], float], most_row_bytes: int) -> None:
        self._clock = clock
        self._most_row_bytes = most_row_bytes
        self._history = History(clock())
        self._accepted = 0
        self._readings = 0.0
        self._bytes = 0.0
        self._sample: list[Waiting] = []
        self._sample_readings = 0
        self._wanted = True

    def stored(self, batches: Sequence[Waiting]) -> None:
        """Takes note of what was just stored."""
        self._accepted += sum(waiting.readings for waiting in batches)
        self._history.note(self._clock(), self._accepted)
        for waiting in batches if self._wanted else ():
            if waiting.set_aside or len(waiting.data) > LARGEST_TRIED_BYTES:
                continue
            self._sample.append(waiting)
            self._sample_readings += waiting.readings
            self._wanted = self._sample_readings < TRIAL_READINGS
            if not self._wanted:
                break

    def measured(self, readings: int, size_bytes: int) -> None:
        """Takes note of what a block takes, or all blocks that the file holds when it is opened."""
        part = min(1.0, _MOST_COUNTED / max(1, readings))
        self._readings = self._readings * _OLDER_COUNT + readings * part
        self._bytes = self._bytes * _OLDER_COUNT + size_bytes * part

    async def run(self) -> None:
        """Compresses on trial until cancelled."""
        while True:
            self._wanted = True
            await asyncio.sleep(TRIAL_GATHERS_S)
            if await self.try_out():
                await asyncio.sleep(TRIAL_INTERVAL_S)

    async def try_out(self) -> bool:
        """Compresses what was gathered, and gathers no more; whether there was anything."""
        sample, readings = self._sample, self._sample_readings
        self._sample, self._sample_readings, self._wanted = [], 0, False
        if not sample:
            return False
        self.measured(readings, await asyncio.to_thread(_compressed_bytes, sample))
        return True

    def forecast(
        self, *, used_bytes: int, row_bytes: int, max_bytes: int, disk_room_bytes: int, wanted_s: float | None
    ) -> Forecast:
        """How long the room lasts; see `forecast`."""
        now_s = self._clock()
        self._history.note(now_s, self._accepted)
        return forecast(
            self._history,
            now_s=now_s,
            accepted=self._accepted,
            used_bytes=used_bytes,
            max_bytes=max_bytes,
            disk_room_bytes=disk_room_bytes,
            row_bytes=row_bytes,
            most_row_bytes=self._most_row_bytes,
            bytes_per_reading=self._bytes / self._readings if self._readings else None,
            wanted_s=wanted_s,
        )


def _compressed_bytes(sample: Sequence[Waiting]) -> int:
    entries = [
        Entry(number, one.at_ns, one.device, decode(one.codec, one.data, readings=one.readings))
        for number, one in enumerate(sample)
    ]
    return len(encode_block(entries))
