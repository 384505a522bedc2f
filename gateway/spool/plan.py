"""Decides one transaction: who is stored, what is deleted, and what must be given up for it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Sequence
from typing import Final

from gateway.config.models import DatabaseSettings
from gateway.errors import BadBatch
from gateway.spool.agenda import Agenda
from gateway.spool.blocks import Left
from gateway.spool.budget.retention import Admission, StoredSize, admit, choose_victims
from gateway.spool.commit import Group
from gateway.spool.ledger.losses import (
    gaps_of_blocks,
    gaps_of_rows,
    gaps_of_unreadable,
    gaps_of_unreadable_blocks,
    gaps_of_waiting,
)
from gateway.spool.line import Waiting
from gateway.spool.rows import counted
from gateway.spool.spoolfile import SpoolFile

__all__ = ["decide"]

SEEN_NS: Final = 60_000_000_000
"""How often it is written when a device's last batch was accepted, at most."""

_CHUNK_ROWS: Final = 1024
MOST_TOUCHED: Final = 64
"""Blocks of which one transaction notes what was taken."""

_SIZES: Final = """
    SELECT seq, readings, bytes, 0 FROM batches WHERE seq > :after
    UNION ALL
    SELECT b.last, l.readings, b.bytes, 1 FROM blocks AS b LEFT JOIN block_left AS l USING (last) WHERE b.last > :after
    ORDER BY 1 LIMIT :rows
"""
_LEFT: Final = (
    "SELECT last, first, sizes FROM blocks JOIN block_left USING (last) WHERE last >= ? ORDER BY last LIMIT 1"
)
# What could not be read was counted when it was set aside.
_ASIDE_SIZES: Final = """
    SELECT seq, CASE cause WHEN 'corrupt' THEN 0 ELSE readings END, bytes, 0 FROM set_aside
    WHERE seq > :after ORDER BY seq LIMIT :rows
"""


async def decide(
    file: SpoolFile,
    settings: DatabaseSettings,
    agenda: Agenda,
    *,
    taken: Sequence[Waiting],
    spare_the_stored: bool,
    thins: Callable[[], bool],
    spent: int,
    now_ns: int,
) -> Group | None:
    """The next transaction; None where there is nothing to do.

    Args:
        file: where it will be carried out.
        settings: the budget.
        agenda: what is to be done beside that.
        taken: what waits to be stored, oldest first.
        spare_the_stored: where room is short, only delete what was delivered, and decide about the rest afterwards.
        thins: asked where stored readings would have to go: whether room is made without that. Then what arrives waits.
        spent: numbers up to this one were given.
        now_ns: UTC ns.
    """
    acked, given_up = agenda.acked, agenda.given_up
    unreadable, unreadable_blocks = agenda.unreadable, agenda.unreadable_blocks
    noted = agenda.noted.take()
    totals = file.totals
    waits = [waiting for waiting in taken if not waiting.passed]
    admission = admit(
        [len(waiting.data) for waiting in waits],
        used_bytes=totals.size_bytes + totals.aside_bytes,
        max_bytes=settings.max_bytes,
        when_full=settings.when_full,
    )
    if acked and spare_the_stored and (admission.refused or admission.to_free_bytes):
        taken, waits, admission = (), [], Admission(frozenset(), 0)
    if admission.to_free_bytes and thins():
        taken, waits, admission = (), [], Admission(frozenset(), 0)
    if not (waits or acked or unreadable or unreadable_blocks or agenda.marks or noted):
        return None
    left: list[Left] = []
    noted_acked: Sequence[int] = sorted(acked)[: agenda.most_deleted]
    if noted_acked and totals.blocks:
        left, noted_acked = await _left_after(file, noted_acked, unreadable_blocks)
    aside_victims = await _victims(file, _ASIDE_SIZES, admission.to_free_bytes)
    freed_bytes = sum(victim.size_bytes for victim in aside_victims)
    victims = await _victims(file, _SIZES, admission.to_free_bytes - freed_bytes)
    victim_rows = [victim for victim in victims if not victim.in_block]
    victim_blocks = [victim for victim in victims if victim.in_block and victim.seq not in unreadable_blocks]
    lost_rows = [victim for victim in victim_rows if victim.seq not in acked and victim.seq not in unreadable]
    left_in = {block.last: block for block in left}
    refused = [waits[index] for index in sorted(admission.refused)]
    lost = {
        "spool_full": sum(waiting.readings for waiting in refused)
        + sum(victim.readings for victim in aside_victims)
        + sum(counted(victim.readings) for victim in lost_rows)
        + sum(
            left_in[victim.seq].readings if victim.seq in left_in else counted(victim.readings)
            for victim in victim_blocks
        ),
        "corrupt": sum(unreadable.values()) + sum(unreadable_blocks.values()),
    }
    stored = [waiting for index, waiting in enumerate(waits) if index not in admission.refused]
    gaps = [
        *noted,
        *(given_up[seq] for seq in noted_acked if seq in given_up),
        *(gap for waiting in taken for gap in waiting.gaps),
        *await gaps_of_waiting([waiting for waiting in stored if waiting.set_aside], "set_aside"),
        *await gaps_of_unreadable(file, unreadable, "corrupt"),
        *await gaps_of_unreadable_blocks(file, unreadable_blocks, "corrupt", now_ns=now_ns),
        *await gaps_of_rows(file, lost_rows, "spool_full"),
        *await gaps_of_blocks(file, victim_blocks, "spool_full", left=left_in, now_ns=now_ns),
        *await gaps_of_waiting(refused, "spool_full"),
    ]
    return Group(
        after_seq=totals.last_seq,
        spent=spent,
        taken=len(taken),
        stored=stored,
        refused=refused,
        points=file.points.unsaved() if taken else (),
        acked=noted_acked,
        left=left,
        victims=[victim.seq for victim in victim_rows],
        victim_blocks=[victim.seq for victim in victim_blocks],
        aside_victims=[victim.seq for victim in aside_victims],
        unreadable=tuple(unreadable),
        unreadable_blocks=tuple(unreadable_blocks),
        lost={cause: count for cause, count in lost.items() if count},
        dropped={cause: file.dropped.get(cause, 0) + count for cause, count in lost.items() if count},
        marks={waiting.device: waiting.mark for waiting in taken if waiting.mark} | agenda.marks,
        seen={
            waiting.device: waiting.at_ns
            for waiting in stored
            if not 0 <= waiting.at_ns - file.seen.get(waiting.device, -SEEN_NS) < SEEN_NS
        },
        gaps=file.ledger.change(gaps, now_ns=now_ns),
        noted=len(noted),
    )


async def _left_after(
    file: SpoolFile, acked: Sequence[int], unreadable_blocks: Collection[int]
) -> tuple[list[Left], Sequence[int]]:
    """What is left of the blocks in which some of these numbers (ascending) stand, and the numbers that were looked at.

    Where the row that says what is left cannot be read, the block is to be set aside: it is as good as damaged, for
    nobody can say what of it was sent. `unreadable_blocks` are left alone.
    """
    changed: list[Left] = []
    at = 0
    while at < len(acked):
        if len(changed) == MOST_TOUCHED:
            return changed, acked[:at]
        rows = await file.fetch(_LEFT, (acked[at],))
        if not rows:
            break
        last, first, packed = rows[0]
        start = at
        at = bisect_right(acked, last, start)
        try:
            left = Left.read(last, first, packed)
        except BadBatch:
            continue  # `pending` finds the same, and sets the block aside.
        start = bisect_left(acked, first, start)
        if at > start and last not in unreadable_blocks:
            changed.append(left.without(acked[start:at]))
    return changed, acked


async def _victims(file: SpoolFile, sql: str, to_free_bytes: int) -> list[StoredSize]:
    victims: list[StoredSize] = []
    after = 0
    while to_free_bytes > 0:
        rows = [StoredSize(*row) for row in await file.fetch(sql, {"after": after, "rows": _CHUNK_ROWS})]
        if not rows:
            break
        chosen = choose_victims(rows, to_free_bytes=to_free_bytes)
        to_free_bytes -= sum(row.size_bytes for row in chosen)
        victims += chosen
        after = rows[-1].seq
    return victims
