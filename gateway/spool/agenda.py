"""What the next transactions are to do beside storing what waits in the line. Nobody waits for it.

What is noted here stays until a transaction that did it is known to be in the file (`done`). Of marks, unreadable rows
and gaps there are few; of numbers to be deleted as many as the uplink can acknowledge meanwhile.
"""

from __future__ import annotations

from typing import Final

from gateway.gap import Gap
from gateway.spool.commit import Group
from gateway.spool.ledger.gaps import Noted

__all__ = ["MOST_DELETED", "Agenda"]

MOST_DELETED: Final = 2000
"""Delivered rows that one transaction deletes; more would hold up the batches that wait (100 us a row)."""


class Agenda:
    """What is to be done.

    Attributes:
        acked: numbers of delivered rows.
        given_up: those of `acked` that were not delivered, and the gap that each of them leaves.
        unreadable: number to readings of rows that cannot be decoded.
        unreadable_blocks: the same of blocks, by their last number.
        marks: by device, marks of batches of which the filters left nothing.
        noted: gaps that wait for a transaction.
        most_deleted: delivered rows that go at once.
    """

    def __init__(self) -> None:
        self.acked: set[int] = set()
        self.given_up: dict[int, Gap] = {}
        self.unreadable: dict[int, int] = {}
        self.unreadable_blocks: dict[int, int] = {}
        self.marks: dict[str, bytes] = {}
        self.noted = Noted()
        self.most_deleted = MOST_DELETED

    @property
    def presses(self) -> bool:
        """Whether there is something that should not wait for a batch to share its commit with."""
        return bool(self.unreadable or self.unreadable_blocks or self.noted)

    def done(self, group: Group) -> bool:
        """This group is in the file; whether it left deletions for another one."""
        self.acked.difference_update(group.acked)
        if self.given_up:
            for seq in group.acked:
                self.given_up.pop(seq, None)
        self.noted.done(group.noted)
        for device, mark in group.marks.items():
            if self.marks.get(device) == mark:
                del self.marks[device]
        for seq in (*group.unreadable, *group.victims):
            self.unreadable.pop(seq, None)
        for last in (*group.unreadable_blocks, *group.victim_blocks):
            self.unreadable_blocks.pop(last, None)
        deletions_left = len(self.acked) >= self.most_deleted
        self.most_deleted = min(MOST_DELETED, self.most_deleted * 2)
        return deletions_left

    def refused(self) -> None:
        """The disk did not take a group."""
        if self.acked:
            # Each page that a deletion changes goes through the log first, and there may be little room for it.
            self.most_deleted = max(1, self.most_deleted // 8)

    def replaced(self) -> None:
        """A fresh file has no rows: nothing is to be deleted, and what was given up is missing."""
        self.noted.add(self.given_up.values())
        self.acked.clear()
        self.given_up.clear()
        self.unreadable.clear()
        self.unreadable_blocks.clear()
