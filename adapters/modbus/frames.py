"""What is around a PDU on the wire: MBAP (TCP and TLS), or unit id and CRC (RTU). Pure; one framer is one connection.

Both take a growing buffer of bytes that came in, and give the PDU of the answer to the last request, or nothing yet.

MBAP carries a transaction id. A frame with another id or unit is the answer to something else: it is dropped and
counted, and the wait goes on (Modbus Messaging on TCP/IP V1.0b, 4.2).

RTU carries none (MODBUS over Serial Line V1.02, 2.5.1). A frame counts where its CRC is right and unit, function and
length are those of the request, and nothing comes behind it. A sound frame of another shape is an answer to something
earlier: dropped and counted. Anything else is noise, and nothing that came with it is believed. What two answers of the
same shape can do, no look at the bytes can tell; `transport` says what is done about them.
"""

from __future__ import annotations

import struct
from typing import Final, Protocol

from adapters.modbus.encode import Function
from adapters.modbus.pdu import FUNCTIONS, MOST_PDU_BYTES, answer_bytes

__all__ = ["Damaged", "Framer", "Garbled", "Mbap", "Rtu", "crc16"]

_MBAP: Final = struct.Struct(">HHHB")
_LENGTH_AT_END: Final = 6
_LEAST_RTU: Final = 5
_EXCEPTION: Final = 0x80


class Garbled(ValueError):
    """What came in is no frame."""


class Damaged(Garbled):
    """It is the answer that was awaited, by unit, function and length, but its CRC is wrong: no other one follows."""


class Framer(Protocol):
    """Puts requests into frames and finds the answer in what comes in."""

    dropped: int
    """Sound frames that answered something else."""

    def pack(self, unit_id: int, pdu: bytes) -> bytes:
        """The frame of a request; from now on its answer is looked for."""

    def take(self, buffer: bytearray) -> bytes | None:
        """The PDU of the answer, None while it is not whole. What was looked at is taken out of the buffer.

        Raises:
            Garbled: the bytes are no frame.
        """

    def forget(self) -> None:
        """From now on no answer is expected: whole frames that still come are of no use."""


class Mbap:
    """Frames of Modbus TCP."""

    def __init__(self) -> None:
        self.dropped = 0
        self._transaction = 0
        self._awaited: tuple[int, int] | None = None

    def pack(self, unit_id: int, pdu: bytes) -> bytes:
        """See `Framer`."""
        self._transaction = self._transaction % 0xFFFF + 1
        self._awaited = (self._transaction, unit_id)
        return _MBAP.pack(self._transaction, 0, len(pdu) + 1, unit_id) + pdu

    def take(self, buffer: bytearray) -> bytes | None:
        """See `Framer`."""
        while len(buffer) >= _MBAP.size:
            transaction, protocol, length, unit_id = _MBAP.unpack_from(buffer)
            if protocol != 0 or not 2 <= length <= MOST_PDU_BYTES + 1:
                raise Garbled("no header of Modbus TCP")
            end = _LENGTH_AT_END + length
            if len(buffer) < end:
                return None
            pdu = bytes(buffer[_MBAP.size : end])
            del buffer[:end]
            if (transaction, unit_id) == self._awaited:
                return pdu
            self.dropped += 1
        return None

    def forget(self) -> None:
        """See `Framer`."""
        self._awaited = None


class Rtu:
    """Frames of Modbus RTU, on a serial line or on TCP."""

    def __init__(self) -> None:
        self.dropped = 0
        self._unit_id = -1
        self._asked = b""

    def pack(self, unit_id: int, pdu: bytes) -> bytes:
        """See `Framer`."""
        self._unit_id, self._asked = unit_id, pdu
        frame = bytes([unit_id]) + pdu
        return frame + crc16(frame).to_bytes(2, "little")

    def take(self, buffer: bytearray) -> bytes | None:
        """See `Framer`."""
        while len(buffer) >= _LEAST_RTU:
            size = _rtu_bytes(buffer)
            if len(buffer) < size:
                return None
            frame = bytes(buffer[:size])
            if crc16(frame[:-2]).to_bytes(2, "little") != frame[-2:]:
                whole = self._is_awaited(frame) and len(buffer) == size
                raise (Damaged if whole else Garbled)("the CRC is wrong")
            del buffer[:size]
            if self._is_awaited(frame):
                if buffer:
                    raise Garbled("more came behind the answer")
                return frame[1:-2]
            self.dropped += 1
        return None

    def forget(self) -> None:
        """See `Framer`."""
        self._asked = b""

    def _is_awaited(self, frame: bytes) -> bool:
        if not self._asked or frame[0] != self._unit_id:
            return False
        if frame[1] == self._asked[0] | _EXCEPTION:
            return True
        return frame[1] == self._asked[0] and len(frame) == 3 + answer_bytes(self._asked)


def _rtu_bytes(head: bytearray) -> int:
    """Length of an answer that begins like this."""
    function = head[1]
    if function & _EXCEPTION:
        return _LEAST_RTU
    if function not in FUNCTIONS:
        raise Garbled("no function that was ever asked")
    if function <= 4:
        return _LEAST_RTU + head[2]
    return 10 if function == Function.MASK else 8


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
        table.append(value)
    return table


_CRC: Final = _table()


def crc16(data: bytes) -> int:
    """The check sum of RTU (MODBUS over Serial Line V1.02, 6.2.2); it is sent low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc
