"""Requests and answers as bytes; pymodbus's own messages are the oracle."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.bit_message import ReadCoilsResponse
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse

from adapters.modbus.address import Table
from adapters.modbus.encode import Function, Write
from adapters.modbus.errors import Refused, Silent
from adapters.modbus.pdu import answer_bytes, confirm, read_pdu, values, write_pdu
from adapters.modbus.planner import Request

SERVER = DecodePDU(is_server=True)
WORD = st.integers(0, 65_535)


def read(table: Table, count: int) -> Request:
    return Request(1, table, 0x10, count, ())


@given(st.sampled_from(Table), WORD, st.integers(1, 125))
def test_a_read_is_what_pymodbus_takes_it_for(table: Table, address: int, count: int) -> None:
    pdu = SERVER.decode(read_pdu(Request(1, table, address, count, ())))
    assert pdu is not None
    assert (pdu.function_code, pdu.address, pdu.count) == (table, address, count)


@given(
    st.one_of(
        st.builds(Write, st.just(1), st.just(Function.COIL), WORD, st.tuples(st.integers(0, 1))),
        st.builds(Write, st.just(1), st.just(Function.REGISTER), WORD, st.tuples(WORD)),
        st.builds(Write, st.just(1), st.just(Function.MASK), WORD, st.tuples(WORD, WORD)),
        st.builds(
            *(Write, st.just(1), st.just(Function.COILS), WORD),
            st.lists(st.integers(0, 1), min_size=1, max_size=40).map(tuple),
        ),
        st.builds(
            *(Write, st.just(1), st.just(Function.REGISTERS), WORD),
            st.lists(WORD, min_size=1, max_size=123).map(tuple),
        ),
    )
)
def test_a_write_is_what_pymodbus_takes_it_for_and_its_echo_confirms_it(write: Write) -> None:
    sent = write_pdu(write)
    pdu = SERVER.decode(sent)
    assert pdu is not None
    assert (pdu.function_code, pdu.address) == (write.function, write.address)
    if write.function is Function.MASK:
        assert (pdu.and_mask, pdu.or_mask) == write.words
    else:
        bits = [int(bit) for bit in pdu.bits[: len(write.words)]]
        assert tuple(bits or pdu.registers) == write.words
    echo = sent[: answer_bytes(sent)]
    confirm(echo, write)
    for place in range(1, len(echo)):
        other = echo[:place] + bytes([echo[place] ^ 1]) + echo[place + 1 :]
        with pytest.raises(Refused, match="something else"):
            confirm(other, write)
    with pytest.raises(Silent):
        confirm(echo + b"\0", write)


@given(st.lists(WORD, min_size=1, max_size=125))
def test_registers_are_read_as_pymodbus_sends_them(words: list[int]) -> None:
    pdu = b"\x03" + ReadHoldingRegistersResponse(registers=words).encode()
    assert list(values(pdu, read(Table.HOLDING, len(words)))) == words
    assert len(pdu) == answer_bytes(read_pdu(read(Table.HOLDING, len(words))))


@given(st.lists(st.booleans(), min_size=1, max_size=200))
def test_bits_are_read_as_pymodbus_sends_them(bits: list[bool]) -> None:
    pdu = b"\x01" + ReadCoilsResponse(bits=bits).encode()
    got = list(values(pdu, read(Table.COIL, len(bits))))
    assert got[: len(bits)] == [int(bit) for bit in bits]
    assert len(got) == (len(bits) + 7) // 8 * 8


@pytest.mark.parametrize(
    ("pdu", "failure"),
    [
        (b"", Silent),
        (b"\x03", Silent),
        (b"\x03\x04\0\1", Silent),
        (b"\x03\x03\0\1\0", Silent),
        (b"\x63\1\1", Silent),
        (b"\x83", Silent),
        (b"\x84\x02", Silent),
        (b"\x03\x02\0\1", Refused),
        (b"\x04\x04\0\1\0\2", Refused),
        (b"\x83\x02", Refused),
    ],
)
def test_nothing_else_is_an_answer(pdu: bytes, failure: type[Exception]) -> None:
    with pytest.raises(failure):
        values(pdu, read(Table.HOLDING, 2))
