"""Batches that the broker was offered before their commit: who of them is taken, and what becomes of the others.

They stand in the line as all do, but have a number. One that the broker takes leaves the line with those before it and
is never written; one that it takes while it is being written is a row that is to be deleted. `hold.py` says when a
batch may be held at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gateway.metrics import Metrics
from gateway.spool.commit import Group
from gateway.spool.hold import Hold
from gateway.spool.line import Line, Waiting
from gateway.spool.pace import Pace

__all__ = ["Held"]


class Held:
    """Those in the line that were offered before their commit and are not acknowledged.

    Args:
        hold: gives their numbers, and counts those that passed.
        line: where they wait.
        pace: is told of each source that may send its next batch.
        metrics: `passed` is counted.
        note: is told device and mark of those that passed, where no later one of the device carries a mark.

    Attributes:
        seen: when the last one of each device that passed was accepted, UTC ns, until that is on disk.
    """

    def __init__(
        self, hold: Hold, *, line: Line, pace: Pace, metrics: Metrics, note: Callable[[str, bytes], None]
    ) -> None:
        self.seen: dict[str, int] = {}
        self._hold = hold
        self._line = line
        self._pace = pace
        self._metrics = metrics
        self._note = note
        self._waiting: dict[int, Waiting] = {}
        """By number, ascending."""

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, seq: object) -> bool:
        return seq in self._waiting

    @property
    def first(self) -> int:
        """The lowest number; there is one."""
        return next(iter(self._waiting))

    def begin(self, waiting: Waiting, now_s: float) -> None:
        """This one was offered just now, under the next number: it joins the line."""
        waiting.seq = self._hold.given = self._hold.given + 1
        waiting.due_s = now_s + self._hold.window_s
        self._waiting[waiting.seq] = waiting
        self._line.join(waiting)

    def take(self, seq: int, now_s: float) -> bool:
        """Notes that the broker took a held batch; whether it is one."""
        waiting = self._waiting.pop(seq, None)
        if waiting is None:
            return False
        self._line.passed(waiting)
        waiting.answer(seq)
        self._pace.stored(waiting.device, now_s)
        return True

    def withdraw(self, waiting: Waiting) -> None:
        """This one is answered otherwise."""
        self._waiting.pop(waiting.seq, None)

    def let_go(self) -> None:
        """Lets those leave the line that need no commit, where nobody before them does. No commit may be under way."""
        passed = self._line.passed_at_the_front()
        self._count(passed)
        if passed:
            newer = {waiting.device for waiting in self._line.front()[len(passed) :] if waiting.mark}
            for waiting in passed:
                if waiting.device not in newer:
                    self._note(waiting.device, waiting.mark)
        self._line.leave(len(passed))

    def written(self, group: Group) -> list[int]:
        """This group is in the file, and its batches are still in the line; which of its rows the broker has taken."""
        self._hold.stored(group.last_seq)
        if not self._hold.enabled:
            return []
        stored = {seq for seq, waiting in group.numbered if waiting.seq}
        for waiting in self._line.front(group.taken):
            self._waiting.pop(waiting.seq, None)
        self._count([one for one in self._line.front(group.taken) if one.passed and one.seq not in stored])
        return [seq for seq, waiting in group.numbered if waiting.passed]

    def seen_noted(self, seen: Mapping[str, int]) -> None:
        """These times are on disk."""
        self.seen = {device: at_ns for device, at_ns in self.seen.items() if seen.get(device) != at_ns}

    def _count(self, passed: Sequence[Waiting]) -> None:
        for waiting in passed:
            self._hold.passed(waiting.readings)
            self._metrics.passed.inc(waiting.readings)
            self.seen[waiting.device] = waiting.at_ns
