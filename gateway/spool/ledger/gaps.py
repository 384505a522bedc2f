"""The gap ledger's arithmetic: which rows a transaction writes, so that each gap is told once and rows stay few. Pure.

- A row that nobody was told of grows with what is lost next to it. Once it is handed to the uplink (`OFFERED`) it does
  not change any more, whatever became of the message: a receiver that got it twice got the same thing twice.
- When more than `MOST_WAITING` rows wait to be told, those of one device and cause become one; where that is not
  enough, those of one cause. What is missing stays told and counted; only where it lies is told less exactly.
- Numbers ascend and are never given twice. A row that others are joined with keeps the lowest of their numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import IntEnum
from functools import reduce
from types import MappingProxyType
from typing import Final, NamedTuple

from gateway.gap import Gap, GapKind, join, join_near, near

__all__ = ["MOST_WAITING", "QUIET_NS", "Change", "Entry", "Ledger", "Noted", "Telling"]

MOST_WAITING: Final = 2_000
"""Rows that wait to be told; each is some 300 bytes of memory."""

QUIET_NS: Final = 5_000_000_000
"""A gap that has not grown for so long is told."""

LONGEST_NS: Final = 60_000_000_000
"""One that grows on is told after this long, and what is lost from then on is the next one."""


class Telling(IntEnum):
    """How far a row has come. A number is given once and never changes its meaning."""

    WAITING = 0
    OFFERED = 1
    TOLD = 2


class Entry(NamedTuple):
    """One row of the ledger.

    Attributes:
        number: names it for good.
        gap: what it tells.
        noted_ns: when it was begun, UTC ns.
        changed_ns: when it grew last.
        telling: how far it has come.
    """

    number: int
    gap: Gap
    noted_ns: int
    changed_ns: int
    telling: Telling = Telling.WAITING


class Change(NamedTuple):
    """What one transaction does to the ledger. The rows are whole, so writing them twice is writing them once.

    Attributes:
        rows: rows that are new or have grown.
        gone: numbers of rows that others tell of now.
        last: the highest number given.
        changes: how many changes there were, this one included; tells whether it was committed.
        begun: causes of the rows that are new.
    """

    rows: Sequence[Entry]
    gone: Sequence[int]
    last: int
    changes: int
    begun: Sequence[str]


class Ledger:
    """The rows that nobody was told of yet, as of the last commit.

    Args:
        entries: those in the file.
        last: the highest number given.
        changes: how many changes there were.
        most_waiting: from how many rows on several are told as one.
    """

    def __init__(
        self, entries: Iterable[Entry] = (), *, last: int = 0, changes: int = 0, most_waiting: int = MOST_WAITING
    ) -> None:
        self.last = last
        self._most_waiting = most_waiting
        self.changes = changes
        self._entries = {entry.number: entry for entry in sorted(entries)}
        self._newest: dict[GapKind, int] = {}
        self._look()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def entries(self) -> Mapping[int, Entry]:
        """The rows by number, ascending."""
        return MappingProxyType(self._entries)

    def change(self, gaps: Iterable[Gap], *, now_ns: int) -> Change | None:
        """What is to be written so that these gaps stand in the ledger; None where there are none. Changes nothing."""
        rows: dict[int, Entry] = {}
        newest: dict[GapKind, int] = {}
        begun: list[str] = []
        last = self.last
        for gap in gaps:
            number = newest.get(gap.kind) or self._newest.get(gap.kind, 0)
            entry = rows.get(number) or self._entries.get(number)
            if entry is not None and near(entry.gap, gap):
                rows[number] = entry._replace(gap=join(entry.gap, gap), changed_ns=now_ns)
            else:
                last += 1
                rows[last] = Entry(last, gap, now_ns, now_ns)
                newest[gap.kind] = last
                begun.append(gap.cause)
        if not rows:
            return None
        gone: set[int] = set()
        if len(self._entries) + last - self.last > self._most_waiting:
            fewer, gone = _fewer(self._entries | rows, most=self._most_waiting // 2)
            rows = {number: entry for number, entry in (rows | fewer).items() if number not in gone}
        return Change(tuple(rows.values()), tuple(sorted(gone)), last, self.changes + 1, tuple(begun))

    def adopt(self, change: Change) -> None:
        """Takes over what was committed."""
        for number in change.gone:
            self._entries.pop(number, None)
        for entry in change.rows:
            self._entries[entry.number] = entry
            self._newest[entry.gap.kind] = entry.number
        self.last, self.changes = change.last, change.changes
        if change.gone:
            self._look()

    def due(self, *, now_ns: int, limit: int, but: Collection[int] = ()) -> list[Entry]:
        """Rows that are to be told now, lowest numbers first.

        Args:
            now_ns: UTC ns. What is from the future by it, because a clock was set back, is due.
            limit: most rows.
            but: numbers of rows that are being told.
        """
        due: list[Entry] = []
        for entry in self._entries.values():
            if len(due) == limit:
                break
            quiet = not 0 <= now_ns - entry.changed_ns < QUIET_NS
            if entry.number in but:
                continue
            if entry.telling or quiet or not 0 <= now_ns - entry.noted_ns < LONGEST_NS:
                due.append(entry)
        return due

    def offered(self, numbers: Iterable[int]) -> None:
        """These rows do not change any more."""
        for number in numbers:
            entry = self._entries.get(number)
            if entry is not None:
                self._entries[number] = entry._replace(telling=Telling.OFFERED)
                if self._newest.get(entry.gap.kind) == number:
                    del self._newest[entry.gap.kind]

    def told(self, numbers: Iterable[int]) -> None:
        """The broker has these rows."""
        for number in numbers:
            entry = self._entries.pop(number, None)
            if entry is not None and self._newest.get(entry.gap.kind) == number:
                del self._newest[entry.gap.kind]

    def _look(self) -> None:
        self._entries = dict(sorted(self._entries.items()))
        self._newest = {
            entry.gap.kind: number for number, entry in self._entries.items() if entry.telling is Telling.WAITING
        }


class Noted:
    """Gaps that wait for a transaction of their own, in order, few enough whatever the disk does."""

    def __init__(self) -> None:
        self._gaps: list[Gap] = []
        self._taken = 0

    def __len__(self) -> int:
        return len(self._gaps)

    def add(self, gaps: Iterable[Gap]) -> None:
        """Adds some behind the others."""
        self._gaps += gaps
        if len(self._gaps) - self._taken > MOST_WAITING:
            self._gaps[self._taken :] = join_near(self._gaps[self._taken :])
        if len(self._gaps) - self._taken > MOST_WAITING:
            by_cause: dict[str, Gap] = {}
            for gap in self._gaps[self._taken :]:
                by_cause[gap.cause] = join(by_cause[gap.cause], gap) if gap.cause in by_cause else gap
            self._gaps[self._taken :] = by_cause.values()

    def take(self) -> list[Gap]:
        """All of them, for a transaction. They stay, as they are, until `done`."""
        self._taken = len(self._gaps)
        return [*self._gaps]

    def done(self, count: int) -> None:
        """The first `count` are in the file."""
        del self._gaps[:count]
        self._taken = max(0, self._taken - count)


def _fewer(entries: Mapping[int, Entry], *, most: int) -> tuple[dict[int, Entry], set[int]]:
    """Rows that tell of several of these, and the numbers of those they tell of as well."""
    fewer: dict[int, Entry] = {}
    gone: set[int] = set()
    for by_device in (True, False):
        groups: dict[tuple[str, str], list[Entry]] = {}
        for number, entry in sorted({**entries, **fewer}.items()):
            if entry.telling is Telling.WAITING and number not in gone:
                groups.setdefault((entry.gap.device if by_device else "", entry.gap.cause), []).append(entry)
        for group in groups.values():
            if len(group) > 1:
                first = group[0]
                fewer[first.number] = first._replace(
                    gap=reduce(join, (entry.gap for entry in group)),
                    changed_ns=max(entry.changed_ns for entry in group),
                )
                gone.update(entry.number for entry in group[1:])
        if len(groups) <= most:
            break
    return {number: entry for number, entry in fewer.items() if number not in gone}, gone
