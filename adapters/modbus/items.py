"""A tag with every default filled in, and the mistakes that no single key shows.

`resolve` is right only for settings in which `check` finds nothing; it is what planner and decoder work with.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Final

from adapters.base import PointSpec
from adapters.modbus import endpoint
from adapters.modbus.address import ADDRESSES, AddressError, Table, parse_address
from adapters.modbus.settings import ByteOrder, ModbusSettings, ModbusTag, TypeName
from gateway.batch import Kind

__all__ = ["BYTES_SWAPPED", "REGISTERS", "WORDS_SWAPPED", "Item", "check", "points", "resolve"]

REGISTERS: Final[dict[TypeName, int]] = {
    "bool": 1,
    "int16": 1,
    "uint16": 1,
    "int32": 2,
    "uint32": 2,
    "float32": 2,
    "int64": 4,
    "uint64": 4,
    "float64": 4,
    "bcd16": 1,
    "bcd32": 2,
    "uint8_low": 1,
    "uint8_high": 1,
    "int8_low": 1,
    "int8_high": 1,
}
"""How many a value takes, but for a string."""
_KINDS: Final[dict[TypeName, Kind]] = {
    "bool": Kind.BOOL,
    "int16": Kind.I64,
    "int32": Kind.I64,
    "int64": Kind.I64,
    "uint16": Kind.U64,
    "uint32": Kind.U64,
    "uint64": Kind.U64,
    "bcd16": Kind.U64,
    "bcd32": Kind.U64,
    "float32": Kind.F64,
    "float64": Kind.F64,
    "string": Kind.STR,
    "uint8_low": Kind.U64,
    "uint8_high": Kind.U64,
    "int8_low": Kind.I64,
    "int8_high": Kind.I64,
}
WORDS_SWAPPED: Final[frozenset[ByteOrder]] = frozenset({"CDAB", "DCBA", "GHEFCDAB", "HGFEDCBA"})
"""Orders in which the least significant register comes first."""
BYTES_SWAPPED: Final[frozenset[ByteOrder]] = frozenset({"BA", "BADC", "DCBA", "BADCFEHG", "HGFEDCBA"})
"""Orders in which the least significant byte of each register comes first."""


@dataclass(frozen=True, slots=True)
class Item:
    """One tag as planner and decoder see it.

    Attributes:
        index: position among the device's tags, and so in `Context.points`.
        address: first register or bit, counted from 0.
        count: registers (or bits of a bit table) that the value takes.
        bit: bit of the register for a bool; None: the whole register, compared with 0.
        words_swapped: the least significant register comes first.
        bytes_swapped: the least significant byte of each register comes first.
        affine: (scale, offset) where the tag asks for either.
        interval_s: the tag's scan class: seconds between two polls.
    """

    index: int
    name: str
    unit_id: int
    table: Table
    address: int
    count: int
    type: TypeName
    bit: int | None = None
    length: int = 0
    words_swapped: bool = False
    bytes_swapped: bool = False
    affine: tuple[float, float] | None = None
    interval_s: float = 1.0

    @property
    def end(self) -> int:
        """The address after the last one."""
        return self.address + self.count

    @property
    def byte(self) -> int | None:
        """Which byte of the register the value is, 0 the lower; None where it is none."""
        if not self.type.endswith(("_low", "_high")):
            return None
        return int(self.type.endswith("_high") != self.bytes_swapped)

    @property
    def mask(self) -> int:
        """The bits of the register that the value is; all of them where it is no bit and no byte."""
        if self.bit is not None:
            return 1 << (self.bit ^ 8 if self.bytes_swapped else self.bit)
        return 0xFFFF if self.byte is None else 0xFF << 8 * self.byte

    @property
    def kind(self) -> Kind:
        """The kind of the tag's good readings."""
        return Kind.F64 if self.affine else _KINDS[self.type]


def check(settings: ModbusSettings) -> list[tuple[str, str]]:
    """What is wrong although each key is right by itself, as (key path below the device, what to do)."""
    problems = endpoint.check(settings)
    times = Counter(tag.name for tag in settings.tags)
    for index, tag in enumerate(settings.tags):
        where = f"tags[{index}]"
        if times[tag.name] > 1:
            problems.append((f"{where}.name", f"'{tag.name}' is given {times[tag.name]} times; names must differ"))
        problems += [(f"{where}.{key}", what) for key, what in _check_tag(settings, index, tag)]
    return problems


def points(settings: ModbusSettings) -> list[PointSpec]:
    """The device's points, in the order of its tags."""
    return [
        PointSpec(tag.name, tag.unit, item.kind, settings.thin_error_of(tag))
        for tag, item in zip(settings.tags, resolve(settings), strict=True)
    ]


def resolve(settings: ModbusSettings) -> list[Item]:
    """The device's tags with every default filled in.

    Raises:
        AddressError: an address cannot be understood (`check` says so beforehand).
    """
    return [_resolve_tag(settings, index, tag) for index, tag in enumerate(settings.tags)]


def _resolve_tag(settings: ModbusSettings, index: int, tag: ModbusTag) -> Item:
    address = parse_address(tag.address)
    table = Table[tag.register.upper()] if tag.register else address.table or Table.HOLDING
    type_ = _type(tag, table)
    order = tag.byte_order or settings.byte_order
    affine = None
    if tag.scale is not None or tag.offset is not None:
        affine = (1.0 if tag.scale is None else tag.scale, tag.offset or 0.0)
    return Item(
        index=index,
        name=tag.name,
        unit_id=settings.unit_id if tag.unit_id is None else tag.unit_id,
        table=table,
        address=address.number,
        count=REGISTERS.get(type_, ((tag.length or 0) + 1) // 2),
        type=type_,
        bit=tag.bit,
        length=tag.length or 0,
        words_swapped=order in WORDS_SWAPPED,
        bytes_swapped=order in BYTES_SWAPPED,
        affine=affine,
        interval_s=settings.interval_s if tag.interval_s is None else tag.interval_s,
    )


def _type(tag: ModbusTag, table: Table) -> TypeName:
    if tag.type is not None:
        return tag.type
    return "bool" if table.is_bits or tag.bit is not None else "uint16"


def _check_tag(settings: ModbusSettings, index: int, tag: ModbusTag) -> list[tuple[str, str]]:
    try:
        address = parse_address(tag.address)
        item = _resolve_tag(settings, index, tag)
    except AddressError as error:
        return [("address", str(error))]
    problems = []
    if tag.register and address.table not in (None, item.table):
        what = (
            f"'{tag.address}' is the reference of {_article(address.table)}, but register is '{tag.register}'; "
            "leave register out, or write the address as a number counted from 0"
        )
        problems.append(("address", what))
    if item.end > ADDRESSES:
        problems.append(("address", f"the value needs {item.count} registers and would end after address 65535"))
    if item.type == "string" and not tag.length:
        problems.append(("length", "a string needs its length in bytes"))
    if item.type != "string" and tag.length:
        problems.append(("length", f"only a string has a length; this tag is {item.type}"))
    if item.table.is_bits and item.type != "bool":
        problems.append(("type", f"a {item.table.word} is a bool, not {item.type}; leave type out"))
    elif not item.table.is_bits and item.count > settings.max_registers:
        problems.append(
            ("type", f"the value needs {item.count} registers at once, but max_registers is {settings.max_registers}")
        )
    if tag.bit is not None and (item.table.is_bits or item.type != "bool"):
        problems.append(("bit", "only a bool out of a holding or input register has a bit"))
    problems += _check_order(tag, item)
    problems += _check_affine(tag, item)
    return problems


def _article(table: Table | None) -> str:
    assert table is not None
    return f"an {table.word} register" if table is Table.INPUT else f"a {table.word}"


def _check_order(tag: ModbusTag, item: Item) -> list[tuple[str, str]]:
    order = tag.byte_order
    if order is None:
        return []
    if item.table.is_bits:
        return [("byte_order", f"a {item.table.word} has no byte order; leave it out")]
    if len(order) == 8 and item.count != 4:
        return [("byte_order", f"'{order}' is for values of 8 bytes; {item.type} has another size")]
    if len(order) == 2 and item.count != 1:
        return [("byte_order", f"'{order}' is for values of one register; {item.type} has another size")]
    return []


def _check_affine(tag: ModbusTag, item: Item) -> list[tuple[str, str]]:
    problems = []
    for key, number in (("scale", tag.scale), ("offset", tag.offset)):
        if number is None:
            continue
        if item.type in ("bool", "string"):
            problems.append((key, f"only numbers can be scaled; this tag is {item.type}"))
        elif not math.isfinite(number):
            problems.append((key, f"{number} is not a number to calculate with"))
        elif key == "scale" and number == 0:
            problems.append((key, "0 would make every reading the same; leave it out for no scaling"))
    return problems
