"""What `tidegate check` says of a Modbus device: each request, and whether they fit into the poll interval."""

from __future__ import annotations

from typing import Final

from adapters.modbus.address import Table
from adapters.modbus.items import resolve
from adapters.modbus.planner import Request, plan_requests
from adapters.modbus.settings import ModbusSettings

__all__ = ["plan"]

_OWN_MS_PER_REQUEST: Final = 0.31
"""Measured: what pymodbus and we spend on a request, be it for 1 or 125 registers."""
_USUAL_ROUND_TRIP_MS: Final = 5.0
_MOST_LINES: Final = 40
_REFERENCE_RANGES: Final = {Table.INPUT: range(30_001, 40_000), Table.HOLDING: range(40_001, 50_000)}


def plan(settings: ModbusSettings) -> list[str]:
    """Lines for people: the requests of a cycle, an estimate of its time, and what looks like a slip."""
    items = resolve(settings)
    requests = plan_requests(items, max_registers=settings.max_registers, max_gap=settings.max_gap)
    lines = [_line(request) for request in requests[:_MOST_LINES]]
    if len(requests) > _MOST_LINES:
        lines.append(f"and {_many(len(requests) - _MOST_LINES, 'request')} more")
    cycle_ms = len(requests) * (_OWN_MS_PER_REQUEST + _USUAL_ROUND_TRIP_MS)
    lines.append(
        f"{_many(len(items), 'tag')} in {_many(len(requests), 'request')} every {settings.interval_s:g} s; "
        f"about {cycle_ms:.0f} ms a cycle if the device answers within {_USUAL_ROUND_TRIP_MS:g} ms"
    )
    if cycle_ms > settings.interval_s * 1000:
        lines.append("that is more than the interval: polls will be left out; raise interval_s or max_gap")
    lines += [
        f"tag '{tag.name}': address {tag.address} is taken as counted from 0; if it is the manual's reference, "
        f"write '{tag.address}' in quotes"
        for tag, item in zip(settings.tags, items, strict=True)
        if isinstance(tag.address, int) and tag.address in _REFERENCE_RANGES.get(item.table, ())
    ]
    return lines


def _line(request: Request) -> str:
    first, last = request.items[0].name, request.items[-1].name
    names = first if len(request.items) == 1 else f"{first} to {last}"
    asked = _many(request.count, "bit" if request.table.is_bits else "register")
    return f"unit {request.unit_id}, {request}: {asked} for {_many(len(request.items), 'tag')} ({names})"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
