"""The one TCP connection to a device: made here, used for one request at a time, and never used again after a doubt.

Invariants
- At most one connection, and one request at a time: `line` gives the turns.
- Whatever leaves a request's answer in doubt (time-out, broken connection, cancellation, an answer to something else)
  closes the connection before the caller hears of it. A late answer therefore meets a closed socket and can never be
  taken for the answer to the next request, not even from devices that do not echo the transaction id.
- No request is ever sent twice: `gateway.supervise` and the poll loop decide what is asked again, and nobody decides
  that of a write.
- After `end` nothing is dialled and nothing is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.register_message import MaskWriteRegisterResponse

from adapters.modbus.address import Table
from adapters.modbus.client import Call, Client
from adapters.modbus.encode import Function, Write
from adapters.modbus.errors import MALFORMED, Refused, Unreachable, fault_of
from adapters.modbus.planner import Request

__all__ = ["Link"]

_READ: Final = {
    Table.COIL: AsyncModbusTcpClient.read_coils,
    Table.DISCRETE: AsyncModbusTcpClient.read_discrete_inputs,
    Table.HOLDING: AsyncModbusTcpClient.read_holding_registers,
    Table.INPUT: AsyncModbusTcpClient.read_input_registers,
}


class Link:
    """The connection to a device. Dials when a request needs it; a connection in doubt is closed and dialled anew.

    Args:
        host: name or address.
        port: TCP port.
        timeout_s: longest wait for a connection, and for each answer.
    """

    def __init__(self, *, host: str, port: int, timeout_s: float) -> None:
        self._host = host
        self._port = port
        self._timeout_s = timeout_s
        self._client: Client | None = None
        self._ended = False

    async def dial(self) -> Client:
        """The connection; a new one where there is none.

        Raises:
            Unreachable: no connection could be made.
        """
        if self._client is not None and self._client.connected:
            return self._client
        self.close()
        if self._ended:
            raise Unreachable("the gateway has just stopped reading this device")
        client = self._client = Client(host=self._host, port=self._port, timeout_s=self._timeout_s)
        await client.dial()
        return client

    async def read(self, request: Request) -> Sequence[int]:
        """What the request's registers hold, 0 to 65535 each, or its bits, 0 or 1 each, padded to whole bytes.

        Raises:
            Unreachable: no connection could be made.
            Silent: no usable answer came; the connection is closed.
            Refused: the answer is an exception, or not what was asked for.
        """
        answer = await self._ask(_reading(request))
        words = answer.bits if request.table.is_bits else answer.registers
        padding = -request.count % 8 if request.table.is_bits else 0
        if answer.function_code != request.table or len(words) != request.count + padding:
            self.close()
            raise Refused(
                MALFORMED,
                f"asked function {request.table.value} for {request.count} values, "
                f"was given {len(words)} by function {answer.function_code}",
            )
        return words

    async def write(self, write: Write) -> None:
        """Writes, once. Returns when the device has confirmed it.

        Raises:
            Unreachable: no connection could be made, so nothing was sent.
            Silent: it was sent and no usable answer came; the connection is closed.
            Refused: the answer is an exception, or confirms something else.
        """
        answer = await self._ask(_writing(write))
        if answer.function_code != write.function or _echo(answer) != _expected(write):
            self.close()
            raise Refused(MALFORMED, f"the answer, by function {answer.function_code}, confirms something else")

    def close(self) -> None:
        """Closes the connection, if there is one; a request under way fails. The next request dials anew."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def end(self) -> None:
        """Closes the connection for good."""
        self._ended = True
        self.close()

    async def _ask(self, call: Call) -> ModbusPDU:
        client = await self.dial()
        try:
            answer = await client.ask(call)
        except BaseException:
            client.close()
            raise
        if answer.isError():
            fault = fault_of(answer.exception_code)
            raise Refused(fault, f"exception {answer.exception_code} ({fault.cause})")
        return answer


def _reading(request: Request) -> Call:
    read = _READ[request.table]
    return lambda client: read(client, request.address, count=request.count, device_id=request.unit_id)


def _writing(write: Write) -> Call:
    address, words, unit_id = write.address, write.words, write.unit_id
    match write.function:
        case Function.COIL:
            return lambda client: client.write_coil(address, bool(words[0]), device_id=unit_id)
        case Function.REGISTER:
            return lambda client: client.write_register(address, words[0], device_id=unit_id)
        case Function.REGISTERS:
            return lambda client: client.write_registers(address, list(words), device_id=unit_id)
        case Function.MASK:
            return lambda client: client.mask_write_register(
                address=address, and_mask=words[0], or_mask=words[1], device_id=unit_id
            )


def _expected(write: Write) -> tuple[int, ...]:
    """What the device's confirmation repeats of a write: all of it, or address and count (function 16)."""
    if write.function is Function.REGISTERS:
        return write.address, len(write.words)
    return write.address, *write.words


def _echo(answer: ModbusPDU) -> tuple[int, ...]:
    if isinstance(answer, MaskWriteRegisterResponse):
        return answer.address, answer.and_mask, answer.or_mask
    if answer.function_code == Function.REGISTERS:
        return answer.address, answer.count
    return answer.address, *(answer.bits or answer.registers)
