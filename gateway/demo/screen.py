"""What is shown of the demo: plain lines on any stream, and on a terminal a small table that is drawn anew in place.

Knows nothing of how the numbers come about. `table` and `line` are pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, TextIO

__all__ = ["Screen", "Snapshot", "line", "table"]

LINE_EVERY_S: Final = 2.0
"""How often a stream that is no terminal gets a line of numbers."""

_UP: Final = "\x1b[{}A"
_CLEAR_BELOW: Final = "\x1b[J"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state of everything at one moment.

    Attributes:
        elapsed_s: since the first reading.
        phase: what is happening, in a few words.
        gateway_up: whether the gateway's process answers.
        network_up: whether the gateway can reach the broker.
        accepted: readings the spool has accepted so far.
        waiting: readings in the spool that the broker has not acknowledged.
        received: readings the subscriber has, duplicates left out.
        replayed: those of them that came from the backlog.
        duplicates: readings that came once more.
        p50_ms: median latency of live readings.
        p99_ms: 99th percentile.
        machines: a few of the values that arrived last.
    """

    elapsed_s: float
    phase: str
    gateway_up: bool
    network_up: bool
    accepted: int
    waiting: int
    received: int
    replayed: int
    duplicates: int
    p50_ms: float
    p99_ms: float
    machines: str


def table(snapshot: Snapshot) -> list[str]:
    """The table's rows."""
    gateway = "running" if snapshot.gateway_up else "DOWN"
    network = "up" if snapshot.network_up else "CUT"
    return [
        f"  {_clock(snapshot.elapsed_s)}  {snapshot.phase}",
        f"  plant       {snapshot.machines}",
        f"  gateway     {gateway:<10} accepted {snapshot.accepted:>9,}   waiting {snapshot.waiting:>9,}",
        f"  network     {network:<10} received {snapshot.received:>9,}   replayed {snapshot.replayed:>8,}",
        f"  subscriber  {_latency(snapshot)}   duplicates {snapshot.duplicates:,}",
    ]


def line(snapshot: Snapshot) -> str:
    """The same in one line, for logs."""
    return (
        f"{_clock(snapshot.elapsed_s)} gateway {'running' if snapshot.gateway_up else 'down'}, "
        f"network {'up' if snapshot.network_up else 'cut'}, accepted {snapshot.accepted}, waiting {snapshot.waiting}, "
        f"received {snapshot.received}, replayed {snapshot.replayed}, duplicates {snapshot.duplicates}, "
        f"{_latency(snapshot)}"
    )


class Screen:
    """Writes to a stream; on a terminal it keeps the table at the bottom.

    Args:
        stream: where to.
        width: columns of the terminal; rows are cut to it, since a row that wraps could not be drawn over.
        live: whether the stream is a terminal that can move its cursor.
    """

    def __init__(self, stream: TextIO, *, width: int, live: bool) -> None:
        self._stream = stream
        self._width = width
        self._live = live
        self._rows = 0
        self._line_due_s = 0.0

    def say(self, text: str) -> None:
        """One line of the story, above the table."""
        self._write(self._erase() + text + "\n")

    def show(self, snapshot: Snapshot) -> None:
        """The numbers of this moment."""
        if self._live:
            rows = [row[: self._width - 1] for row in table(snapshot)]
            text = self._erase() + "\n".join(rows) + "\n"
            self._rows = len(rows)
            self._write(text)
        elif snapshot.elapsed_s >= self._line_due_s:
            self._line_due_s = snapshot.elapsed_s + LINE_EVERY_S
            self._write(line(snapshot) + "\n")

    def _erase(self) -> str:
        rows, self._rows = self._rows, 0
        return _UP.format(rows) + "\r" + _CLEAR_BELOW if rows else ""

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _clock(elapsed_s: float) -> str:
    minutes, seconds = divmod(int(elapsed_s), 60)
    return f"{minutes}:{seconds:02}"


def _latency(snapshot: Snapshot) -> str:
    if math.isnan(snapshot.p50_ms):
        return "no live readings yet"
    return f"latency p50 {snapshot.p50_ms:.0f} ms, p99 {snapshot.p99_ms:.0f} ms"
