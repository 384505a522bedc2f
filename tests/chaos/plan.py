"""What happens when: the faults of each round, drawn from a seed. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Fault", "Kind", "plan"]

ROUND_S = 1.2
LONGEST_S = 0.8
MOST_FAULTS = 3


class Kind(StrEnum):
    """What goes wrong."""

    GATEWAY_KILLED = "gateway killed"
    BROKER_KILLED = "broker killed"
    BROKER_CUT = "network to the broker cut"
    PLANT_CUT = "network to the plant cut"
    DISK_FULL = "disk full"
    DISK_BROKEN = "disk broken"


_WEIGHTS = {
    Kind.GATEWAY_KILLED: 3,
    Kind.BROKER_KILLED: 2,
    Kind.BROKER_CUT: 3,
    Kind.PLANT_CUT: 1,
    Kind.DISK_FULL: 2,
    Kind.DISK_BROKEN: 2,
}


_LONGER = {Kind.DISK_FULL: 2.0}
"""A full disk is not felt at once: what the broker takes makes room."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong for a while.

    Attributes:
        kind: what.
        at_s: when, from the beginning of its round.
        for_s: how long until it is mended. Who was killed is started again then.
    """

    kind: Kind
    at_s: float
    for_s: float

    def __str__(self) -> str:
        return f"{self.kind} at {self.at_s:.2f} s for {self.for_s:.2f} s"


def plan(seed: int, rounds: int) -> list[list[Fault]]:
    """The faults of each round, in order of their times; those of one round may overlap, and no two are of one kind."""
    draw = random.Random(seed)
    return [_round(draw) for _ in range(rounds)]


def _round(draw: random.Random) -> list[Fault]:
    kinds: set[Kind] = set()
    for _ in range(draw.randint(1, MOST_FAULTS)):
        kinds.update(draw.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values())))
    faults = [
        Fault(kind, draw.uniform(0.0, ROUND_S - LONGEST_S), draw.uniform(0.05, LONGEST_S) * _LONGER.get(kind, 1.0))
        for kind in sorted(kinds)
    ]
    return sorted(faults, key=lambda fault: fault.at_s)
