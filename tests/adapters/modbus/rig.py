"""What the Modbus tests stand on: pymodbus's own server, a gateway that can misbehave, and an adapter at work.

Everything is on loopback, on ports that the system chose. Waits poll for a condition; the bound is only there so that a
test which will never succeed ends.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer, ModbusTlsServer
from pymodbus.simulator import DataType, SimData, SimDevice

from adapters.base import Context
from adapters.modbus import PROTOCOL
from adapters.modbus.settings import ModbusSettings, ModbusTag
from gateway.batch import Batch, Reading
from gateway.metrics import Metrics
from tests.adapters.gaps import Gaps
from tests.serving import serving

LOOPBACK = "127.0.0.1"


def device(
    unit_id: int = 1,
    *,
    holding: dict[int, Sequence[int]] | None = None,
    input_: dict[int, Sequence[int]] | None = None,
    coils: Sequence[bool] = (False,) * 16,
    discrete: Sequence[bool] = (False,) * 16,
) -> SimDevice:
    """A device of pymodbus; addresses that are not given are illegal."""

    def registers(blocks: dict[int, Sequence[int]] | None) -> list[SimData]:
        return [
            SimData(address, values=list(words), datatype=DataType.REGISTERS)
            for address, words in (blocks or {60_000: [0]}).items()
        ]

    return SimDevice(
        id=unit_id,
        simdata=(
            [SimData(0, values=list(coils), datatype=DataType.BITS)],
            [SimData(0, values=list(discrete), datatype=DataType.BITS)],
            registers(holding),
            registers(input_),
        ),
    )


@dataclass
class Plc:
    server: ModbusTcpServer
    port: int
    requests: list[tuple[int, int, int, int]] = field(default_factory=list)
    """Unit, function, address and count of each request."""
    writes: list[tuple[int, int, int, tuple[int, ...]]] = field(default_factory=list)
    """Unit, function, address and words of each request that writes; the words as in `encode.Write`."""

    @property
    def connections(self) -> int:
        return len(self.server.active_connections)


@asynccontextmanager
async def plc(
    *devices: SimDevice, port: int = 0, framer: FramerType = FramerType.SOCKET, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Plc]:
    requests: list[tuple[int, int, int, int]] = []
    writes: list[tuple[int, int, int, tuple[int, ...]]] = []

    def note(sending: bool, pdu: Any) -> Any:
        if not sending:
            requests.append((pdu.dev_id, pdu.function_code, pdu.address, pdu.count))
            if pdu.function_code > 4:
                words = (pdu.and_mask, pdu.or_mask) if pdu.function_code == 22 else (*(pdu.bits or pdu.registers),)
                writes.append((pdu.dev_id, pdu.function_code, pdu.address, words))
        return pdu

    where: dict[str, Any] = {"address": (LOOPBACK, port), "trace_pdu": note, "framer": framer}
    if tls is None:
        server = ModbusTcpServer(list(devices), **where)
    else:
        server = ModbusTlsServer(list(devices), sslctx=tls, **where)
    await server.serve_forever(background=True)
    try:
        yield Plc(server, server.transport.sockets[0].getsockname()[1], requests, writes)
    finally:
        await server.shutdown()
        await asyncio.sleep(0)


@dataclass
class Exchange:
    """One request that a gateway got.

    `reply` sends bytes to the client, `ask` fetches the true answer, `hang_up` closes the client's connection,
    `go_away` makes the gateway take no more connections, and `early` is what the client sent before it had an answer.
    """

    request: bytes
    reply: Callable[[bytes], None]
    hang_up: Callable[[], None]
    go_away: Callable[[], None]
    ask: Callable[[], Awaitable[bytes]]
    early: Callable[[], bytes]

    @property
    def function(self) -> int:
        return self.request[7]

    @property
    def unit_id(self) -> int:
        return self.request[6]

    @property
    def address(self) -> int:
        return int.from_bytes(self.request[8:10], "big")

    @property
    def count(self) -> int:
        return int.from_bytes(self.request[10:12], "big")

    async def forward(self) -> None:
        self.reply(await self.ask())

    def refuse(self, code: int) -> None:
        function = self.request[7] | 0x80
        self.reply(self.request[:4] + b"\x00\x03" + bytes([self.unit_id, function, code]))


Script = Callable[[Exchange], Awaitable[None]]


@asynccontextmanager
async def gateway(target_port: int, script: Script) -> AsyncIterator[int]:
    """A Modbus TCP gateway that does with each request what the script says; yields its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(LOOPBACK, target_port)
        try:
            while True:
                request = await _frame(reader)

                async def ask(request: bytes = request) -> bytes:
                    up_writer.write(request)
                    return await _frame(up_reader)

                early = partial(bytes, reader._buffer)  # type: ignore[attr-defined]
                await script(Exchange(request, writer.write, writer.close, server.refuse, ask, early))
        finally:
            up_writer.close()
            with suppress(ConnectionError):
                await up_writer.wait_closed()

    async with serving(serve) as server:
        yield server.port


async def _frame(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(6)
    return head + await reader.readexactly(int.from_bytes(head[4:6], "big"))


def settings(port: int, tags: Sequence[ModbusTag], **changes: Any) -> ModbusSettings:
    values: dict[str, Any] = {"name": "plc", "host": LOOPBACK, "interval_s": 0.02, "timeout_s": 5.0, **changes}
    return ModbusSettings(port=port, tags=list(tags), **values)


class Inbox:
    """An `emit` that keeps everything; a test can make it wait."""

    def __init__(self, gaps: Gaps) -> None:
        self.batches: list[Batch] = []
        self.gaps = gaps
        self.open = asyncio.Event()
        self.open.set()
        self._read = 0
        self._by_point: dict[int, list[Reading]] = {}

    async def __call__(self, batch: Batch) -> None:
        self.gaps.take(batch)
        self.batches.append(batch)
        await self.open.wait()

    def of(self, point: int) -> list[Reading]:
        return [*self._known().get(point, ())]

    def last(self) -> dict[int, Reading]:
        return {point: readings[-1] for point, readings in self._known().items()}

    def _known(self) -> dict[int, list[Reading]]:
        """Each batch is taken apart once: tests look again and again."""
        for batch in self.batches[self._read :]:
            for reading in batch:
                self._by_point.setdefault(reading.point, []).append(reading)
        self._read = len(self.batches)
        return self._by_point


class Site:
    """An adapter, and what it was given. Points are 1, 2, 3 and so on, in the order of the tags."""

    def __init__(self, what: ModbusSettings, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        assert PROTOCOL.check(what) == []
        self.name = what.name
        self.gaps = Gaps(what.name, ["", *(tag.name for tag in what.tags)], now_ns=now_ns)
        self.inbox = Inbox(self.gaps)
        self.live: list[bool] = []
        self.metrics = Metrics()
        self.context = Context(
            points=range(1, len(what.tags) + 1),
            metrics=self.metrics,
            now_ns=now_ns,
            live=self.live.append,
            facts={},
            missing=self.gaps.missing,
        )
        self.adapter = PROTOCOL.create(what, self.context)

    async def run(self) -> None:
        await self.adapter.run(self.inbox)

    def errors(self, cause: str) -> float:
        return self.metrics.snapshot().get("tidegate_source_errors_total", {}).get(f"{self.name},{cause}", 0.0)

    def fact(self, name: str) -> Any:
        """What status shows now."""
        fact = self.context.facts[name]
        return fact() if callable(fact) else fact

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.run())
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def words(raw: bytes) -> list[int]:
    """Registers of bytes as they lie on the wire."""
    return [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]


def numbered(count: int, *, step: int = 1, **tag: Any) -> Iterator[ModbusTag]:
    for i in range(count):
        yield ModbusTag(name=f"t{i}", address=i * step, **tag)
