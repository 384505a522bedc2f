"""Which requests read a device's tags. Pure: no input and output, no clock.

Invariants
- Each tag lies in exactly one request, whole; no request is without a tag, or has tags of two scan classes.
- A request stays within the limits of its table: `max_registers`, or 16 bits for each of them, at most 125 registers
  and 2,000 bits (MODBUS Application Protocol V1.1b3, 6.1 to 6.4).
- Requests are ordered by unit, scan class, table and address; so are the tags in each.

A request that the device refuses is split, first where it reads along what nobody asked for, then in halves. Pieces are
never joined again: some devices take fewer registers at once than the standard lets them, and would refuse for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from adapters.modbus.address import Table
from adapters.modbus.items import Item

__all__ = ["Request", "plan_requests", "split"]

_BITS_PER_REGISTER: Final = 16


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One read, and the tags it serves. Compared by identity: it is the key of what was prepared and learned for it."""

    unit_id: int
    table: Table
    address: int
    count: int
    items: tuple[Item, ...]

    @property
    def interval_s(self) -> float:
        """Its scan class: seconds between two polls."""
        return self.items[0].interval_s

    def __str__(self) -> str:
        last = f" to {self.address + self.count - 1}" if self.count > 1 else ""
        return f"function {self.table.value}, {self.table.word} {self.address}{last}"


def plan_requests(items: Iterable[Item], *, max_registers: int, max_gap: int) -> list[Request]:
    """The requests that read these tags.

    Args:
        items: the tags, in any order.
        max_registers: most registers of one request.
        max_gap: registers nobody asked for that may be read along to join two requests.
    """
    ordered = sorted(
        items, key=lambda item: (item.unit_id, item.interval_s, item.table, item.address, item.end, item.index)
    )
    requests: list[Request] = []
    for (_, _, table), group in groupby(ordered, key=lambda item: (item.unit_id, item.interval_s, item.table)):
        scale = _BITS_PER_REGISTER if table.is_bits else 1
        requests += _blocks(group, limit=max_registers * scale, gap=max_gap * scale)
    return requests


def split(request: Request) -> tuple[Request, ...]:
    """Two smaller requests for the same tags; empty where all its tags share one place and nothing can be left out.

    The cut leaves out the widest gap, the likeliest cause of a refusal; without gaps it is made in the middle.
    """
    items = request.items
    middle = len(items) // 2
    best: tuple[int, int] | None = None
    cut = 0
    end = items[0].end
    for i in range(1, len(items)):
        before, item = items[i - 1], items[i]
        if (before.address, before.end) != (item.address, item.end):
            worth = (max(item.address - end, 0), -abs(i - middle))
            if best is None or worth > best:
                best, cut = worth, i
        end = max(end, item.end)
    return (_request(items[:cut]), _request(items[cut:])) if cut else ()


def _blocks(items: Iterable[Item], *, limit: int, gap: int) -> Iterable[Request]:
    block: list[Item] = []
    start = end = 0
    for item in items:
        new_end = max(end, item.end)
        if block and (item.address - end > gap or new_end - start > limit):
            yield _request(block)
            block = []
        if not block:
            start, new_end = item.address, item.end
        block.append(item)
        end = new_end
    if block:
        yield _request(block)


def _request(items: Sequence[Item]) -> Request:
    first = items[0]
    start = min(item.address for item in items)
    count = max(item.end for item in items) - start
    return Request(first.unit_id, first.table, start, count, tuple(items))
