"""The column decoder against a plain reading of one tag after the other."""

import math
import struct
from array import array
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.modbus.address import Table
from adapters.modbus.decode import Decoder, bad_record
from adapters.modbus.errors import NOT_BCD, NOT_FINITE, Fault
from adapters.modbus.items import resolve
from adapters.modbus.planner import plan_requests
from adapters.modbus.settings import ModbusSettings, ModbusTag
from gateway.batch import BAD_COMMUNICATION, GOOD, Batch, Flag, Kind, Reading

FORMATS = {
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
    "bcd16": "H",
    "bcd32": "I",
}
# What each name of an order means for values of 2, 4 and 8 bytes: which byte of the value comes first, second, ...
ORDERS = {
    "AB": {2: "AB"},
    "BA": {2: "BA"},
    "ABCD": {2: "AB", 4: "ABCD", 8: "ABCDEFGH"},
    "CDAB": {2: "AB", 4: "CDAB", 8: "GHEFCDAB"},
    "BADC": {2: "BA", 4: "BADC", 8: "BADCFEHG"},
    "DCBA": {2: "BA", 4: "DCBA", 8: "HGFEDCBA"},
    "ABCDEFGH": {8: "ABCDEFGH"},
    "GHEFCDAB": {8: "GHEFCDAB"},
    "BADCFEHG": {8: "BADCFEHG"},
    "HGFEDCBA": {8: "HGFEDCBA"},
}
CASES = [
    (type_, order)
    for type_, format_ in FORMATS.items()
    for order in ORDERS
    if struct.calcsize(format_) in ORDERS[order]
]
HALVES = [
    (f"{type_}_{half}", order)
    for type_ in ("uint8", "int8")
    for half in ("low", "high")
    for order in ("AB", "BA", "ABCD", "DCBA")
]
T_NS = 1_700_000_000_000_000_000


def oracle(tag: ModbusTag, wire: bytes) -> tuple[int, Any, Kind]:
    """Status, value and kind of one tag, read byte by byte."""
    start = int(tag.address) * 2
    order = tag.byte_order or "ABCD"
    if tag.type == "string":
        registers = wire[start : start + 2 * ((tag.length + 1) // 2)]
        if order in ("BADC", "DCBA"):
            registers = b"".join(registers[i : i + 2][::-1] for i in range(0, len(registers), 2))
        return GOOD, registers[: tag.length].split(b"\0")[0].decode(errors="replace").rstrip(" "), Kind.STR
    if tag.type == "bool":
        high, low = wire[start : start + 2] if order in ("AB", "ABCD", "CDAB") else wire[start : start + 2][::-1]
        register = high * 256 + low
        return GOOD, bool(register) if tag.bit is None else bool(register & 2**tag.bit), Kind.BOOL
    if (tag.type or "").endswith(("_low", "_high")):
        pair = wire[start : start + 2] if order in ("AB", "ABCD", "CDAB") else wire[start : start + 2][::-1]
        byte = pair[0] if tag.type.endswith("high") else pair[1]
        number, kind = (byte, Kind.U64) if tag.type.startswith("u") else (byte - 256 * (byte > 127), Kind.I64)
        if tag.scale is not None or tag.offset is not None:
            return GOOD, number * (1.0 if tag.scale is None else tag.scale) + (tag.offset or 0.0), Kind.F64
        return GOOD, number, kind
    format_ = FORMATS[tag.type or "uint16"]
    size = struct.calcsize(format_)
    letters = ORDERS[order][size]
    value = bytes(wire[start + letters.index(letter)] for letter in sorted(letters))
    number = struct.unpack(f">{format_}", value)[0]
    if (tag.type or "").startswith("bcd"):
        digits = value.hex()
        if not digits.isdecimal():
            return NOT_BCD.status, None, Kind.F64
        number = int(digits)
    kind = Kind.F64 if format_ in "fd" else Kind.I64 if format_.islower() else Kind.U64
    if tag.scale is not None or tag.offset is not None:
        number, kind = number * (1.0 if tag.scale is None else tag.scale) + (tag.offset or 0.0), Kind.F64
    if kind is Kind.F64 and not math.isfinite(number):
        return NOT_FINITE.status, None, Kind.F64
    return GOOD, number, kind


def decode(tags: list[ModbusTag], wire: bytes, *, max_gap: int = 16) -> Batch:
    settings = ModbusSettings(name="d", host="h", tags=tags)
    items = resolve(settings)
    heap = bytearray(b"before")
    parts = []
    bad: Counter[Fault] = Counter()
    for request in plan_requests(items, max_registers=125, max_gap=max_gap):
        raw = wire[request.address * 2 : (request.address + request.count) * 2]
        registers = [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]
        decoded = Decoder(request, range(100, 100 + len(items))).decode(registers, T_NS, heap)
        parts.append(decoded.records)
        bad.update(decoded.bad)
    batch = Batch(b"".join(parts), bytes(heap)).check()
    for fault in (NOT_FINITE, NOT_BCD):
        assert bad[fault] == batch.statuses().count(fault.status)
    return batch


def expect(tags: list[ModbusTag], wire: bytes) -> list[Reading]:
    readings = []
    for index, tag in enumerate(tags):
        status, value, kind = oracle(tag, wire)
        readings.append(Reading(T_NS, value, 100 + index, status, kind, Flag.GATEWAY_TIME))
    return readings


def by_point(batch: Batch) -> list[Reading]:
    return sorted(batch, key=lambda reading: reading.point)


@st.composite
def any_tag(draw: st.DrawFn, index: int) -> ModbusTag:
    address = draw(st.integers(0, 196))
    name = f"t{index}"
    match draw(st.sampled_from(["number", "number", "number", "bool", "string"])):
        case "bool":
            order = draw(st.sampled_from([None, "AB", "BA", "ABCD", "CDAB", "BADC", "DCBA"]))
            bit = draw(st.none() | st.integers(0, 15))
            return ModbusTag(name=name, address=address, type="bool", bit=bit, byte_order=order)
        case "string":
            order = draw(st.sampled_from([None, "ABCD", "CDAB", "BADC", "DCBA"]))
            length = draw(st.integers(1, 8))
            return ModbusTag(name=name, address=address, type="string", length=length, byte_order=order)
        case _:
            type_, order = draw(st.sampled_from([*CASES, *HALVES]))
            affine = st.none() | st.floats(-1e9, 1e9).filter(bool)
            scale, offset = draw(st.tuples(affine, affine)) if draw(st.booleans()) else (None, None)
            return ModbusTag(name=name, address=address, type=type_, byte_order=order, scale=scale, offset=offset)


@st.composite
def some_tags(draw: st.DrawFn) -> list[ModbusTag]:
    return [draw(any_tag(index)) for index in range(draw(st.integers(1, 25)))]


@given(some_tags(), st.binary(min_size=400, max_size=400), st.integers(0, 124))
def test_any_mix_of_tags_reads_as_one_by_one(tags: list[ModbusTag], wire: bytes, max_gap: int) -> None:
    assert by_point(decode(tags, wire, max_gap=max_gap)) == expect(tags, wire)


EXTREMES = {
    "int16": [0, 1, -1, 2**15 - 1, -(2**15)],
    "uint16": [0, 1, 2**16 - 1],
    "int32": [0, -1, 2**31 - 1, -(2**31), 0x01020304],
    "uint32": [0, 2**32 - 1, 0x01020304],
    "int64": [0, -1, 2**63 - 1, -(2**63), 0x0102030405060708],
    "uint64": [0, 2**64 - 1, 2**63, 0x0102030405060708],
    "float32": [0.0, -0.0, 1.5, -1.5, 3.4028234663852886e38, 1.401298464324817e-45],
    "float64": [0.0, -1.5, 1.7976931348623157e308, 5e-324, math.pi],
    "bcd16": [0x0000, 0x9999, 0x1234],
    "bcd32": [0x00000000, 0x99999999, 0x12345678],
}


@pytest.mark.parametrize(("type_", "order"), CASES)
def test_extreme_values_in_every_order(type_: Any, order: Any) -> None:
    format_ = FORMATS[type_]
    size = struct.calcsize(format_)
    letters = ORDERS[order][size]
    wire = b""
    for value in EXTREMES[type_]:
        straight = struct.pack(f">{format_}", value)
        wire += bytes(straight["ABCDEFGH".index(letter)] for letter in letters)
    tags = [
        ModbusTag(name=f"t{i}", address=i * size // 2, type=type_, byte_order=order)
        for i in range(len(EXTREMES[type_]))
    ]
    values = [reading.value for reading in by_point(decode(tags, wire))]
    if type_.startswith("bcd"):
        values = [int(str(value), 16) for value in values]  # back to the bits
    assert struct.pack(f">{len(values)}{format_}", *values) == struct.pack(f">{len(values)}{format_}", *EXTREMES[type_])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("type_", ["float32", "float64"])
def test_a_float_that_is_no_number_is_bad_and_its_neighbours_are_not(type_: Any, value: float) -> None:
    format_ = FORMATS[type_]
    wire = struct.pack(f">3{format_}", 1.0, value, 3.0)
    tags = [ModbusTag(name=f"t{i}", address=i * struct.calcsize(format_) // 2, type=type_) for i in range(3)]
    readings = by_point(decode(tags, wire))
    assert [(reading.value, reading.status) for reading in readings] == [
        (1.0, GOOD),
        (None, NOT_FINITE.status),
        (3.0, GOOD),
    ]


def test_floats_whose_sum_overflows_are_all_good() -> None:
    wire = struct.pack(">3d", 1.7e308, 1.7e308, 1.7e308)
    tags = [ModbusTag(name=f"t{i}", address=i * 4, type="float64") for i in range(3)]
    assert [reading.value for reading in by_point(decode(tags, wire))] == [1.7e308] * 3


def test_a_bad_reading_carries_the_bits_of_no_value() -> None:
    (reading,) = Batch(bad_record(7, BAD_COMMUNICATION, T_NS)).check()
    assert reading == Reading(T_NS, None, 7, BAD_COMMUNICATION, Kind.F64, Flag.GATEWAY_TIME)
    wire = struct.pack(">d", -math.nan)
    bad = decode([ModbusTag(name="t", address=0, type="float64")], wire)
    assert bad.records[8:16] == bad_record(7, BAD_COMMUNICATION, T_NS)[8:16]


def test_bits_of_a_bit_table() -> None:
    tags = [ModbusTag(name=f"t{i}", address=i, register="coil") for i in (0, 3, 5)]
    (request,) = plan_requests(resolve(ModbusSettings(name="d", host="h", tags=tags)), max_registers=125, max_gap=16)
    assert request.table is Table.COIL
    decoded = Decoder(request, [1, 2, 3]).decode([True, False, False, False, False, True, True, True], 5, bytearray())
    assert [(r.value, r.kind) for r in Batch(bytes(decoded.records))] == [
        (True, Kind.BOOL),
        (False, Kind.BOOL),
        (True, Kind.BOOL),
    ]


def test_a_template_is_not_shared_between_polls() -> None:
    tags = [ModbusTag(name="t", address=0, type="float32")]
    (request,) = plan_requests(resolve(ModbusSettings(name="d", host="h", tags=tags)), max_registers=9, max_gap=0)
    decoder = Decoder(request, [1])
    nan = array("H", [0x7FC0, 0]).tolist()
    decoder.decode(nan, 1, bytearray())
    (reading,) = Batch(bytes(decoder.decode([0x3F80, 0], 2, bytearray()).records))
    assert reading == Reading(2, 1.0, 1, GOOD, Kind.F64, Flag.GATEWAY_TIME)


def test_a_digit_beyond_nine_is_no_measurement_and_harms_no_other() -> None:
    tags = [ModbusTag(name=f"d{i}", address=i, type="bcd16") for i in range(4)]
    tags.append(ModbusTag(name="scaled", address=1, type="bcd16", scale=0.5))
    readings = by_point(decode(tags, bytes.fromhex("1234 12a4 0042 ffff")))
    assert [reading.value for reading in readings] == [1234, None, 42, None, None]
    assert [reading.status for reading in readings] == [GOOD, *[NOT_BCD.status], GOOD, NOT_BCD.status, NOT_BCD.status]
    assert readings[0].kind is Kind.U64
