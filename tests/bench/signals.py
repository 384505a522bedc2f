"""Batches as plants send them, for the bench of the spool: (time of acceptance, device, batch), rising.

`polled_plant` reads many of the plant's machines through few devices, each in one go; `scattered_plant` reads each
machine by itself, with every request's own time, and sends what has changed in OPC UA. `one_kind` has signals of one
kind.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple

from adapters.plant.catalogue import LINE, NODES, TANK
from adapters.plant.signals import PlantState, advance
from gateway.batch import Batch, Flag, Kind, Reading

START_NS = 1_795_442_400_000_000_000
SECOND_NS = 1_000_000_000
CELL_TAGS = len(NODES) + len(TANK) + len(LINE)
_NODE_KINDS = {"Boolean": Kind.BOOL, "UInt32": Kind.U64, "Int64": Kind.I64, "String": Kind.STR}
_REGISTER_KINDS = {"bool": Kind.BOOL, "uint16": Kind.U64, "uint32": Kind.U64}


class Sent(NamedTuple):
    at_ns: int
    device: str
    batch: Batch


def polled_plant(*, devices: int, cells: int, seconds: int) -> Iterator[Sent]:
    """Each device has `cells` cells of 25 tags and is read once a second."""
    random = Random(1)
    states = _settled(devices * cells, random)
    for second in range(seconds):
        for device in range(devices):
            ts_ns = START_NS + second * SECOND_NS + device * 73_000_000 + random.randint(0, 2_000_000)
            readings: list[Reading] = []
            for cell in range(device * cells, (device + 1) * cells):
                state = states[cell] = advance(states[cell], dt_s=1.0, random=random)
                readings += _nodes(state, ts_ns, cell)
                readings += _registers(TANK, state, lambda _, ts_ns=ts_ns: ts_ns, cell, len(NODES))
                readings += _registers(LINE, state, lambda _, ts_ns=ts_ns: ts_ns, cell, len(NODES) + len(TANK))
            yield Sent(ts_ns + random.randint(1_000_000, 9_000_000), f"device-{device}", Batch.of(readings))


def scattered_plant(*, cells: int, seconds: int, rate_hz: int = 20) -> Iterator[Sent]:
    """Three devices a cell: the press by subscription, ten times a second; tank and line polled five times a second."""
    random = Random(2)
    states = _settled(cells, random)
    offsets = [random.randint(0, 40_000_000) for _ in range(cells)]
    written: list[dict[int, object]] = [{} for _ in range(cells)]
    changed: list[list[Reading]] = [[] for _ in range(cells)]
    for tick in range(seconds * rate_hz):
        sent: list[Sent] = []
        for cell in range(cells):
            state = states[cell] = advance(states[cell], dt_s=1 / rate_hz, random=random)
            now_ns = START_NS + tick * SECOND_NS // rate_hz + offsets[cell]
            for reading in _nodes(state, now_ns // 1000 * 1000 + random.randint(0, 2_000) * 1000, cell):
                if written[cell].get(reading.point) != reading.value:
                    written[cell][reading.point] = reading.value
                    changed[cell].append(reading)
            if tick % 2 == cell % 2 and changed[cell]:
                sent.append(Sent(now_ns + random.randint(1, 8) * 999_999, f"press-{cell}", Batch.of(changed[cell])))
                changed[cell] = []
            if tick % 4 == cell % 4:
                place = len(NODES)
                for name, registers in (("tank", TANK), ("line", LINE)):
                    answered = _Answers(now_ns, random)
                    batch = Batch.of(_registers(registers, state, answered, cell, place))
                    sent.append(Sent(answered.last_ns + random.randint(100_000, 3_000_000), f"{name}-{cell}", batch))
                    place += len(registers)
        yield from sorted(sent, key=lambda one: one.at_ns)


def one_kind(name: str, *, tags: int = 1000, seconds: int = 32) -> Iterator[Sent]:
    """One device with `tags` signals of one kind, read once a second."""
    random = Random(3)
    values: dict[str, tuple[Kind, Callable[[int, int], object]]] = {
        "constant": (Kind.F64, lambda _, tag: 20.5 + tag),
        "noise, 64 bits": (Kind.F64, lambda _, __: random.gauss(50, 5)),
        "noise, 32 bits": (Kind.F64, lambda _, __: _f32(random.gauss(50, 5))),
        "two decimals": (Kind.F64, lambda s, tag: round(50 + 10 * math.sin(s / 30 + tag) + random.gauss(0, 0.05), 2)),
        "counter": (Kind.U64, lambda s, tag: s * (1 + tag % 7) + random.randint(0, 1)),
        "text": (Kind.STR, lambda s, _: random.choice(["RUN", "STOP", "Jam at infeed", f"order {s // 10}"])),
    }
    kind, value = values[name]
    for second in range(seconds):
        ts_ns = START_NS + second * SECOND_NS + random.randint(0, 2_000_000)
        readings = [Reading(ts_ns, value(second, tag), tag, kind=kind) for tag in range(1, tags + 1)]  # type: ignore[arg-type]
        yield Sent(ts_ns + random.randint(1_000_000, 9_000_000), "plc", Batch.of(readings))


KINDS = ("constant", "counter", "two decimals", "noise, 32 bits", "noise, 64 bits", "text")


class _Answers:
    """One request a table, each answered in its own time."""

    def __init__(self, now_ns: int, random: Random) -> None:
        self.last_ns = now_ns
        self._random = random
        self._table = ""

    def __call__(self, table: str) -> int:
        if table != self._table:
            self._table = table
            self.last_ns += self._random.randint(250_000, 900_000)
        return self.last_ns


def _settled(cells: int, random: Random) -> list[PlantState]:
    """Plants that have run for a while, each for another time."""
    states = [PlantState() for _ in range(cells)]
    for cell in range(cells):
        for _ in range(random.randint(50, 400)):
            states[cell] = advance(states[cell], dt_s=0.5, random=random)
    return states


def _nodes(state: PlantState, ts_ns: int, cell: int) -> list[Reading]:
    found = []
    for place, node in enumerate(NODES):
        value = node.value(state)
        kind = _NODE_KINDS.get(node.type, Kind.F64)
        value = _f32(float(value)) if node.type == "Float" else value
        found.append(Reading(ts_ns, value, cell * CELL_TAGS + place + 1, kind=kind))
    return found


def _registers(registers, state: PlantState, answered: Callable[[str], int], cell: int, first: int) -> list[Reading]:
    found = []
    for place, register in enumerate(registers):
        value = register.value(state)
        value = _f32(value) if register.type == "float32" else value
        kind = _REGISTER_KINDS.get(register.type, Kind.F64)
        point = cell * CELL_TAGS + first + place + 1
        found.append(Reading(answered(register.table), value, point, kind=kind, flags=Flag.GATEWAY_TIME))
    return found


def _f32(value: float) -> float:
    number: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return number
