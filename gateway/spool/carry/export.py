"""The whole of an export: from a spool's file, or from what is left of a damaged one, into one file to carry."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from gateway import __version__
from gateway.points import Point
from gateway.spool.carry.contents import Header, Summary
from gateway.spool.carry.signing import sign
from gateway.spool.carry.writer import CarryWriter, whole_file
from gateway.spool.repair.salvage import Lost, Salvage, unknown_point
from gateway.spool.snapshot import Snapshot

__all__ = ["Sender", "export_salvaged", "export_spool"]


class Sender(NamedTuple):
    """Whose readings are carried.

    Attributes:
        gateway: its id.
        topic: head of its topics.
        max_message_bytes: where it cuts batches into messages.
        key: its private key; it is made where it is missing.
    """

    gateway: str
    topic: str
    max_message_bytes: int
    key: Path

    def header(self, origin: Literal["spool", "salvage"]) -> Header:
        """The header of a file made now."""
        return Header(
            gateway=self.gateway,
            topic=self.topic,
            max_message_bytes=self.max_message_bytes,
            made_ns=time.time_ns(),
            version=__version__,
            origin=origin,
        )


def export_spool(spool: Path, target: Path, *, sender: Sender, replace: bool = False) -> Summary:
    """Writes all that waits, as of now. The spool is not changed, and a gateway may be using it.

    Args:
        spool: the spool's file.
        target: the file to write.
        sender: whose it is.
        replace: whether a file of that name may be replaced.

    Raises:
        SpoolError: one cannot be read, or the other not be written.
    """
    broken: list[str] = []
    with Snapshot(spool) as snapshot, whole_file(target, replace=replace) as file:
        writer = CarryWriter(file, sender.header("spool"))
        for stored in snapshot.items(broken=lambda what, _: broken.append(what)):
            writer.add(stored)
        return writer.finish(
            points=snapshot.points,
            gaps=snapshot.gaps(),
            dropped=snapshot.dropped,
            broken=len(broken),
            aside=snapshot.totals.aside_readings,
            sign=partial(sign, sender.key),
        )


def export_salvaged(damaged: Path, target: Path, *, sender: Sender, replace: bool = False) -> tuple[Summary, Lost]:
    """Writes all that can be read of a damaged spool file. Arguments and errors as with `export_spool`.

    Returns:
        What is in the file, and what is lost.
    """
    with Salvage(damaged) as salvage, whole_file(target, replace=replace) as file:
        writer = CarryWriter(file, sender.header("salvage"))
        highest = 0
        for saved in salvage.items():
            highest = max(highest, saved.highest_point)
            writer.add(saved.stored)
        lost = salvage.lost
        summary = writer.finish(
            points=_named(salvage.points, highest),
            gaps=(),
            dropped={},
            broken=lost.broken_rows + lost.broken_blocks,
            aside=lost.aside_readings,
            sign=partial(sign, sender.key),
        )
        return summary, lost


def _named(points: list[Point], highest: int) -> Iterator[Point]:
    """The points, up to the highest that a reading has."""
    yield from points
    for number in range(len(points) + 1, highest + 1):
        yield unknown_point(number)
