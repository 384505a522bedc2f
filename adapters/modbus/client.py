"""pymodbus's client, made to keep what `transport` promises. One object is one TCP connection, dialled once.

Works around five traits of pymodbus 3.16:
- a request under way is not told that its connection broke: it is here, at once;
- `connect` keeps the reason of a failure to itself: `dial` raises it;
- `asyncio.wait_for`, which it uses, may swallow a cancellation on Python 3.11: `_uncancelled` finds it again;
- a frame that it cannot decode makes it raise inside the event loop, which prints a traceback and breaks the
  connection: the frame is caught where it is decoded, and ends the request under way;
- it decodes every function that it knows, asked for or not, and takes half a register for a whole one: here it knows
  only the functions that we send.

Its own retries and reconnecting are off. Modbus over TLS or a serial line would be another client made in `__init__`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU

from adapters.modbus import texts
from adapters.modbus.errors import Silent, Unreachable

__all__ = ["Call", "Client"]

Call: TypeAlias = Callable[[AsyncModbusTcpClient], Awaitable[ModbusPDU]]
"""One request, sent with the client's own method for it."""

_FUNCTIONS: Final = (1, 2, 3, 4, 5, 6, 16, 22)
_REGISTER_READS: Final = (3, 4)
_Connection: TypeAlias = tuple[asyncio.Transport, asyncio.BaseProtocol]
_T = TypeVar("_T")


class Client:
    """One TCP connection to a device.

    Args:
        host: name or address.
        port: TCP port.
        timeout_s: longest wait for the connection, and for each answer.
    """

    def __init__(self, *, host: str, port: int, timeout_s: float) -> None:
        self._host = host
        self._timeout_s = timeout_s
        self._client = AsyncModbusTcpClient(
            host,
            port=port,
            name=f"{host}:{port}",
            timeout=timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_connect=lambda up: None if up else self._fail(_broken()),
        )
        self._client.ctx.framer = _Framer(self._not_decoded)
        self._create = self._client.ctx.call_create
        self._client.ctx.call_create = self._connect
        self._dialling: asyncio.Future[_Connection] | None = None
        self._transport: asyncio.Transport | None = None
        self._reason = ""
        self._asking = False
        self._closed = False

    @property
    def connected(self) -> bool:
        """Whether there is a connection that nobody has closed."""
        return not self._closed and self._transport is not None and self._client.connected

    async def dial(self) -> None:
        """Connects.

        Raises:
            Unreachable: no connection could be made, or `close` was called meanwhile.
        """
        try:
            connected = await _uncancelled(self._client.connect())
        except BaseException:
            self.close()
            raise
        if not connected or self._closed:
            self.close()
            raise Unreachable(self._reason or f"no answer within {self._timeout_s:g} s")

    async def ask(self, call: Call) -> ModbusPDU:
        """Sends one request and waits for its answer; the caller sends none meanwhile.

        Raises:
            Silent: no usable answer came. The connection is not to be used again.
        """
        self._asking = True
        try:
            return await _uncancelled(call(self._client))
        except ConnectionException:
            raise _broken() from None
        except ModbusException:
            raise Silent("timeout", f"no answer came within {self._timeout_s:g} s") from None
        finally:
            self._asking = False

    def close(self) -> None:
        """Closes the connection, and ends a request or a dial under way. The socket is gone in the loop's next turn."""
        self._closed = True
        self._fail(_broken())
        if self._dialling is not None:
            self._dialling.cancel()
        self._client.close()
        if self._transport is not None:
            self._transport.abort()  # a request that could not be sent must not keep the socket open

    async def _connect(self) -> _Connection:
        dialling = self._dialling = asyncio.ensure_future(self._create())
        dialling.add_done_callback(self._dialled)
        try:
            return await dialling
        except asyncio.CancelledError:
            if not self._closed:
                raise
            self._reason = "the gateway has just stopped reading this device"
            raise OSError(self._reason) from None
        except OSError as error:
            self._reason = texts.reason_of(error, host=self._host)
            raise
        except ValueError as error:  # a host that cannot even be asked for, such as one with a label too long
            self._reason = f"{self._host!r} is no host name: {error}"
            raise OSError(self._reason) from None

    def _dialled(self, dialling: asyncio.Future[_Connection]) -> None:
        # Kept here and not where it is awaited: a cancellation at the same moment would lose the open socket.
        if not dialling.cancelled() and dialling.exception() is None:
            self._transport, _ = dialling.result()

    def _fail(self, failure: Silent) -> None:
        future = self._client.ctx.response_future
        if self._asking and not future.done():
            future.set_exception(failure)

    def _not_decoded(self) -> None:
        self._fail(Silent("undecodable_answer", "what came back is no answer of Modbus to the request"))
        self.close()


class _Framer(FramerSocket):
    """Frames of Modbus TCP that we ask for. Anything else is told to `refuse`, and never raised into the event loop."""

    def __init__(self, refuse: Callable[[], None]) -> None:
        super().__init__(_Decoder(is_server=False))
        self._refuse = refuse

    def handleFrame(  # noqa: N802 - pymodbus's name
        self, data: bytes, exp_devid: int, exp_tid: int
    ) -> tuple[int, ModbusPDU | None]:
        """The first frame in these bytes that answers the request, and how many bytes it ended after."""
        try:
            return super().handleFrame(data, exp_devid, exp_tid)
        except ModbusException:
            self._refuse()
            return len(data), None


class _Decoder(DecodePDU):
    """Knows the answers that we ask for, and no half registers."""

    def __init__(self, is_server: bool) -> None:
        super().__init__(is_server)
        self.pdu_table = {function: DecodePDU.pdu_table[function] for function in _FUNCTIONS}

    def decode(self, frame: bytes) -> ModbusPDU | None:
        """The answer in a frame; None where it is none."""
        if frame[0] in _REGISTER_READS and (len(frame) < 2 or frame[1] % 2):
            return None
        return super().decode(frame)


def _broken() -> Silent:
    return Silent("connection_broken", "the connection was closed instead of an answer")


async def _uncancelled(awaitable: Awaitable[_T]) -> _T:
    """The result, unless this task was asked to stop meanwhile."""
    task = asyncio.current_task()
    assert task is not None
    requests = task.cancelling()
    result = await awaitable
    if task.cancelling() > requests:
        raise asyncio.CancelledError
    return result
