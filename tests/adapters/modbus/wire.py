"""A serial line for the tests: a pseudo terminal, or TCP, behind which pymodbus's own RTU server answers.

The bytes of each request go to a script, which may answer late, twice, garbled or not at all.
"""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from adapters.modbus.settings import ModbusSettings, ModbusTag, SerialSettings
from tests.adapters.modbus.rig import LOOPBACK
from tests.serving import serving


@dataclass
class Asked:
    """One request of RTU; `reply` sends bytes to the client, `ask` fetches the true answer."""

    request: bytes
    reply: Callable[[bytes], None]
    ask: Callable[[], Awaitable[bytes]]

    @property
    def unit_id(self) -> int:
        return self.request[0]

    @property
    def function(self) -> int:
        return self.request[1]

    @property
    def address(self) -> int:
        return int.from_bytes(self.request[2:4], "big")

    async def forward(self) -> None:
        self.reply(await self.ask())


Script = Callable[[Asked], Awaitable[None]]


async def forward(asked: Asked) -> None:
    await asked.forward()


def _request_bytes(data: bytes) -> int:
    """Length of the request that begins like this; more than there is where that cannot be told yet."""
    if len(data) < 8:
        return 8
    return {15: 9 + data[6], 16: 9 + data[6], 22: 10}.get(data[1], 8)


def _answer_bytes(data: bytes) -> int:
    if len(data) < 5:
        return 5
    if data[1] & 0x80:
        return 5
    return 5 + data[2] if data[1] <= 4 else 10 if data[1] == 22 else 8


class _Slave:
    """Answers what comes in, one request at a time."""

    def __init__(self, port: int, script: Script, reply: Callable[[bytes], None]) -> None:
        self._port, self._script, self._reply = port, script, reply
        self._buffer = bytearray()
        self._came = asyncio.Event()

    def feed(self, data: bytes) -> None:
        self._buffer += data
        self._came.set()

    async def run(self) -> None:
        reader, writer = await asyncio.open_connection(LOOPBACK, self._port)
        try:
            while True:
                self._came.clear()
                size = _request_bytes(self._buffer)
                if len(self._buffer) < size:
                    await self._came.wait()
                    continue
                request = bytes(self._buffer[:size])
                del self._buffer[:size]

                async def ask(request: bytes = request) -> bytes:
                    writer.write(request)
                    answer = b""
                    while len(answer) < _answer_bytes(answer):
                        answer += await reader.readexactly(_answer_bytes(answer) - len(answer))
                    return answer

                await self._script(Asked(request, self._reply, ask))
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def serial_line(target_port: int, script: Script = forward) -> AsyncIterator[str]:
    """A pseudo terminal with a slave at its other end; yields the port's name."""
    master, port = os.openpty()
    tty.setraw(port)
    os.set_blocking(master, False)
    loop = asyncio.get_running_loop()
    slave = _Slave(target_port, script, lambda data: [os.write(master, data), None][1])
    loop.add_reader(master, lambda: slave.feed(os.read(master, 1024)))
    task = asyncio.create_task(slave.run())
    try:
        yield os.ttyname(port)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        loop.remove_reader(master)
        os.close(master)
        os.close(port)


@asynccontextmanager
async def device_server(target_port: int, script: Script = forward) -> AsyncIterator[int]:
    """A serial device server (RTU over TCP): one line, whatever the connection. Yields its port."""
    clients: list[asyncio.StreamWriter] = []

    def reply(data: bytes) -> None:
        for writer in clients[-1:]:  # whoever is connected now gets what the line says
            writer.write(data)

    slave = _Slave(target_port, script, reply)
    task = asyncio.create_task(slave.run())

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.append(writer)
        try:
            while data := await reader.read(1024):
                slave.feed(data)
        finally:
            clients.remove(writer)

    try:
        async with serving(serve) as server:
            yield server.port
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def on_line(port: str, tags: list[ModbusTag], **changes: Any) -> ModbusSettings:
    values: dict[str, Any] = {"name": "plc", "interval_s": 0.05, "timeout_s": 2.0, **changes}
    serial = values.pop("serial", None) or SerialSettings(port=port, baudrate=115200)
    return ModbusSettings(transport="rtu", serial=serial, tags=tags, **values)
