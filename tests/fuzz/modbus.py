"""The Modbus decoders: frames, answers, registers, addresses, the ranking. Captures are pymodbus's own messages."""

from __future__ import annotations

import math
import struct
from random import Random

from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsResponse, WriteSingleCoilResponse
from pymodbus.pdu.exceptionresponse import ExceptionResponse
from pymodbus.pdu.register_message import (
    MaskWriteRegisterResponse,
    ReadHoldingRegistersResponse,
    WriteMultipleRegistersResponse,
    WriteSingleRegisterResponse,
)

from adapters.modbus.address import Address, AddressError, Table, parse_address
from adapters.modbus.decode import Decoder
from adapters.modbus.detective import rank
from adapters.modbus.encode import Function, Write
from adapters.modbus.errors import NOT_BCD, NOT_FINITE, Refused, Silent
from adapters.modbus.frames import Framer, Garbled, Mbap, Rtu
from adapters.modbus.items import resolve
from adapters.modbus.pdu import confirm, read_pdu, values, write_pdu
from adapters.modbus.planner import Request, plan_requests
from adapters.modbus.settings import ModbusSettings, ModbusTag
from gateway.batch import GOOD, Batch, Kind
from tests.fuzz.targets import Target

UNIT = 17
READS = [Request(UNIT, table, 0x10, count, ()) for table in Table for count in (1, 2, 10, 125)]
WRITES = [
    Write(UNIT, Function.COIL, 3, (1,)),
    Write(UNIT, Function.REGISTER, 3, (4711,)),
    Write(UNIT, Function.COILS, 3, (1, 0, 1)),
    Write(UNIT, Function.REGISTERS, 3, (1, 2, 3)),
    Write(UNIT, Function.MASK, 3, (0xFFF7, 8)),
]


def _body(pdu: ModbusPDU) -> bytes:
    return bytes([pdu.function_code]) + pdu.encode()


ANSWERS = [
    *(_body(ReadHoldingRegistersResponse(registers=[i * 257 for i in range(n)])) for n in (1, 2, 10, 125)),
    *(_body(ReadCoilsResponse(bits=[i % 3 == 0 for i in range(n)])) for n in (8, 16, 120)),
    _body(WriteSingleCoilResponse(address=3, bits=[True])),
    _body(WriteSingleRegisterResponse(address=3, registers=[4711])),
    _body(WriteMultipleRegistersResponse(address=3, count=3)),
    _body(MaskWriteRegisterResponse(address=3, and_mask=0xFFF7, or_mask=8)),
    *(_body(ExceptionResponse(function, code)) for function in (1, 3, 6, 16) for code in (1, 2, 3, 4, 11)),
]
_RTU = FramerRTU(DecodePDU(is_server=False))
_MBAP = FramerSocket(DecodePDU(is_server=False))


def _asked(draw: Random) -> bytes:
    return read_pdu(draw.choice(READS)) if draw.random() < 0.7 else write_pdu(draw.choice(WRITES))


def _fed(framer: Framer, data: bytes, draw: Random) -> bytes | None:
    """The answer that a framer finds in bytes that come in pieces."""
    buffer = bytearray()
    while data:
        size = draw.randrange(1, len(data) + 1)
        buffer += data[:size]
        data = data[size:]
        try:
            found = framer.take(buffer)
        except Garbled:
            return None
        if found is not None:
            return found
    return None


def rtu(data: bytes, draw: Random) -> None:
    """An answer is only what stands in the bytes with the unit asked, the function asked, and pymodbus's own CRC."""
    framer = Rtu()
    asked = _asked(draw)
    framer.pack(UNIT, asked)
    answer = _fed(framer, data, draw)
    if answer is not None:
        assert _RTU.encode(answer, UNIT, 0) in data
        assert answer[0] & 0x7F == asked[0]


def mbap(data: bytes, draw: Random) -> None:
    """An answer is only what stands in the bytes with the transaction and the unit asked."""
    framer = Mbap()
    framer.pack(UNIT, _asked(draw))
    answer = _fed(framer, data, draw)
    if answer is not None:
        assert _MBAP.encode(answer, UNIT, 1) in data


def answers(data: bytes, draw: Random) -> None:
    """Values are those that stand in the answer, all of it and nothing else; a confirmation repeats the write."""
    request, write = draw.choice(READS), draw.choice(WRITES)
    try:
        words = values(data, request)
    except (Refused, Silent):
        pass
    else:
        assert data[0] == request.table
        assert data[1] == len(data) - 2
        if request.table.is_bits:
            packed = sum(bit << place for place, bit in enumerate(words)).to_bytes(len(data) - 2, "little")
        else:
            packed = struct.pack(f">{request.count}H", *words)
        assert packed == data[2:]
    try:
        confirm(data, write)
    except (Refused, Silent):
        return
    assert write_pdu(write).startswith(data)
    assert len(data) >= 5


_WIDTHS = [
    *(("uint16", 1), ("int16", 1), ("float32", 2), ("uint32", 2), ("int32", 2), ("float64", 4)),
    *(("uint64", 4), ("int64", 4), ("bcd16", 1), ("bcd32", 2), ("string", 3), ("bool", 1)),
    *(("uint8_low", 1), ("int8_high", 1)),
]
"""Types, and registers of each; the string has 5 bytes."""


def _any_tags(draw: Random, registers: int) -> list[ModbusTag]:
    tags = []
    for index in range(draw.randrange(1, 12)):
        type_, width = draw.choice(_WIDTHS)
        if width > registers:
            continue
        order = draw.choice([None, "ABCD", "CDAB", "BADC", "DCBA"])
        more = {"length": 5} if type_ == "string" else {}
        if type_ not in ("string", "bool") and draw.random() < 0.3:
            more = {"scale": draw.choice([0.1, -2.0, 1e300])}
        address = draw.randrange(registers - width + 1)
        tags.append(ModbusTag(name=f"t{index}", address=address, type=type_, byte_order=order, **more))
    return tags


def registers(data: bytes, draw: Random) -> None:
    """Whatever the registers hold, the batch is sound, and a bad reading has no value."""
    words = [int.from_bytes(data[i : i + 2], "big") for i in range(0, min(len(data) - 1, 250), 2)]
    tags = _any_tags(draw, len(words)) if words else []
    if not tags:
        return
    items = resolve(ModbusSettings(name="d", host="h", tags=tags))
    for request in plan_requests(items, max_registers=125, max_gap=draw.choice([0, 16])):
        heap = bytearray(b"before")
        part = words[request.address : request.address + request.count]
        decoded = Decoder(request, range(len(items))).decode(part, 5, heap)
        batch = Batch(bytes(decoded.records), bytes(heap)).check()
        assert sorted(batch.points()) == sorted(item.index for item in request.items)
        for reading in batch:
            assert reading.ts_ns == 5
            if reading.status == GOOD:
                assert reading.value is not None
                assert not isinstance(reading.value, float) or math.isfinite(reading.value)
            else:
                assert reading.status in (NOT_FINITE.status, NOT_BCD.status)
                assert reading.value is None
                assert reading.kind is Kind.F64


def addresses(data: bytes, _draw: Random) -> None:
    """An address is understood in one way, or refused in words."""
    text = data.decode("latin-1")
    try:
        address = parse_address(text)
    except AddressError:
        return
    assert isinstance(address, Address)
    assert 0 <= address.number < 65_536
    assert text.lower().startswith("0x") or address.table is not None


def ranking(data: bytes, draw: Random) -> None:
    """Any registers can be ranked, with scores from 0 to 1."""
    words = [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data) - 1, 2)]
    count = draw.randrange(1, 9)
    reads = [words[i : i + count] for i in range(0, len(words), count) if len(words[i : i + count]) == count][:4]
    if reads:
        limits = [draw.choice([None, -100.0, 0.0, 250.0]) for _ in range(2)]
        ranked = rank(reads, low=limits[0], high=limits[1])
        assert all(0 <= one.score <= 1 for one in ranked)


_NUMBERS = [
    struct.pack(">fdIq", 1.5, 2.25, 70_000, -5),
    struct.pack(">ff", math.nan, math.inf),
    bytes(16),
    b"\xff" * 16,
]
TARGETS = [
    Target("modbus.rtu", [_RTU.encode(answer, UNIT, 0) for answer in ANSWERS], rtu),
    Target("modbus.mbap", [_MBAP.encode(answer, UNIT, 1) for answer in ANSWERS], mbap),
    Target("modbus.answers", ANSWERS, answers),
    Target("modbus.registers", [*_NUMBERS, *ANSWERS], registers),
    Target("modbus.addresses", [b"40001", b"400001", b"0x10", b"100", b"00001", b"465536"], addresses),
    Target("modbus.ranking", _NUMBERS, ranking),
]
