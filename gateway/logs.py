"""Logs: one JSON object a line on standard error, with stable keys, for Loki and for people with jq.

Keys: `ts` (RFC 3339, UTC, ms), `level`, `logger`, `msg`, and `exc` where there was a traceback. A line that stands for
others that were not written has `repeats`, their number.

Invariants
- Whatever repeats itself cannot fill a disk: in each window a text is written `TEXT_LIMIT` times at most, and the texts
  made from one template `TEMPLATE_LIMIT` times.
- What is not written is counted, and its number is told: before the next line of any kind after the window, or at the
  end.
- The memory for it is bounded by `MOST_KEYS`.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TextIO

import msgspec

__all__ = [
    "MOST_KEYS",
    "TEMPLATE_LIMIT",
    "TEXT_LIMIT",
    "WINDOW_S",
    "JsonLines",
    "Line",
    "Repeats",
    "SparingHandler",
    "setup",
]

WINDOW_S: Final = 60.0
TEXT_LIMIT: Final = 5
TEMPLATE_LIMIT: Final = 100
"""Far above the first: fifty devices that come up together are fifty texts of one template, and none is a repeat."""
MOST_KEYS: Final = 1_000

_QUIET = {
    # asyncua writes a line for each reconnect and each odd node; what matters reaches us as an exception.
    "asyncua": logging.CRITICAL,
    "aiosqlite": logging.WARNING,
    # paho logs each failed attempt; we raise it, and supervise tells it once.
    "mqtt": logging.CRITICAL,
    "uvicorn": logging.WARNING,
}


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its newline."""
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": _encodable(record.getMessage()),
        }
        if record.exc_info:
            line["exc"] = _encodable(self.formatException(record.exc_info))
        repeats = getattr(record, "repeats", 0)
        if repeats:
            line["repeats"] = repeats
        return msgspec.json.encode(line).decode()


def _encodable(text: str) -> str:
    """Half of a surrogate pair, which a broken file name brings along, is no JSON: written as its escape."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


class Line(NamedTuple):
    """What is kept of a record that is held back; not the record, whose traceback would keep everything alive."""

    logger: str
    level: int
    text: str


@dataclass(slots=True)
class _Window:
    began_s: float
    last: Line
    written: int = 0
    held_back: int = 0


class Repeats:
    """Decides which of the lines with one key are written. It reads no clock.

    Args:
        limit: lines of one key that are written in a window.
        window_s: length of a window, in seconds.
        most_keys: keys that are remembered; the oldest window is ended early where there are more.
    """

    def __init__(self, limit: int, *, window_s: float = WINDOW_S, most_keys: int = MOST_KEYS) -> None:
        self._limit = limit
        self._window_s = window_s
        self._most_keys = most_keys
        self._windows: dict[Hashable, _Window] = {}

    def ended(self, now_s: float) -> list[tuple[Line, int]]:
        """Ends the windows that are over: the last line that each of them held back, and how many those were."""
        told = []
        # They are in the order in which they began.
        while self._windows:
            key, window = next(iter(self._windows.items()))
            if now_s - window.began_s < self._window_s and len(self._windows) < self._most_keys:
                break
            del self._windows[key]
            if window.held_back:
                told.append((window.last, window.held_back))
        return told

    def allows(self, key: Hashable, line: Line, now_s: float) -> bool:
        """Whether this line is to be written; counts it where it is not."""
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = _Window(now_s, line)
        if window.written < self._limit:
            window.written += 1
            return True
        window.held_back += 1
        window.last = line
        return False


class SparingHandler(logging.StreamHandler[TextIO]):
    """Writes records to a stream, and holds back what repeats itself.

    Args:
        stream: where to write; never closed here.
        clock: seconds of a steady clock.
    """

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._clock = clock
        self._texts = Repeats(TEXT_LIMIT)
        self._templates = Repeats(TEMPLATE_LIMIT)

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record, or counts it."""
        try:
            line = Line(record.name, record.levelno, record.getMessage())
        except (TypeError, ValueError, KeyError):
            # Arguments that do not fit their text: a defect, which must not stop the work that wanted to tell of it.
            self.handleError(record)
            return
        now_s = self._clock()
        self._tell(now_s)
        template = (record.name, record.levelno, str(record.msg))
        if self._texts.allows(line, line, now_s) and self._templates.allows(template, line, now_s):
            super().emit(record)

    def close(self) -> None:
        """Tells what is still to be told; the stream stays open."""
        self.acquire()
        try:
            self._tell(math.inf)
        finally:
            self.release()
        super().close()

    def _tell(self, now_s: float) -> None:
        for last, count in (*self._texts.ended(now_s), *self._templates.ended(now_s)):
            text = f"{count:,} lines like this one were not written: {last.text}"
            record = logging.LogRecord(last.logger, last.level, "", 0, text, None, None)
            record.__dict__["repeats"] = count
            super().emit(record)


def setup(level: str, stream: TextIO | None = None) -> None:
    """Sends all logs of this process to a stream (standard error) as JSON lines.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        stream: where to write.
    """
    handler = SparingHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    for before in root.handlers:
        if isinstance(before, SparingHandler):
            before.close()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(least)
