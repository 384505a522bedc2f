"""A gap: an interval in which readings are missing, and why. Pure.

All that is missing lies between `from_ns` and `to_ns`, and `readings` are missing there. That others of the same time
were delivered is possible: a gap claims no reading that it does not count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

from gateway.batch import Batch

__all__ = ["CAUSES", "JOIN_NS", "Gap", "GapKind", "gap_of", "join", "join_near", "near"]

CAUSES: Final = (
    "clock",
    "corrupt",
    "gateway_stopped",
    "lost_notification",
    "offline_disabled",
    "queue_overflow",
    "set_aside",
    "spool_closed",
    "spool_damaged",
    "spool_full",
    "thinned",
    "unreachable",
    "unstorable",
    "unsure_notification",
)
"""Every cause of a gap."""

JOIN_NS: Final = 60_000_000_000
"""Gaps of one kind that are at most this far apart are one: what lies between two lost batches of a device that is read
once a minute is not worth a row each."""

GapKind: TypeAlias = tuple[str, str, str | None, str | None]
"""Device, cause, tag and group."""


class Gap(NamedTuple):
    """One interval with missing readings.

    Attributes:
        device: whose readings; empty where they are of several devices, or nobody knows.
        cause: one of `CAUSES`.
        from_ns: source time of the first that is missing, UTC ns; 0 where nothing is known of the beginning.
        to_ns: source time of the last.
        readings: how many; None where nobody knows.
        tag: whose readings; None where the device's whole stream is meant.
        group: which part of the device where only that is meant, such as `unit 3`; None where the whole is.
    """

    device: str
    cause: str
    from_ns: int
    to_ns: int
    readings: int | None
    tag: str | None = None
    group: str | None = None

    @property
    def kind(self) -> GapKind:
        """What two gaps have in common that may be told as one."""
        return self.device, self.cause, self.tag, self.group


def gap_of(device: str, cause: str, batch: Batch) -> Gap:
    """The gap that a lost batch of at least one reading leaves."""
    times = batch.ts_ns()
    return Gap(device, cause, min(times), max(times), len(times))


def near(one: Gap, other: Gap) -> bool:
    """Whether they overlap, or lie no further apart than `JOIN_NS`."""
    return one.from_ns - other.to_ns <= JOIN_NS and other.from_ns - one.to_ns <= JOIN_NS


def join(one: Gap, other: Gap) -> Gap:
    """What tells of both. Where they differ in device, tag or group it names none; the cause is the first one's."""
    return Gap(
        one.device if one.device == other.device else "",
        one.cause,
        min(one.from_ns, other.from_ns),
        max(one.to_ns, other.to_ns),
        None if one.readings is None or other.readings is None else one.readings + other.readings,
        one.tag if (one.device, one.tag) == (other.device, other.tag) else None,
        one.group if (one.device, one.group) == (other.device, other.group) else None,
    )


def join_near(gaps: Iterable[Gap]) -> list[Gap]:
    """The same, each joined with the one of its kind before it where they are near."""
    joined: list[Gap] = []
    places: dict[GapKind, int] = {}
    for gap in gaps:
        place = places.get(gap.kind)
        if place is not None and near(joined[place], gap):
            joined[place] = join(joined[place], gap)
        else:
            places[gap.kind] = len(joined)
            joined.append(gap)
    return joined
