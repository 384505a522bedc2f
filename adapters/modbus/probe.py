"""`tidegate probe modbus`: reads some registers a few times and shows them in every way they can be read."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from adapters.modbus import texts
from adapters.modbus.address import Table
from adapters.modbus.detective import Candidate, Number, rank
from adapters.modbus.endpoint import endpoint_of
from adapters.modbus.errors import Refused, Silent, Unreachable
from adapters.modbus.line import Line
from adapters.modbus.planner import Request
from adapters.modbus.settings import ModbusSettings
from gateway.errors import SourceLost, TidegateError

__all__ = ["WIDTH", "Probe", "probe", "probe_json", "probe_text"]

WIDTH: Final = 80
_SHOWN: Final = 10
_LEAST_SCORE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Probe:
    """What was read.

    Attributes:
        where: the device's address.
        request: what was asked.
        reads: the registers, each time.
        ranking: every way to read them, the most plausible first.
    """

    where: str
    request: Request
    reads: list[list[int]]
    ranking: list[Candidate]


async def probe(
    settings: ModbusSettings,
    *,
    unit_id: int,
    table: Table,
    address: int,
    count: int,
    times: int,
    every_s: float,
    low: float | None,
    high: float | None,
) -> Probe:
    """Reads registers.

    Args:
        settings: the device, free of mistakes in what concerns its connection.
        unit_id: the unit.
        table: holding or input.
        address: the first, counted from 0.
        count: how many.
        times: how often.
        every_s: pause between two reads.
        low: the least value expected.
        high: the greatest value expected.

    Raises:
        SourceLost: no connection, or no answer.
        TidegateError: the device refuses; the text says what.
    """
    request = Request(unit_id, table, address, count, ())
    line = Line(settings, own=True)
    reads: list[list[int]] = []
    try:
        for turn in range(times):
            if turn:
                await asyncio.sleep(every_s)
            reads.append([*await line.read(request)])
    except Unreachable as failure:
        raise SourceLost(texts.no_connection(settings, failure)) from None
    except Silent as failure:
        raise SourceLost(texts.no_answer(settings, [unit_id], causes=[failure.cause])) from None
    except Refused as refusal:
        raise TidegateError(texts.refused(settings, request, refusal)) from None
    finally:
        line.end()
        await asyncio.sleep(0)  # the event loop closes an aborted connection's socket in its next turn
    return Probe(str(endpoint_of(settings)), request, reads, rank(reads, low=low, high=high))


def probe_text(found: Probe, *, whole: bool = False) -> str:
    """The ranking for people, at most 80 columns wide.

    Args:
        found: what was read.
        whole: all ways to read it, not only the plausible ones.
    """
    request, last = found.request, found.reads[-1]
    changes = "they change" if any(read != last for read in found.reads) else "they do not change"
    head = f"unit {request.unit_id}, {request}, of {found.where}: read {len(found.reads)} times, {changes}"
    lines = [
        *textwrap.wrap(head, WIDTH, break_long_words=False),
        *_hexadecimal(last),
        "",
        f"{'':>3} {'score':>5}  {'type':8}{'order':9}{'address':>7}  {'value':<16} {'why'}",
    ]
    shown = found.ranking if whole else _plausible(found.ranking)
    for place, one in enumerate(shown, 1):
        head = f"{place:>3} {100 * one.score:>4.0f}%  {one.type:8}{one.byte_order:9}{request.address + one.offset:>7}  "
        text = f"{head}{_shown(one.values[-1]):<16} {', '.join(one.why)}"
        lines.append(text[:WIDTH].rstrip())
    if len(shown) < len(found.ranking):
        lines.append(f"    and {len(found.ranking) - len(shown)} that are less plausible; --all shows them")
    if found.ranking[0].score >= _LEAST_SCORE:
        lines += ["", "As a tag, if the first is right:", "", *_tag(found)]
    return "\n".join(lines)


def probe_json(found: Probe) -> dict[str, Any]:
    """The same as plain data, whole."""
    request = found.request
    return {
        "device": found.where,
        "unit_id": request.unit_id,
        "register": request.table.word,
        "address": request.address,
        "reads": found.reads,
        "candidates": [
            {
                "type": one.type,
                "byte_order": one.byte_order,
                "address": request.address + one.offset,
                "scale": one.scale,
                "score": one.score,
                "values": [None if isinstance(value, float) and not isfinite(value) else value for value in one.values],
                "why": [*one.why],
            }
            for one in found.ranking
        ],
    }


def _plausible(ranking: Sequence[Candidate]) -> list[Candidate]:
    """The best, each value once: what reads the same under two names is the same news."""
    shown: list[Candidate] = []
    known = set()
    for one in ranking:
        key = (one.offset, one.values)
        if one.score < _LEAST_SCORE or key in known:
            continue
        known.add(key)
        shown.append(one)
    return shown[:_SHOWN] or [*ranking[:_SHOWN]]


def _hexadecimal(words: Sequence[int]) -> list[str]:
    texts_ = [f"{word:04x}" for word in words]
    return ["last: " + " ".join(texts_[i : i + 12]) for i in range(0, len(texts_), 12)]


def _shown(value: Number) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return repr(value if len(value) <= 14 else f"{value[:11]}...")
    if isinstance(value, int):
        return str(value) if abs(value) < 10**15 else f"{value:.9g}"
    return f"{value:.7g}"


def _tag(found: Probe) -> list[str]:
    best, request = found.ranking[0], found.request
    keys = [
        "[[devices.tags]]",
        'name = "..."',
        f'register = "{request.table.word}"',
        f"address = {request.address + best.offset}",
        f'type = "{best.type}"',
    ]
    if best.type == "string":
        keys.append(f"length = {2 * request.count}")
    if best.byte_order not in ("AB", "ABCD", "ABCDEFGH"):
        keys.append(f'byte_order = "{best.byte_order}"')
    if best.scale != 1.0:
        keys.append(f"scale = {best.scale:g}")
    return keys
