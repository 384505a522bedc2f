"""What the cycles of each scan class took, and how that compares with what was predicted: for status."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from adapters.modbus.endpoint import Endpoint
from adapters.modbus.load import cycle_s
from adapters.modbus.planner import Request

__all__ = ["Scans"]

_MEAN_OVER_CYCLES: Final = 100


class _Scan:
    """One class."""

    def __init__(self) -> None:
        self.cycles = 0
        self.last_s = 0.0
        self.mean_s = 0.0
        self.overruns = 0


class Scans:
    """Keeps the measurements of one device.

    Args:
        endpoint: where it is.
        intervals_s: of its scan classes.
        pause_s: least pause before each of its requests.
    """

    def __init__(self, endpoint: Endpoint, intervals_s: Iterable[float], *, pause_s: float) -> None:
        self._endpoint = endpoint
        self._pause_s = pause_s
        self._scans = {interval_s: _Scan() for interval_s in sorted(set(intervals_s))}

    def note(self, interval_s: float, *, took_s: float) -> None:
        """A cycle has ended.

        Args:
            interval_s: its class.
            took_s: how long it took.
        """
        scan = self._scans[interval_s]
        scan.cycles += 1
        scan.last_s = took_s
        scan.mean_s += (took_s - scan.mean_s) / min(scan.cycles, _MEAN_OVER_CYCLES)

    def overran(self, interval_s: float, missed: int) -> None:
        """So many slots of a class fell out."""
        self._scans[interval_s].overruns += missed

    def told(self, asked: Sequence[Request]) -> list[dict[str, Any]]:
        """A line for each class: what is asked in a cycle, how long that should take, and how long it does.

        Args:
            asked: the requests that are asked now.
        """
        lines = []
        for interval_s, scan in self._scans.items():
            requests = [request for request in asked if request.interval_s == interval_s]
            predicted_s = cycle_s(requests, self._endpoint, pause_s=self._pause_s)
            lines.append(
                {
                    "every_s": interval_s,
                    "requests": len(requests),
                    "tags": sum(len(request.items) for request in requests),
                    "predicted_ms": round(predicted_s * 1000, 1),
                    "cycle_ms": round(scan.last_s * 1000, 1),
                    "mean_ms": round(scan.mean_s * 1000, 1),
                    "cycles": scan.cycles,
                    "overruns": scan.overruns,
                }
            )
        return lines
