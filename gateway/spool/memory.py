"""What adapters remember of their devices, in the spool's file: a state of a few kilobytes, and a mark.

Invariants
- The state is on disk before `keep` says so. The mark is written by the group commit, in one transaction with the batch
  that it belongs to.
- Nobody's readings depend on it: where the disk refuses or the file was replaced, there is nothing to remember.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from gateway.errors import SpoolError
from gateway.spool.spoolfile import SpoolFile, WithFile

__all__ = ["Memory", "forget_others"]

_FORGET: Final = ("DELETE FROM memories WHERE device = ?", "DELETE FROM marks WHERE device = ?")


class Memory:
    """The memory of one device. Made by `Spool.memory`.

    Args:
        with_file: hands out the spool's file, one user at a time.
        device: whose memory it is.

    Attributes:
        wanted: whether the device will be read again.
    """

    def __init__(self, with_file: WithFile, device: str) -> None:
        self._with_file = with_file
        self._device = device
        self.wanted = True

    async def recall(self) -> tuple[bytes, bytes]:
        """What was kept last, and the last mark; empty where there is none, or it cannot be read now."""

        async def work(file: SpoolFile) -> tuple[bytes, bytes]:
            states = await file.fetch("SELECT state FROM memories WHERE device = ?", (self._device,))
            marks = await file.fetch("SELECT mark FROM marks WHERE device = ?", (self._device,))
            return (states[0][0] if states else b""), (marks[0][0] if marks else b"")

        try:
            return await self._with_file("reading the memory in", work)
        except SpoolError:
            return b"", b""

    async def keep(self, state: bytes) -> bool:
        """Keeps a state; an empty one is forgotten together with its mark. Says whether that is on disk."""

        async def work(file: SpoolFile) -> None:
            if state:
                await file.transact([("INSERT OR REPLACE INTO memories VALUES (?, ?)", (self._device, state))])
            else:
                await file.transact(_forget([self._device]))

        try:
            await self._with_file("writing the memory to", work)
        except SpoolError:
            return False
        return True


async def forget_others(with_file: WithFile, devices: Iterable[str]) -> None:
    """Forgets every device but these, and when they were seen: they were taken out while no gateway ran."""
    known = set(devices)

    async def work(file: SpoolFile) -> None:
        rows = await file.fetch(
            "SELECT device FROM memories UNION SELECT device FROM marks UNION SELECT device FROM seen"
        )
        gone = [name for name in (text.decode(errors="replace") for (text,) in rows) if name not in known]
        if gone:
            await file.transact([*_forget(gone), *(("DELETE FROM seen WHERE device = ?", (name,)) for name in gone)])
            for name in gone:
                file.seen.pop(name, None)

    with suppress(SpoolError):  # they are in nobody's way; the next start tries again
        await with_file("writing the memory to", work)


def _forget(devices: Iterable[str]) -> list[tuple[str, tuple[str]]]:
    """The statements after which nothing of these devices is remembered."""
    return [(sql, (device,)) for device in devices for sql in _FORGET]
