"""What the kernel counts as written to storage, by this process or by one of its threads.

`write_bytes` of /proc/self/io counts a page (4 KiB) when it becomes dirty: what is sent to the disk, but for the
journal of the file system and what the disk itself moves about. A kernel without that account has no such file; then
there is nothing to tell, which is None and not 0.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

import aiosqlite

__all__ = ["ThreadAccount", "process_written_bytes"]

_PROCESS: Final = Path("/proc/self/io")
_KEY: Final = "write_bytes:"
_FUNCTION: Final = "tidegate_thread"


def process_written_bytes() -> int | None:
    """Bytes that this process has written since it began; None where the kernel keeps no such account."""
    return _read(_PROCESS)


class ThreadAccount:
    """The bytes written by the threads in which one connection after the other works."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._counted_bytes = 0
        self._ended_bytes = 0

    async def begin(self, connection: aiosqlite.Connection) -> None:
        """Counts this connection's thread from now on."""
        await connection.create_function(_FUNCTION, 0, threading.get_native_id)
        rows = await connection.execute_fetchall(f"SELECT {_FUNCTION}()")
        self._path = Path(f"/proc/self/task/{next(iter(rows))[0]}/io")
        self._counted_bytes = 0

    def end(self) -> None:
        """The thread is about to end; what it wrote so far stays counted."""
        self._ended_bytes = self.written_bytes or 0
        self._path, self._counted_bytes = None, 0

    @property
    def written_bytes(self) -> int | None:
        """Bytes written by all of them; None where the kernel keeps no such account."""
        if self._path is not None:
            counted_bytes = _read(self._path)
            if counted_bytes is None and not self._counted_bytes and not self._ended_bytes:
                return None
            self._counted_bytes = max(self._counted_bytes, counted_bytes or 0)
        return self._ended_bytes + self._counted_bytes


def _read(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            if line.startswith(_KEY):
                return int(line.removeprefix(_KEY))
    return None
