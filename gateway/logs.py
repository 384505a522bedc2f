"""Logs: one JSON object a line on standard error, with stable keys, for Loki and for people with jq.

Keys: `ts` (RFC 3339, UTC, ms), `level`, `logger`, `msg`, and `exc` where there was a traceback.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

import msgspec

__all__ = ["JsonLines", "setup"]

_QUIET = {
    # asyncua writes a line for each reconnect and each odd node; what matters reaches us as an exception.
    "asyncua": logging.CRITICAL,
    "pymodbus": logging.CRITICAL,
    "aiosqlite": logging.WARNING,
    # paho logs each failed attempt; we raise it, and supervise tells it once.
    "mqtt": logging.CRITICAL,
    "uvicorn": logging.WARNING,
}


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its newline."""
        line = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        if record.exc_info:
            line["exc"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def setup(level: str, stream: TextIO | None = None) -> None:
    """Sends all logs of this process to a stream (standard error) as JSON lines.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        stream: where to write.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(least)
