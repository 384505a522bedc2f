"""The one TCP connection to a device: made here, used for one request at a time, and never used again after a doubt.

Invariants
- At most one connection and one request at a time.
- Whatever leaves a request's answer in doubt (time-out, broken connection, cancellation, an answer to something else)
  closes the connection before the caller hears of it. A late answer therefore meets a closed socket and can never be
  taken for the answer to the next request, not even from devices that do not echo the transaction id.
- pymodbus's own retries and reconnecting are off: `gateway.supervise` and the poll loop decide.

Works around three traits of pymodbus 3.16: a request under way is not told that its connection broke, `connect` keeps
the reason of a failure to itself, and `asyncio.wait_for`, which it uses, may swallow a cancellation on Python 3.11.

Modbus over TLS or a serial line would be another client made in `_make_client`; nothing else here would change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.pdu import ModbusPDU

from adapters.modbus.address import Table
from adapters.modbus.errors import MALFORMED, Refused, Silent, Unreachable, fault_of
from adapters.modbus.planner import Request

__all__ = ["Line"]

_T = TypeVar("_T")


class Line:
    """The line to a device. Dials when a request needs it; a connection in doubt is closed and dialled anew.

    Args:
        host: name or address.
        port: TCP port.
        timeout_s: longest wait for a connection, and for each answer.
    """

    def __init__(self, *, host: str, port: int, timeout_s: float) -> None:
        self._host = host
        self._port = port
        self._timeout_s = timeout_s
        self._client: AsyncModbusTcpClient | None = None
        self._transport: asyncio.Transport | None = None
        self._asking = False

    async def read(self, request: Request) -> Sequence[int]:
        """What the request's registers hold, 0 to 65535 each, or its bits, 0 or 1 each, padded to whole bytes.

        Raises:
            Unreachable: no connection could be made.
            Silent: no answer came; the connection is closed.
            Refused: the answer is an exception, or not what was asked for.
        """
        client = await self._connected()
        try:
            answer = await self._ask(client, request)
        except BaseException:
            self.close()
            raise
        if answer.isError():
            fault = fault_of(answer.exception_code)
            raise Refused(fault, f"exception {answer.exception_code} ({fault.cause})")
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

    def close(self) -> None:
        """Closes the connection, if there is one. The socket is gone after one turn of the event loop."""
        client, self._client = self._client, None
        transport, self._transport = self._transport, None
        if client is not None:
            client.close()
        if transport is not None:
            transport.abort()  # a request that could not be sent must not keep the socket open

    async def _connected(self) -> AsyncModbusTcpClient:
        if self._client is not None and self._client.connected:
            return self._client
        self.close()
        client, reason = self._make_client()
        self._client = client
        try:
            connected = await _uncancelled(client.connect())
        except BaseException:
            self.close()
            raise
        if not connected:
            self.close()
            raise Unreachable(reason[0] if reason else f"no answer within {self._timeout_s:g} s")
        transport = client.ctx.transport
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        return client

    async def _ask(self, client: AsyncModbusTcpClient, request: Request) -> ModbusPDU:
        self._asking = True
        try:
            return await _uncancelled(_call(client, request))
        except ConnectionException:
            raise Silent("connection_broken", "the connection was closed instead of an answer") from None
        except ModbusException:
            raise Silent("timeout", f"no answer within {self._timeout_s:g} s") from None
        finally:
            self._asking = False

    def _make_client(self) -> tuple[AsyncModbusTcpClient, list[str]]:
        reason: list[str] = []
        client = AsyncModbusTcpClient(
            self._host,
            port=self._port,
            name=f"{self._host}:{self._port}",
            timeout=self._timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_connect=lambda up: None if up else self._broken(client),
        )
        create = client.ctx.call_create

        async def create_and_remember() -> object:
            try:
                return await create()
            except OSError as error:
                reason.append(error.strerror or str(error))
                raise
            except ValueError as error:  # a host that cannot even be asked for, such as one with a label too long
                reason.append(f"{self._host!r} is no host name: {error}")
                raise OSError(*reason) from None

        client.ctx.call_create = create_and_remember
        return client, reason

    def _broken(self, client: AsyncModbusTcpClient) -> None:
        future = client.ctx.response_future
        if self._asking and client is self._client and not future.done():
            future.set_exception(ConnectionException("closed by the other side"))


def _call(client: AsyncModbusTcpClient, request: Request) -> Awaitable[ModbusPDU]:
    read = {
        Table.COIL: client.read_coils,
        Table.DISCRETE: client.read_discrete_inputs,
        Table.HOLDING: client.read_holding_registers,
        Table.INPUT: client.read_input_registers,
    }[request.table]
    return read(request.address, count=request.count, device_id=request.unit_id)


async def _uncancelled(awaitable: Awaitable[_T]) -> _T:
    """The result, unless this task was asked to stop meanwhile."""
    task = asyncio.current_task()
    assert task is not None
    requests = task.cancelling()
    result = await awaitable
    if task.cancelling() > requests:
        raise asyncio.CancelledError
    return result
