"""What a power cut leaves of some files, by the record of what was done to them.

What was flushed is there. Of what was written since, a disk may have any part, in sectors of 512 bytes, and in any
order. Files come and go at once: SQLite flushes the folder itself where it depends on that.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

from tests.faults.disk import Record

__all__ = ["Cut", "Disk"]

SECTOR_BYTES: Final = 512


class Cut(Enum):
    """What became of that which was not flushed."""

    NOTHING = "nothing of it"
    ALL = "all of it"
    HEAD = "the first writes"
    SOME = "some writes"
    TORN = "some sectors"


@dataclass
class _File:
    safe: bytearray = field(default_factory=bytearray)
    since: list[Record] = field(default_factory=list)


class Disk:
    """The files of a record, as far as it was played."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}

    @property
    def is_flushed(self) -> bool:
        """Whether everything is."""
        return not any(file.since for file in self._files.values())

    def play(self, record: Record) -> None:
        """One more change."""
        if record.kind == "removed":
            self._files.pop(record.name, None)
            return
        file = self._files.setdefault(record.name, _File())
        if record.kind == "synced":
            for change in file.since:
                _apply(file.safe, change)
            file.since.clear()
        else:
            file.since.append(record)

    def cut(self, folder: Path, cut: Cut, draw: random.Random) -> None:
        """Writes into a folder what would be found after a power cut now."""
        for name, file in self._files.items():
            content = bytearray(file.safe)
            for change in _left(file.since, cut, draw):
                _apply(content, change)
            (folder / name).write_bytes(content)


def _left(since: Sequence[Record], cut: Cut, draw: random.Random) -> Iterable[Record]:
    if cut is Cut.NOTHING:
        return ()
    if cut is Cut.ALL:
        return since
    if cut is Cut.HEAD:
        return since[: draw.randint(0, len(since))]
    if cut is Cut.SOME:
        return [change for change in since if draw.random() < 0.5]
    return [part for change in since for part in _sectors(change) if draw.random() < 0.6]


def _sectors(change: Record) -> Iterable[Record]:
    """The pieces of a write that reach the disk whole or not at all."""
    if change.kind != "wrote":
        return [change]
    parts = []
    at, end = change.at, change.at + len(change.data)
    while at < end:
        upto = min(end, (at // SECTOR_BYTES + 1) * SECTOR_BYTES)
        parts.append(change._replace(at=at, data=change.data[at - change.at : upto - change.at]))
        at = upto
    return parts


def _apply(content: bytearray, change: Record) -> None:
    if change.kind == "truncated":
        del content[change.at :]
        content.extend(bytes(change.at - len(content)))
        return
    at = change.at if change.at >= 0 else len(content)
    content.extend(bytes(max(0, at - len(content))))
    content[at : at + len(change.data)] = change.data
