"""The cable between the gateway and a PLC: a TCP proxy on loopback that can be pulled and plugged in again.

Pulled, it is silent, as a cable is: nobody is told, what is on its way vanishes, and who connects waits for an answer.
Plugged in again, the connections from before are dead: their ends have given different bytes up for lost.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

__all__ = ["Cable"]

HOST = "127.0.0.1"


class Cable:
    """Leads TCP connections to `target_port` on loopback, while it is plugged in."""

    def __init__(self, *, target_port: int) -> None:
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._ends: list[asyncio.StreamWriter] = []
        self._handlers: set[asyncio.Task[None]] = set()
        self.is_plugged = True
        self.port = 0

    async def __aenter__(self) -> Cable:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self._abort()
        handlers = tuple(self._handlers)
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        await self._server.wait_closed()

    def pull(self) -> None:
        """From now on nothing gets through, in either direction."""
        self.is_plugged = False

    def plug(self) -> None:
        """Lets new connections through."""
        self._abort()
        self.is_plugged = True

    def _abort(self) -> None:
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        self._ends.append(writer)
        try:
            if not self.is_plugged:
                await reader.read()  # until the one who waits there gives up
                return
            far_reader, far_writer = await asyncio.open_connection(HOST, self._target_port)
            self._ends.append(far_writer)
            with suppress(OSError):
                await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        except (OSError, asyncio.CancelledError):
            return
        finally:
            writer.transport.abort()
            self._handlers.discard(task)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while chunk := await source.read(65_536):
            if self.is_plugged:
                sink.write(chunk)
                await sink.drain()
        if self.is_plugged:
            sink.transport.abort()
