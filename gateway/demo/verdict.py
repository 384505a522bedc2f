"""The verdict: was anything lost, and did the story happen that would have shown it? Pure.

Nothing is lost when every reading that the spool accepted for sending either arrived at the subscriber, duplicates
left out, or still waits in the spool. A run in which nothing went wrong proves little: the verdict is good only when
the broker was away with a backlog, the gateway was killed, and readings were replayed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from gateway.demo.ledger import Hole

__all__ = ["Facts", "Verdict", "Window", "judge", "unexplained"]


class Window(NamedTuple):
    """A time in which nobody read the plant, as source times in milliseconds since 1970."""

    from_ms: float
    to_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was counted, at both ends.

    Attributes:
        accepted: readings the spool accepted for sending, over all lives of the gateway.
        received: readings the subscriber got, duplicates left out.
        kept: readings that still wait in the spool and have not been received.
        missing_batches: sequence numbers of which nothing arrived and nothing waits.
        conflicts: duplicates that differ from the first.
        counter_holes: counts missing in the load counters that no death of the gateway explains.
        backlog_max: most readings that waited at once.
        outages: how often the broker was away.
        kills: how often the gateway was killed.
        replayed: readings received from the backlog.
        clean_stop: whether the last stop ended with exit status 0.
    """

    accepted: int
    received: int
    kept: int = 0
    missing_batches: int = 0
    conflicts: int = 0
    counter_holes: int = 0
    backlog_max: int = 0
    outages: int = 0
    kills: int = 0
    replayed: int = 0
    clean_stop: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether all went well, how many readings are lost (at least), and all that speaks against it, in words."""

    ok: bool
    lost: int
    against: tuple[str, ...]


def judge(facts: Facts) -> Verdict:
    """The verdict on these facts."""
    missing = facts.accepted - facts.received - facts.kept
    lost = max(missing, facts.missing_batches, 0)  # a missing batch held one reading at least
    against = [
        text
        for wrong, text in (
            (missing > 0, f"{missing} readings were accepted by the spool and never arrived"),
            (missing < 0, f"{-missing} readings arrived that the spool never accepted: published before durable"),
            (facts.missing_batches > 0, f"{facts.missing_batches} batches are missing in the sequence"),
            (facts.conflicts > 0, f"{facts.conflicts} messages came twice with different content"),
            (facts.counter_holes > 0, f"{facts.counter_holes} counts of the plant's counters are missing"),
            (facts.accepted == 0, "the gateway accepted no readings at all"),
            (facts.outages == 0 or facts.backlog_max == 0, "no outage left a backlog"),
            (facts.kills == 0, "the gateway was not killed"),
            (facts.replayed == 0, "nothing was replayed"),
            (not facts.clean_stop, "the gateway did not stop cleanly"),
        )
        if wrong
    ]
    return Verdict(ok=not against, lost=lost, against=tuple(against))


def unexplained(missing: Iterable[Hole], windows: Iterable[Window]) -> int:
    """How many counts are missing outside the times in which the gateway was dead.

    A hole is explained when the readings around it enclose a part of such a time: what the plant did while nobody
    looked was never taken, and cannot be lost.
    """
    dead = list(windows)
    return sum(
        hole.size
        for hole in missing
        if not any(hole.from_ms <= window.to_ms and window.from_ms <= hole.to_ms for window in dead)
    )
