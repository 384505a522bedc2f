"""What `tidegate check` says of a Modbus device: each request, and whether they fit into the poll interval."""

from __future__ import annotations

from typing import Final

from adapters.modbus.address import Table, parse_address
from adapters.modbus.items import Item, resolve
from adapters.modbus.planner import Request, plan_requests
from adapters.modbus.settings import ModbusSettings, ModbusTag
from gateway.config.words import many

__all__ = ["plan"]

_OWN_MS_PER_REQUEST: Final = 0.31
"""Measured: what pymodbus and we spend on a request, be it for 1 or 125 registers."""
_USUAL_ROUND_TRIP_MS: Final = 5.0
_MOST_LINES: Final = 40
_MOST_SLIPS: Final = 8
_REFERENCE_RANGES: Final = {
    Table.DISCRETE: range(10_001, 20_000),
    Table.INPUT: range(30_001, 40_000),
    Table.HOLDING: range(40_001, 50_000),
}


def plan(settings: ModbusSettings) -> list[str]:
    """Lines for people: what looks like a slip, the requests of a cycle, and an estimate of its time."""
    items = resolve(settings)
    requests = plan_requests(items, max_registers=settings.max_registers, max_gap=settings.max_gap)
    slips = [_slip(tag.name, item) for tag, item in zip(settings.tags, items, strict=True) if _is_suspect(tag, item)]
    lines = slips[:_MOST_SLIPS]
    if len(slips) > _MOST_SLIPS:
        lines.append(f"note: and so {many(len(slips) - _MOST_SLIPS, 'tag')} more")
    lines += [_line(request) for request in requests[:_MOST_LINES]]
    if len(requests) > _MOST_LINES:
        lines.append(f"and {many(len(requests) - _MOST_LINES, 'request')} more")
    cycle_ms = len(requests) * (_OWN_MS_PER_REQUEST + _USUAL_ROUND_TRIP_MS)
    lines.append(
        f"{many(len(items), 'tag')} in {many(len(requests), 'request')} every {settings.interval_s:g} s; "
        f"about {cycle_ms:.0f} ms a cycle if the device answers within {_USUAL_ROUND_TRIP_MS:g} ms"
    )
    if cycle_ms > settings.interval_s * 1000:
        lines.append("that is more than the interval: polls will be left out; raise interval_s or max_gap")
    return lines


def _is_suspect(tag: ModbusTag, item: Item) -> bool:
    """Whether a number looks like a manual's reference: for its own registers, or for any where none are named."""
    ranges = _REFERENCE_RANGES.values() if tag.register is None else (_REFERENCE_RANGES.get(item.table, range(0)),)
    return isinstance(tag.address, int) and any(tag.address in one for one in ranges)


def _slip(name: str, item: Item) -> str:
    number = item.address
    meant = parse_address(str(number))
    assert meant.table is not None
    return (
        f"note: tag '{name}' is {item.table.word} {number}, counted from 0 (if the manual says {number}, write "
        f'address = "{number}": that is {meant.table.word} {meant.number})'
    )


def _line(request: Request) -> str:
    first, last = request.items[0].name, request.items[-1].name
    names = first if len(request.items) == 1 else f"{first} to {last}"
    asked = many(request.count, "bit" if request.table.is_bits else "register")
    return f"unit {request.unit_id}, {request}: {asked} for {many(len(request.items), 'tag')} ({names})"
