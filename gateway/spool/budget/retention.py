"""What is given up when the spool is full. Pure decisions; whoever carries them out also counts what they cost.

The budget is on the payload bytes of all stored rows and blocks, those set aside included. With `drop_oldest` what was
set aside goes first, for nobody waits for it, then the oldest that is pending; a block goes as one. With `drop_newest`
what arrives is refused until the broker has taken something. With `thin` what arrives waits while old blocks are
thinned (`thinner.py`); when nothing is left to be thinned, it is `drop_oldest`. A batch that is larger than the whole
budget is refused either way: to make room for it would cost everything and not be enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

__all__ = ["Admission", "StoredSize", "admit", "choose_victims"]


class StoredSize(NamedTuple):
    """What retention needs to know of one stored row, or block of rows.

    Attributes:
        seq: its number; a block's last.
        readings: those that wait in it.
        size_bytes: what it takes.
        in_block: whether it is a block.
    """

    seq: int
    readings: int
    size_bytes: int
    in_block: int = 0


class Admission(NamedTuple):
    """What becomes of a group of arriving batches.

    Attributes:
        refused: indexes of the arrivals that are not stored.
        to_free_bytes: what stored rows must give back before the others fit; 0 where there is room.
    """

    refused: frozenset[int]
    to_free_bytes: int


def admit(
    sizes_bytes: Sequence[int],
    *,
    used_bytes: int,
    max_bytes: int,
    when_full: Literal["drop_oldest", "drop_newest", "thin"],
) -> Admission:
    """Which arrivals are stored, and how much room must be made for them.

    Args:
        sizes_bytes: payload of each arrival, oldest first.
        used_bytes: payload of all stored rows.
        max_bytes: the budget.
        when_full: what the configuration says.
    """
    if used_bytes + sum(sizes_bytes) <= max_bytes:
        return Admission(frozenset(), 0)
    refused: set[int] = set()
    arrivals = range(len(sizes_bytes))
    if when_full == "drop_newest":
        room_bytes = max_bytes - used_bytes
        for index in arrivals:
            if sizes_bytes[index] <= room_bytes:
                room_bytes -= sizes_bytes[index]
            else:
                refused.add(index)
        return Admission(frozenset(refused), 0)
    room_bytes = max_bytes
    overtaken = False
    for index in reversed(arrivals):
        if sizes_bytes[index] > max_bytes:
            refused.add(index)
        elif overtaken or sizes_bytes[index] > room_bytes:
            # The group alone is larger than the budget: its own oldest batches are what drop_oldest would drop next.
            overtaken = True
            refused.add(index)
        else:
            room_bytes -= sizes_bytes[index]
    kept_bytes = max_bytes - room_bytes
    return Admission(frozenset(refused), max(0, used_bytes + kept_bytes - max_bytes))


def choose_victims(oldest_first: Iterable[StoredSize], *, to_free_bytes: int) -> list[StoredSize]:
    """The fewest rows from the front that give back enough; all of them where they are not enough."""
    victims: list[StoredSize] = []
    for row in oldest_first:
        if to_free_bytes <= 0:
            break
        victims.append(row)
        to_free_bytes -= row.size_bytes
    return victims
