"""A damaged file that was moved aside by a process that ended before there was a fresh one: nobody rescues it yet.

A fresh file knows which damaged ones are to be carried into it. On a disk that is full it may take hours until there is
a fresh file; whoever is started then finds none, and beside its place a file whose numbers go as far as the high-water
mark does. One that was rescued already does not: the fresh file's numbers lay above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from gateway.errors import SpoolError
from gateway.points import Point
from gateway.spool.files import moved_aside
from gateway.spool.highwater import HighWater
from gateway.spool.repair.salvage import Salvage

__all__ = ["Unfinished", "find_unfinished"]


class Unfinished(NamedTuple):
    """What is known of such a file.

    Attributes:
        path: where it is.
        points: its point table.
        last_seq: the highest number in it.
        readings: those that waited; None where nobody knows.
    """

    path: Path
    points: Sequence[Point]
    last_seq: int
    readings: int | None


def find_unfinished(path: Path, mark: HighWater) -> Unfinished | None:
    """The file that was moved aside last, where nobody rescues it. Reads files whole: 2 s a gigabyte.

    Args:
        path: the database; there is nothing in it.
        mark: how far numbers had come.
    """
    if mark.last_seq:
        for damaged in reversed(moved_aside(path)):
            with suppress(SpoolError), Salvage(damaged) as salvage:
                if salvage.last_seq >= mark.last_seq:
                    return Unfinished(damaged, salvage.points, salvage.last_seq, salvage.held_readings)
    return None
