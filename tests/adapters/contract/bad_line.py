"""A TCP line to a server that can be cut, silenced, slowed and garbled."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

__all__ = ["BadLine"]

HOST = "127.0.0.1"


class BadLine:
    """Forwards connections to a port on loopback, as an asynchronous context.

    Attributes:
        port: where to connect to.
        delay_s: how long each piece takes on its way, in seconds.
        silent: nothing comes through, and nobody is told.
        garbled: share of the pieces from the server in which one byte is another, from 0 to 1.
    """

    def __init__(self, target_port: int, *, seed: int = 1) -> None:
        self._target_port = target_port
        self._rng = random.Random(seed)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._cut = False
        self.port = 0
        self.delay_s = 0.0
        self.silent = False
        self.garbled = 0.0
        self.carried = 0
        """Connections that reached the server."""

    async def __aenter__(self) -> BadLine:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._hang_up()
        await self._server.wait_closed()

    async def cut(self) -> None:
        """Resets every connection; new ones are reset at once."""
        self._cut = True
        await self._hang_up()

    def mend(self) -> None:
        """All is well again."""
        self._cut, self.silent, self.garbled, self.delay_s = False, False, 0.0, 0.0

    async def _hang_up(self) -> None:
        connections = tuple(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        far: asyncio.StreamWriter | None = None
        try:
            if self._cut:
                return
            there, far = await asyncio.open_connection(HOST, self._target_port)
            self.carried += 1
            pumps = [
                asyncio.ensure_future(self._carry(reader, far, from_server=False)),
                asyncio.ensure_future(self._carry(there, writer, from_server=True)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:
            pass
        except asyncio.CancelledError:
            pass  # the cut itself; the stream server would report it as an error of ours
        finally:
            for end in (writer, far):
                if end is not None:
                    end.transport.abort()
                    with suppress(OSError):
                        await end.wait_closed()
            self._connections.discard(task)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, from_server: bool) -> None:
        while piece := await source.read(65_536):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            if self.silent:
                continue
            if from_server and self._rng.random() < self.garbled:
                piece = self._garble(piece)
            sink.write(piece)
            await sink.drain()

    def _garble(self, piece: bytes) -> bytes:
        at = self._rng.randrange(len(piece))
        return piece[:at] + bytes([piece[at] ^ self._rng.randrange(1, 256)]) + piece[at + 1 :]
