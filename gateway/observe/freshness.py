"""How long ago each device last gave a good reading.

It is the time of arrival that counts, by a steady clock: neither a device's wrong clock nor a box that finds its time
server makes a device look fresh or old. It is looked at before the filters, which may keep back what has not changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from gateway.batch import UNCERTAIN, Batch

__all__ = ["Freshness", "has_good"]


class Freshness:
    """Keeps one time for each device.

    Args:
        clock: seconds of a steady clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since_s: dict[str, float] = {}

    def begin(self, device: str) -> Callable[[Batch], None]:
        """Counts for a device from now on; what is returned is to be shown each of its batches."""
        since_s, clock = self._since_s, self._clock
        since_s[device] = clock()

        def note(batch: Batch) -> None:
            if has_good(batch):
                since_s[device] = clock()

        return note

    def age_s(self, device: str) -> float | None:
        """Seconds since its last good reading, or since it began to be read; None where it never was."""
        since_s = self._since_s.get(device)
        return None if since_s is None else max(0.0, self._clock() - since_s)


def has_good(batch: Batch) -> bool:
    """Whether any of the batch's readings is of good quality (OPC 10000-4, table 176)."""
    if not batch:
        return False
    # Almost always the last one is, and then the length of the batch does not matter.
    last = batch.slice(len(batch) - 1, len(batch)).statuses()
    return last[0] < UNCERTAIN or min(batch.statuses()) < UNCERTAIN
