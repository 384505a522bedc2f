"""Decides one transaction: who is stored, what is deleted, and what must be given up for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from gateway.config.models import DatabaseSettings
from gateway.spool.commit import Group
from gateway.spool.line import Waiting
from gateway.spool.retention import Admission, StoredSize, admit, choose_victims
from gateway.spool.spoolfile import SpoolFile

__all__ = ["MOST_DELETED", "decide"]

MOST_DELETED: Final = 2000
"""Delivered rows that one transaction deletes; more would hold up the batches that wait (100 us a row)."""

_CHUNK_ROWS: Final = 1024
_SIZES: Final = "SELECT seq, readings, bytes FROM batches WHERE seq > ? ORDER BY seq LIMIT ?"
# What could not be read was counted when it was set aside.
_ASIDE_SIZES: Final = """
    SELECT seq, CASE cause WHEN 'corrupt' THEN 0 ELSE readings END, bytes FROM set_aside
    WHERE seq > ? ORDER BY seq LIMIT ?
"""


async def decide(
    file: SpoolFile,
    settings: DatabaseSettings,
    *,
    taken: Sequence[Waiting],
    acked: Collection[int],
    unreadable: Mapping[int, int],
    marks: Mapping[str, bytes],
    most_deleted: int,
    spare_the_stored: bool,
) -> Group | None:
    """The next transaction; None where there is nothing to do.

    Args:
        file: where it will be carried out.
        settings: the budget.
        taken: what waits to be stored, oldest first.
        acked: numbers of delivered rows.
        unreadable: number to readings of rows that cannot be decoded.
        marks: by device, marks of batches of which the filters left nothing.
        most_deleted: delivered rows that go at once.
        spare_the_stored: where room is short, only delete what was delivered, and decide about the rest afterwards.
    """
    totals = file.totals
    admission = admit(
        [len(waiting.data) for waiting in taken],
        used_bytes=totals.size_bytes + totals.aside_bytes,
        max_bytes=settings.max_bytes,
        when_full=settings.when_full,
    )
    if acked and spare_the_stored and (admission.refused or admission.to_free_bytes):
        taken, admission = (), Admission(frozenset(), 0)
    if not (taken or acked or unreadable or marks):
        return None
    aside_victims = await _victims(file, _ASIDE_SIZES, admission.to_free_bytes)
    freed_bytes = sum(victim.size_bytes for victim in aside_victims)
    victims = await _victims(file, _SIZES, admission.to_free_bytes - freed_bytes)
    refused = [taken[index] for index in sorted(admission.refused)]
    lost_victims = [victim for victim in victims if victim.seq not in acked and victim.seq not in unreadable]
    lost = {
        "spool_full": sum(waiting.readings for waiting in refused)
        + sum(victim.readings for victim in (*aside_victims, *lost_victims)),
        "corrupt": sum(unreadable.values()),
    }
    return Group(
        after_seq=totals.last_seq,
        taken=len(taken),
        stored=[waiting for index, waiting in enumerate(taken) if index not in admission.refused],
        refused=refused,
        points=file.points.unsaved() if taken else (),
        acked=sorted(acked)[:most_deleted],
        victims=[victim.seq for victim in victims],
        aside_victims=[victim.seq for victim in aside_victims],
        unreadable=tuple(unreadable),
        lost={cause: count for cause, count in lost.items() if count},
        dropped={cause: file.dropped.get(cause, 0) + count for cause, count in lost.items() if count},
        marks={waiting.device: waiting.mark for waiting in taken if waiting.mark} | dict(marks),
    )


async def _victims(file: SpoolFile, sql: str, to_free_bytes: int) -> list[StoredSize]:
    victims: list[StoredSize] = []
    after = 0
    while to_free_bytes > 0:
        rows = [StoredSize(*row) for row in await file.fetch(sql, (after, _CHUNK_ROWS))]
        if not rows:
            break
        chosen = choose_victims(rows, to_free_bytes=to_free_bytes)
        to_free_bytes -= sum(row.size_bytes for row in chosen)
        victims += chosen
        after = rows[-1].seq
    return victims
