"""The verdict: is there a reading that neither arrived nor stands in the gap ledger? Pure.

The plant's counters go up by one at each change. An OPC UA server queues its changes, also while nobody is there to
take them, so each count has to arrive, or lie within a gap of that device. A Modbus register has to be asked: while
nobody can (the gateway is dead, the cable out, the disk full, so that sources wait) no reading is made, and none can be
lost; at all other times it is asked often enough to see each count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.demo.ledger import Hole
from gateway.demo.verdict import Window, unexplained
from gateway.gap import Gap

__all__ = ["Facts", "Lost", "judge", "windows_of_gaps"]

LATE_MS = 1_500.0
"""On a busy machine a request may be late by so much: no reading was made, and none is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was counted at both ends.

    Attributes:
        accepted: readings that the spool accepted for sending.
        received: readings that arrived, each counted once.
        kept: readings that still wait in the spool and have not arrived.
        dropped: readings that the spool says it dropped.
        missing_batches: numbers of batches that neither arrived nor wait.
        conflicts: messages that came twice with different content.
        backwards: readings with a value from before.
        opcua_holes: counts that did not arrive, of all counters.
        modbus_holes: the same of the registers that are read.
        unread: times in which nobody could read the plant's registers.
        gaps: the gap ledger.
        opcua_device: whose counters the first are.
        modbus_device: and the second.
    """

    accepted: int
    received: int
    kept: int
    dropped: int
    missing_batches: int
    conflicts: int
    backwards: int
    opcua_holes: Sequence[Hole]
    modbus_holes: Sequence[Hole]
    unread: Sequence[Window]
    gaps: Sequence[Gap]
    opcua_device: str
    modbus_device: str


class Lost(NamedTuple):
    """What cannot be explained.

    Attributes:
        lost: readings that were accepted, and neither arrived nor were counted as dropped.
        unexplained: counts that are missing, and nothing says why.
        against: all that speaks against the run, in words.
    """

    lost: int
    unexplained: int
    against: tuple[str, ...]


def judge(facts: Facts) -> Lost:
    """The verdict on these facts."""
    missing = facts.accepted - facts.received - facts.kept - facts.dropped
    told = sum(gap.readings or 0 for gap in facts.gaps if gap.cause in ("spool_damaged", "spool_full"))
    opcua = unexplained(facts.opcua_holes, windows_of_gaps(facts.gaps, facts.opcua_device))
    late = [hole for hole in facts.modbus_holes if hole.to_ms - hole.from_ms > LATE_MS]
    modbus = unexplained(late, [*facts.unread, *windows_of_gaps(facts.gaps, facts.modbus_device)])
    against = [
        text
        for wrong, text in (
            (missing > 0, f"{missing} readings were accepted and neither arrived nor count as dropped"),
            (missing < 0, f"{-missing} readings arrived that were never accepted"),
            (facts.missing_batches > 0, f"{facts.missing_batches} batches are missing in the sequence"),
            (facts.dropped > told, f"{facts.dropped} readings were dropped, and the gap ledger tells of {told}"),
            (facts.conflicts > 0, f"{facts.conflicts} messages came twice with different content"),
            (facts.backwards > 0, f"{facts.backwards} readings have a value from before"),
            (opcua > 0, f"{opcua} counts of OPC UA are missing, and the gap ledger has no gap there"),
            (modbus > 0, f"{modbus} counts of Modbus are missing at a time when it could be read"),
        )
        if wrong
    ]
    return Lost(max(0, missing), opcua + modbus, tuple(against))


def windows_of_gaps(gaps: Iterable[Gap], device: str) -> list[Window]:
    """When readings of a device are missing by the ledger."""
    return [Window(gap.from_ns / 1e6, gap.to_ns / 1e6) for gap in gaps if gap.device in (device, "")]
