"""The bytes inside a frame: requests as they are sent, and answers held against what was asked. Pure.

MODBUS Application Protocol V1.1b3, 4.1 and 6. An answer counts only where each byte of it is accounted for: its
function is the one that was asked, its count of bytes agrees with its length, and the length with the request. An
exception counts where it is one of the function asked.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from adapters.modbus.address import Table
from adapters.modbus.encode import Function, Write
from adapters.modbus.errors import MALFORMED, Refused, Silent, fault_of
from adapters.modbus.planner import Request

__all__ = ["FUNCTIONS", "MOST_PDU_BYTES", "answer_bytes", "confirm", "read_pdu", "values", "write_pdu"]

MOST_PDU_BYTES: Final = 253
FUNCTIONS: Final = frozenset({*Table, *Function})
"""Functions that we send."""
_EXCEPTION: Final = 0x80
_COIL_ON: Final = 0xFF00
_BITS: Final = [tuple(byte >> place & 1 for place in range(8)) for byte in range(256)]


def read_pdu(request: Request) -> bytes:
    """A read (functions 1 to 4)."""
    return struct.pack(">BHH", request.table, request.address, request.count)


def write_pdu(write: Write) -> bytes:
    """A write (functions 5, 6, 15, 16 and 22)."""
    function, address, words = write.function, write.address, write.words
    match function:
        case Function.COIL:
            return struct.pack(">BHH", function, address, _COIL_ON if words[0] else 0)
        case Function.REGISTER:
            return struct.pack(">BHH", function, address, words[0])
        case Function.MASK:
            return struct.pack(">BHHH", function, address, *words)
        case Function.COILS:
            packed = sum(1 << place for place, bit in enumerate(words) if bit).to_bytes((len(words) + 7) // 8, "little")
            return struct.pack(">BHHB", function, address, len(words), len(packed)) + packed
        case Function.REGISTERS:
            head = struct.pack(">BHHB", function, address, len(words), 2 * len(words))
            return head + struct.pack(f">{len(words)}H", *words)


def answer_bytes(asked: bytes) -> int:
    """Length of the regular answer to a request, function code included."""
    function = asked[0]
    if function in (Table.COIL, Table.DISCRETE):
        return 2 + (int.from_bytes(asked[3:5], "big") + 7) // 8
    if function in (Table.HOLDING, Table.INPUT):
        return 2 + 2 * int.from_bytes(asked[3:5], "big")
    return 7 if function == Function.MASK else 5


def values(pdu: bytes, request: Request) -> Sequence[int]:
    """What the request's registers hold, 0 to 65535 each, or its bits, 0 or 1 each, padded to whole bytes.

    Raises:
        Refused: it is an exception, or it is not what was asked for.
        Silent: it is no answer of Modbus.
    """
    _judge(pdu, request.table)
    data = pdu[2:]
    if len(pdu) < 2 or pdu[1] != len(data):
        raise _no_answer()
    if request.table.is_bits:
        if len(data) != (request.count + 7) // 8:
            raise _other(f"asked for {request.count} bits, was given {8 * len(data)}")
        return [bit for byte in data for bit in _BITS[byte]]
    if len(data) % 2:
        raise _no_answer()
    if len(data) != 2 * request.count:
        raise _other(f"asked for {request.count} registers, was given {len(data) // 2}")
    return struct.unpack(f">{request.count}H", data)


def confirm(pdu: bytes, write: Write) -> None:
    """Takes the confirmation of a write.

    Raises:
        Refused: it is an exception, or it confirms something else.
        Silent: it is no answer of Modbus.
    """
    _judge(pdu, write.function)
    asked = write_pdu(write)
    if len(pdu) != answer_bytes(asked):
        raise _no_answer()
    if pdu != asked[: len(pdu)]:
        raise _other("it confirms something else")


def _judge(pdu: bytes, function: int) -> None:
    if not pdu:
        raise _no_answer()
    if pdu[0] == function:
        return
    if pdu[0] & _EXCEPTION and len(pdu) == 2:
        if pdu[0] == function | _EXCEPTION:
            fault = fault_of(pdu[1])
            raise Refused(fault, f"exception {pdu[1]} ({fault.cause})")
        raise _no_answer()
    if pdu[0] in FUNCTIONS:
        raise _other(f"asked function {int(function)}, was answered by function {pdu[0]}")
    raise _no_answer()


def _other(what: str) -> Refused:
    return Refused(MALFORMED, what)


def _no_answer() -> Silent:
    return Silent("undecodable_answer", "what came back is no answer of Modbus to the request")
