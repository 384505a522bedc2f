"""A connection as bytes in and bytes out: what TCP, TLS and a serial line have in common, and the first two of them.

A channel is opened once, and once it is lost or closed it is never used again. It keeps what comes in until somebody
looks; more than `MOST_BYTES` that nobody asked for ends it, so that a babbling peer costs no memory.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, cast

from adapters.modbus import texts
from adapters.modbus.endpoint import Endpoint
from adapters.modbus.errors import Silent, Unreachable
from gateway.config.certificates import tls_context
from gateway.errors import TidegateError

__all__ = ["Channel", "open_channel"]

MOST_BYTES: Final = 4_096


class Channel(ABC):
    """Bytes in and out. Subclasses move them."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        """What came in and was not yet taken."""
        self.at_s = 0.0
        """When the last byte came in or went out, or the network connection was made, by the loop's clock."""
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._lost = False

    @property
    def usable(self) -> bool:
        """Whether it is open."""
        return not self._lost

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Sends; what cannot be sent shows as a lost channel."""

    def close(self) -> None:
        """Closes; whoever waits for bytes is told."""
        self._lose()

    async def more(self) -> None:
        """Waits until more has come in. One caller at a time.

        Raises:
            Silent: the channel was lost, or closed.
        """
        if self._lost:
            raise _broken()
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _came(self, data: bytes) -> None:
        self.at_s = self._loop.time()
        self.buffer += data
        if len(self.buffer) > MOST_BYTES:
            self.close()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _lose(self) -> None:
        self._lost = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(_broken())


class StreamChannel(Channel, asyncio.Protocol):
    """TCP, or TLS over it."""

    def __init__(self) -> None:
        super().__init__()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The loop has connected."""
        self.at_s = self._loop.time()
        self._transport = cast("asyncio.Transport", transport)
        if self._lost:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """The loop has read."""
        self._came(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's argument
        """The loop has lost the connection."""
        self._lose()

    def send(self, data: bytes) -> None:
        """See `Channel`."""
        self.at_s = self._loop.time()
        if self._transport is not None and not self._lost:
            self._transport.write(data)

    def close(self) -> None:
        """See `Channel`. What could not be sent must not keep the socket open: it is gone in the loop's next turn."""
        super().close()
        if self._transport is not None:
            self._transport.abort()


async def open_channel(endpoint: Endpoint, *, timeout_s: float, opening: Callable[[Channel], None]) -> Channel:
    """Connects.

    Args:
        endpoint: where to.
        timeout_s: longest wait.
        opening: is given the channel before it is open, so that it can be closed meanwhile.

    Raises:
        Unreachable: no connection could be made; the text is the reason.
    """
    if endpoint.serial is not None:
        from adapters.modbus.serialport import SerialChannel

        line = SerialChannel(endpoint.serial)
        opening(line)
        return line
    channel = StreamChannel()
    opening(channel)
    context = name = None
    try:
        async with asyncio.timeout(timeout_s):
            if endpoint.tls is not None:
                context = await asyncio.to_thread(tls_context, endpoint.tls, "tls")
                name = endpoint.tls.server_name or endpoint.host
            await asyncio.get_running_loop().create_connection(
                lambda: channel, endpoint.host, endpoint.port, ssl=context, server_hostname=name
            )
    except TimeoutError:
        reason = f"no answer within {timeout_s:g} s"
    except TidegateError as error:
        reason = str(error)
    except OSError as error:
        reason = texts.reason_of(error, host=endpoint.host)
    except ValueError as error:  # a host that cannot even be asked for, such as one with a label too long
        reason = f"{endpoint.host!r} is no host name: {error}"
    except BaseException:
        channel.close()
        raise
    else:
        if channel.usable:
            return channel
        reason = "it closed the connection at once"
    channel.close()
    raise Unreachable(reason)


def _broken() -> Silent:
    return Silent("connection_broken", "the connection was closed instead of an answer")
