"""A TCP line to a server that can be cut, silenced, slowed and garbled."""

from __future__ import annotations

import asyncio
import random

from gateway.demo.cutter import CHUNK_BYTES, Cutter

__all__ = ["BadLine"]


class BadLine(Cutter):
    """Forwards connections to a port on loopback, as an asynchronous context.

    Args:
        target_port: where to.
        seed: of the bytes that are garbled.
        delay_s: how long each piece takes on its way while all is well, in seconds.

    Attributes:
        delay_s: how long each piece takes now.
        silent: nothing gets through in either direction, and nobody is told: not even that an end is gone. What was on
            its way vanishes, so that a connection from before is dead for good: `cut` and `mend` end it.
        garbled: share of the pieces from the server in which one byte is another, from 0 to 1.
        carried: connections that reached the server.
    """

    def __init__(self, target_port: int, *, seed: int = 1, delay_s: float = 0.0) -> None:
        super().__init__(target_port=target_port)
        self._rng = random.Random(seed)
        self._usual_delay_s = self.delay_s = delay_s
        self.silent = False
        self.garbled = 0.0
        self.carried = 0

    def mend(self) -> None:
        """All is well again."""
        super().mend()
        self.silent, self.garbled, self.delay_s = False, 0.0, self._usual_delay_s

    async def _join(
        self,
        near_reader: asyncio.StreamReader,
        near_writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        self.carried += 1
        await super()._join(near_reader, near_writer, far_reader, far_writer)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, from_target: bool) -> None:
        try:
            while piece := await source.read(CHUNK_BYTES):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if self.silent:
                    continue
                if from_target and self._rng.random() < self.garbled:
                    piece = self._garble(piece)
                sink.write(piece)
                await sink.drain()
            if not self.silent:
                sink.write_eof()
        except OSError:
            if not self.silent:
                raise

    def _garble(self, piece: bytes) -> bytes:
        at = self._rng.randrange(len(piece))
        return piece[:at] + bytes([piece[at] ^ self._rng.randrange(1, 256)]) + piece[at + 1 :]
