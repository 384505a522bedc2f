"""Frames, held against pymodbus's own, and against bytes that no device sends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU

from adapters.modbus.frames import Damaged, Framer, Garbled, Mbap, Rtu, crc16

READ = b"\x03\x00\x10\x00\x02"
ANSWER = b"\x03\x04\x00\x01\x00\x02"


def rtu(unit_id: int, pdu: bytes) -> bytes:
    frame = bytes([unit_id]) + pdu
    return frame + crc16(frame).to_bytes(2, "little")


def mbap(transaction: int, unit_id: int, pdu: bytes) -> bytes:
    return transaction.to_bytes(2, "big") + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes([unit_id]) + pdu


def test_the_check_sum_is_the_standards() -> None:
    assert crc16(b"123456789") == 0x4B37  # the check value of CRC-16/MODBUS


@given(st.integers(0, 247), st.binary(min_size=2, max_size=253))
def test_frames_are_those_of_pymodbus(unit_id: int, pdu: bytes) -> None:
    theirs = FramerRTU(DecodePDU(is_server=True))
    assert Rtu().pack(unit_id, pdu) == theirs.encode(pdu, unit_id, 0)
    assert Mbap().pack(unit_id, pdu) == FramerSocket(DecodePDU(is_server=True)).encode(pdu, unit_id, 1)


@given(st.lists(st.integers(1, 300), max_size=8))
def test_an_answer_is_found_however_it_is_cut(cuts: list[int]) -> None:
    for framer, whole in ((Rtu(), rtu(7, ANSWER)), (Mbap(), mbap(1, 7, ANSWER))):
        framer.pack(7, READ)
        buffer = bytearray()
        found = None
        rest = whole
        for cut in [*cuts, len(whole)]:
            buffer += rest[:cut]
            rest = rest[cut:]
            assert found is None or not rest
            found = found or framer.take(buffer)
            if found is not None:
                break
        while found is None:
            buffer += rest
            found = framer.take(buffer)
        assert found == ANSWER


@pytest.mark.parametrize("framer", [Rtu(), Mbap()])
def test_the_answer_of_another_is_dropped_and_the_wait_goes_on(framer: Framer) -> None:
    first = framer.pack(7, READ)
    framer.pack(8, READ)
    if isinstance(framer, Mbap):
        others = [mbap(1, 7, ANSWER), mbap(1, 8, ANSWER), mbap(2, 7, ANSWER)]
        true = mbap(2, 8, ANSWER)
        assert first[:2] == b"\0\1"
    else:
        others = [rtu(7, ANSWER), rtu(8, b"\x03\x02\0\1"), rtu(8, b"\x04\x04\0\1\0\2"), rtu(8, b"\x84\x02")]
        true = rtu(8, ANSWER)
    for other in others:
        assert framer.take(bytearray(other)) is None
    assert framer.dropped == len(others)
    assert framer.take(bytearray(others[0] + true)) == ANSWER


def test_an_exception_of_the_function_is_an_answer() -> None:
    framer = Rtu()
    framer.pack(7, READ)
    assert framer.take(bytearray(rtu(7, b"\x83\x02"))) == b"\x83\x02"


@pytest.mark.parametrize(
    "noise",
    [
        rtu(7, ANSWER)[:-1] + b"\0",
        rtu(7, ANSWER) + b"\0",
        rtu(7, ANSWER) * 2,
        b"\0" + rtu(7, ANSWER),
        rtu(7, b"\x63\1\1\1\1"),
    ],
    ids=["CRC", "a byte behind it", "two of one shape", "a byte before it", "unknown function"],
)
def test_rtu_believes_nothing_that_comes_with_noise(noise: bytes) -> None:
    framer = Rtu()
    framer.pack(7, READ)
    with pytest.raises(Garbled):
        framer.take(bytearray(noise))


def test_a_whole_answer_with_a_wrong_check_sum_is_told_from_noise() -> None:
    damaged = rtu(7, ANSWER)[:-1] + b"\0"
    for noise, kind in ((damaged, Damaged), (damaged + b"\0", Garbled), (b"\x08" + damaged[1:], Garbled)):
        framer = Rtu()
        framer.pack(7, READ)
        with pytest.raises(Garbled) as raised:
            framer.take(bytearray(noise))
        assert type(raised.value) is kind


def test_nothing_is_an_answer_where_nothing_is_asked() -> None:
    for framer, frame in ((Rtu(), rtu(7, ANSWER)), (Mbap(), mbap(1, 7, ANSWER))):
        assert framer.take(bytearray(frame)) is None
        framer.pack(7, READ)
        framer.forget()
        assert framer.take(bytearray(frame)) is None


@given(st.binary(max_size=600), st.integers(0, 255))
def test_no_bytes_make_a_framer_fail_or_hang(noise: bytes, unit_id: int) -> None:
    for framer in (Rtu(), Mbap()):
        framer.pack(unit_id, READ)
        buffer = bytearray(noise)
        try:
            answer = framer.take(buffer)
        except Garbled:
            continue
        assert len(buffer) <= len(noise)
        if answer is not None:
            assert answer in noise
