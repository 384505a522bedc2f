"""The network between the gateway and the broker: a TCP proxy on loopback that can be cut and mended.

While it is cut, open connections are gone, with all that was on its way in them, and new ones are closed at once. Its
port stays its own all the time, so that no other program can answer in its place.
"""

from __future__ import annotations

import asyncio
from typing import Final

__all__ = ["Cutter"]

HOST: Final = "127.0.0.1"
CHUNK_BYTES: Final = 65_536


class Cutter:
    """Forwards TCP connections to `target_port` on loopback, while it is not cut."""

    def __init__(self, *, target_port: int) -> None:
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.is_cut = False
        self.port = 0
        """Where to connect to, once started."""

    async def __aenter__(self) -> Cutter:
        self._server = await asyncio.start_server(self._accept, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await asyncio.sleep(0)  # who was let in a moment ago is known then
        await self._drop_all()
        await self._server.wait_closed()

    async def cut(self) -> None:
        """Cuts every connection; what is on its way is lost, as in a real network."""
        self.is_cut = True
        await self._drop_all()

    def mend(self) -> None:
        """Lets connections through again."""
        self.is_cut = False

    async def _drop_all(self) -> None:
        connections = tuple(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)

        def end(_: object) -> None:
            # Here and not in the task: one that is cancelled before its first step would leave the connection open.
            self._connections.discard(task)
            if self.is_cut:
                writer.transport.abort()
            else:
                writer.close()

        task.add_done_callback(end)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self._target_port)
            await self._join(reader, writer, far_reader, far_writer)
        except OSError:
            return  # one side is gone, or nobody listens there: the other side sees its connection closed

    async def _join(
        self,
        near_reader: asyncio.StreamReader,
        near_writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        """Carries bytes both ways until both ends have said that there will be no more.

        Raises:
            OSError: an end went away.
        """
        pumps = [
            asyncio.create_task(self._carry(near_reader, far_writer, from_target=False)),
            asyncio.create_task(self._carry(far_reader, near_writer, from_target=True)),
        ]
        try:
            await asyncio.gather(*pumps)
        except BaseException:
            far_writer.transport.abort()
            raise
        finally:
            far_writer.close()  # first: a cut may come while the pumps end
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, from_target: bool) -> None:  # noqa: ARG002 - for lines that are worse in one direction
        """Carries one direction to its end."""
        while chunk := await source.read(CHUNK_BYTES):
            sink.write(chunk)
            await sink.drain()
        sink.write_eof()
