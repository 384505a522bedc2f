"""What the uplink's tests share: a spool in memory, a subscriber, a wire that can be cut, an uplink at work."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from typing import Any, NamedTuple

import aiomqtt

from gateway.batch import Batch, Kind, Reading
from gateway.config.models import OfflineSettings, UplinkSettings
from gateway.gap import Gap
from gateway.metrics import Metrics
from gateway.points import PointTable
from gateway.spool import Spool
from gateway.spool.ledger.gaps import Entry
from gateway.uplink import Uplink
from tests.waiting import until

__all__ = ["MemorySpool", "Plant", "Received", "StoredRow", "Subscriber", "Wire", "subscribed", "until"]


class StoredRow(NamedTuple):
    seq: int
    device: str
    batch: Batch


class Unchanged:
    """A chain that changes nothing, and what it gives."""

    set_aside = None

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    @staticmethod
    def apply(batch: Batch, now_ns: int) -> Unchanged:
        return Unchanged(batch)


class MemoryLedger:
    """The gap ledger's contract in memory."""

    def __init__(self) -> None:
        self.waiting: list[Entry] = []
        self.told_numbers: list[int] = []

    def due(self, but: Collection[int] = ()) -> bool:
        return any(entry.number not in but for entry in self.waiting)

    async def take(self, limit: int, but: Collection[int] = ()) -> list[Entry]:
        return [entry for entry in self.waiting if entry.number not in but][:limit]

    async def told(self, numbers: Iterable[int]) -> None:
        self.told_numbers += numbers
        self.waiting = [entry for entry in self.waiting if entry.number not in self.told_numbers]


class MemorySpool:
    """The spool's contract in memory. Numbers without holes; counts its queries."""

    def __init__(self) -> None:
        self.gaps = MemoryLedger()
        self.given_up: dict[int, Gap] = {}
        self.rows: dict[int, StoredRow] = {}
        self.acked: list[int] = []
        self.queries = 0
        self._last = 0

    def append(self, device: str, batch: Batch) -> int:
        self._last += 1
        self.rows[self._last] = StoredRow(self._last, device, batch)
        return self._last

    async def pending(self, *, after: int, limit_readings: int, upto: int | None = None) -> list[StoredRow]:
        self.queries += 1
        # As with the real one, the answer is as old as the moment the query ran.
        found: list[StoredRow] = []
        readings = 0
        for seq in sorted(self.rows):
            if seq > after and (upto is None or seq <= upto) and readings < limit_readings:
                found.append(self.rows[seq])
                readings += len(self.rows[seq].batch)
        await asyncio.sleep(0.005)
        return found

    def ack(self, seqs: Iterable[int]) -> None:
        for seq in seqs:
            del self.rows[seq]  # a second acknowledgement of a row fails here
            self.acked.append(seq)

    def give_up(self, seqs: Mapping[int, Gap]) -> None:
        self.given_up.update(seqs)
        self.ack(seqs)


class Plant:
    """A gateway's inner half: points, a spool, metrics, and the uplink under test."""

    def __init__(self, settings: UplinkSettings, offline: OfflineSettings | None = None, **options: Any) -> None:
        self.points = PointTable()
        self.spool = MemorySpool()
        self.metrics = Metrics()
        self.uplink = Uplink(
            settings,
            offline or OfflineSettings(),
            gateway_id="gw",
            spool=self.spool,
            points=self.points,
            metrics=self.metrics,
            **options,
        )

    def batch(self, *values: float, device: str = "press") -> Batch:
        point = self.points.intern(f"s/a/l/{device}/temperature", device=device, kind=Kind.F64)
        return Batch.of(Reading(1_700_000_000_000_000_000 + i, value, point) for i, value in enumerate(values))

    def store(self, *values: float, device: str = "press") -> int:
        """Commits a batch and does not offer it: what an earlier process, or a cancelled adapter, left."""
        return self.spool.append(device, self.batch(*values, device=device))

    def emit(self, *values: float, device: str = "press") -> int:
        """Commits a batch and offers it, as the flow does."""
        batch = self.batch(*values, device=device)
        seq = self.spool.append(device, batch)
        self.uplink.offer(seq, device, batch)
        return seq

    def count(self, name: str, labels: str = "") -> float:
        return self.metrics.snapshot().get(name, {}).get(labels, 0.0)

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[asyncio.Task[None]]:
        """The uplink at work; stopped cleanly at the end when it still runs."""
        async with connected(self.uplink) as task:
            yield task


def uplink_of(
    spool: Spool, port: int, *, metrics: Metrics, offline: OfflineSettings | None = None, **settings: Any
) -> Uplink:
    """The uplink of a real spool."""
    return Uplink(
        UplinkSettings(host="127.0.0.1", port=port, **settings),
        offline or OfflineSettings(),
        gateway_id="gw",
        spool=spool,
        points=spool.points,
        metrics=metrics,
    )


@contextlib.asynccontextmanager
async def connected(uplink: Uplink) -> AsyncIterator[asyncio.Task[None]]:
    """An uplink at work; stopped cleanly at the end when it still runs."""
    task = asyncio.create_task(uplink.run())
    try:
        await until(lambda: uplink.status["state"] == "connected" or task.done())
        if task.done():
            task.result()
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Received(NamedTuple):
    topic: str
    payload: Any
    retain: bool

    @property
    def values(self) -> list[Any]:
        return [reading["value"] for reading in self.payload["readings"]]


class Subscriber:
    """Everything that came to a topic filter, in order."""

    def __init__(self) -> None:
        self.messages: list[Received] = []

    def data(self) -> list[Received]:
        return [message for message in self.messages if "/data/" in message.topic]

    def gaps(self) -> list[Any]:
        return [message.payload for message in self.messages if message.topic.endswith("/gaps")]

    def states(self) -> list[str]:
        return [message.payload["state"] for message in self.messages if message.topic.endswith("/status")]

    def seqs(self, *, replayed: bool | None = None) -> list[int]:
        return [m.payload["seq"] for m in self.data() if replayed is None or m.payload["replayed"] is replayed]


@contextlib.asynccontextmanager
async def subscribed(port: int, topics: str = "#", **options: Any) -> AsyncIterator[Subscriber]:
    subscriber = Subscriber()
    client = aiomqtt.Client("127.0.0.1", port, **options)

    async def collect() -> None:
        with contextlib.suppress(aiomqtt.MqttError):  # the test stopped the broker
            async for message in client.messages:
                subscriber.messages.append(
                    Received(message.topic.value, json.loads(bytes(message.payload)), bool(message.retain))
                )

    with contextlib.suppress(aiomqtt.MqttError):
        async with client:
            await client.subscribe(topics, qos=1)
            task = asyncio.create_task(collect())
            try:
                yield subscriber
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


class Wire:
    """A TCP proxy to the broker that can be cut without a word, or made to swallow what the broker answers."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._port = 0
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.answers = asyncio.Event()
        self.answers.set()

    @property
    def port(self) -> int:
        return self._port

    async def __aenter__(self) -> Wire:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def close(self) -> None:
        """Lets no new connection in."""
        assert self._server is not None
        self._server.close()

    def cut(self) -> None:
        """Breaks every connection at once (RST), both ways."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        self._writers += [writer, to_writer]
        for source, target, answers in ((reader, to_writer, False), (to_reader, writer, True)):
            self._tasks.add(asyncio.create_task(self._pipe(source, target, answers=answers)))

    async def _pipe(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, answers: bool) -> None:
        try:
            while data := await source.read(65_536):
                if answers:
                    await self.answers.wait()
                target.write(data)
                await target.drain()
        except OSError:
            pass
        finally:
            target.transport.abort()
