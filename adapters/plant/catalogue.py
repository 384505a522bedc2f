"""Where each signal of the plant is served: OPC UA nodes and Modbus registers. Pure tables, and their packing.

The servers publish what stands here, and `adapters.plant.config` makes the gateway's tags from the same tables, so the
two cannot drift apart.

    OPC UA, namespace 2     Press.*, Line.*           and Load.0001, Load.0002 ... on request
    Modbus unit 1           the tank                  target level is a writable holding register
    Modbus unit 2           the line
    Modbus unit 3           a running counter in N input registers, on request
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

from adapters.plant.signals import PlantState

__all__ = [
    "LINE",
    "LINE_UNIT",
    "LOAD_NODE",
    "LOAD_REGISTER_ADDRESS",
    "LOAD_UNIT",
    "NAMESPACE",
    "NODES",
    "TANK",
    "TANK_TARGET_ADDRESS",
    "TANK_UNIT",
    "Node",
    "NodeType",
    "Register",
    "Table",
    "load_node",
    "pack_bits",
    "pack_words",
    "words",
]

NodeType = Literal["Boolean", "UInt32", "Int64", "Float", "Double", "String"]
Table = Literal["coil", "discrete", "holding", "input"]
RegisterType = Literal["bool", "uint16", "uint32", "float32"]

NAMESPACE: Final = 2
TANK_UNIT: Final = 1
LINE_UNIT: Final = 2
LOAD_UNIT: Final = 3
TANK_TARGET_ADDRESS: Final = 0
LOAD_REGISTER_ADDRESS: Final = 0
LOAD_NODE: Final = "Load"

_FORMATS: Final[dict[str, struct.Struct]] = {
    "uint16": struct.Struct(">H"),
    "uint32": struct.Struct(">I"),
    "float32": struct.Struct(">f"),
}


class Node(NamedTuple):
    """One OPC UA variable: its identifier, its type, the gateway's tag for it, and its value."""

    identifier: str
    type: NodeType
    tag: str
    unit: str
    value: Callable[[PlantState], bool | int | float | str]


class Register(NamedTuple):
    """One Modbus value: where it stands, its type, the gateway's tag for it, and its value."""

    table: Table
    address: int
    type: RegisterType
    tag: str
    unit: str
    value: Callable[[PlantState], bool | int | float]


NODES: Final = (
    Node("Press.Running", "Boolean", "running", "", lambda s: s.press.running),
    Node("Press.Strokes", "UInt32", "strokes", "", lambda s: s.press.strokes),
    Node("Press.Parts", "UInt32", "parts", "", lambda s: s.press.parts),
    Node("Press.Force", "Double", "force", "kN", lambda s: s.press.force_kn),
    Node("Press.OilTemperature", "Float", "oil-temperature", "°C", lambda s: s.press.oil_c),
    Node("Press.State", "String", "state", "", lambda s: "RUN" if s.press.running else "STOP"),
    Node("Line.State", "String", "line-state", "", lambda s: s.line.state.name),
    Node("Line.Alarm", "String", "line-alarm", "", lambda s: s.line.alarm),
    Node("Line.Speed", "Double", "line-speed", "1/min", lambda s: s.line.speed_per_min),
    Node("Line.Units", "Int64", "line-units", "", lambda s: s.line.units),
)

TANK: Final = (
    Register("input", 0, "float32", "level", "%", lambda s: s.tank.level_pct),
    Register("input", 2, "float32", "inflow", "m³/s", lambda s: s.tank.inflow_m3_s),
    Register("input", 4, "float32", "outflow", "m³/s", lambda s: s.tank.outflow_m3_s),
    Register("input", 6, "float32", "temperature", "°C", lambda s: s.tank.temperature_c),
    Register("holding", TANK_TARGET_ADDRESS, "uint16", "level-target", "%", lambda s: round(s.tank.target_pct)),
    Register("coil", 0, "bool", "drain-valve", "", lambda s: s.tank.valve_open),
    Register("discrete", 0, "bool", "level-alarm", "", lambda s: s.tank.level_alarm),
)

LINE: Final = (
    Register("input", 0, "uint16", "state", "", lambda s: int(s.line.state)),
    Register("input", 1, "uint16", "alarm-number", "", lambda s: s.line.alarm_number),
    Register("input", 2, "float32", "speed", "1/min", lambda s: s.line.speed_per_min),
    Register("input", 4, "uint32", "units", "", lambda s: s.line.units),
    Register("input", 6, "uint32", "energy", "Wh", lambda s: s.line.energy_wh),
    Register("holding", 0, "uint16", "faults", "", lambda s: s.line.faults),
    Register("coil", 0, "bool", "running", "", lambda s: not s.line.alarm),
    Register("discrete", 0, "bool", "fault", "", lambda s: bool(s.line.alarm)),
)


def load_node(number: int) -> str:
    """The identifier of a counter node, from 1: `Load.0001`."""
    return f"{LOAD_NODE}.{number:04d}"


def words(registers: Sequence[Register], table: Table) -> int:
    """How many 16-bit registers (or bits) of this table are in use, counted from address 0."""
    return max((r.address + _width(r) for r in registers if r.table == table), default=0)


def pack_words(registers: Sequence[Register], table: Table, state: PlantState) -> list[int]:
    """The content of a register table from address 0; values of two registers have their high word first (ABCD)."""
    image = bytearray(2 * words(registers, table))
    for register in registers:
        if register.table == table:
            _FORMATS[register.type].pack_into(image, 2 * register.address, register.value(state))
    return [word for (word,) in struct.iter_unpack(">H", image)]


def pack_bits(registers: Sequence[Register], table: Table, state: PlantState) -> list[bool]:
    """The content of a coil or discrete table from address 0."""
    image = [False] * words(registers, table)
    for register in registers:
        if register.table == table:
            image[register.address] = bool(register.value(state))
    return image


def _width(register: Register) -> int:
    return 1 if register.type == "bool" else _FORMATS[register.type].size // 2
