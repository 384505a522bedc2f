"""A real OPC UA server to read from, a line to it that can be cut, and the adapter at work on it."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.address_space import AttributeValue, NodeData
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.subscription_service import SubscriptionService

from adapters.base import NOWHERE, Adapter, Context
from adapters.opcua import PROTOCOL
from adapters.opcua.settings import OpcuaSettings, OpcuaTag
from adapters.plant.subscriptions import use_kept_subscriptions
from gateway.batch import Batch, Reading
from gateway.metrics import Metrics
from tests.adapters.gaps import Gaps
from tests.waiting import until

__all__ = ["NOW_NS", "Line", "Plc", "Remembered", "Rig", "add_doubles", "chunk"]

NOW_NS = 1_800_000_000_000_000_000
"""What the gateway's clock says in these tests."""

URI = "urn:tidegate:test"

ALL = 1_000_000
"""More messages than any test sends."""


class _Users:
    """Lets in anybody without a name, and `op` with the password `right`."""

    def get_user(
        self, iserver: object, username: str | None = None, password: str | None = None, certificate: object = None
    ) -> User | None:
        return User(role=UserRole.User) if (username, password) in ((None, None), ("op", "right")) else None


class Plc:
    """An asyncua server on a port that the system chose. Starting one costs seconds, so most tests share one."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.port = 0

    @classmethod
    async def start(cls, port: int = 0, *, stock: bool = False, before: tuple[str, ...] = ()) -> "Plc":
        """Starts one.

        Args:
            port: where; 0 lets the system choose.
            stock: with asyncua's own subscriptions, which cannot be taken over (`adapters.plant`).
            before: namespaces that come before ours.
        """
        server = Server(user_manager=_Users())
        await server.init()
        if not stock:
            use_kept_subscriptions(server)
        server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        for uri in before:
            await server.register_namespace(uri)
        assert await server.register_namespace(URI) == 2 + len(before)
        plc = cls(server)
        await server.start()
        plc.port = server.bserver.port
        return plc

    async def stop(self) -> None:
        await self.clear()
        await self.server.stop()

    async def clear(self) -> None:
        """Ends what a test left behind. Its variables stay: asyncua takes a minute to delete thousands."""
        await self.service.delete_subscriptions([*self.service.subscriptions])
        for client in [*self.server.bserver.clients]:
            client.transport.abort()

    async def add(self, name: str, value: Any, *, namespace: int = 2) -> None:
        await self.add_all({name: value}, namespace=namespace)

    async def add_all(self, values: dict[str, Any], *, namespace: int = 2) -> None:
        """Adds variables whose node ids are ns=2;s=NAME; one that an earlier test added gets the new value.

        For thousands there is `put`: asyncua compares each with all its siblings.
        """
        variants = [value if isinstance(value, ua.Variant) else ua.Variant(value) for value in values.values()]
        results = await self.server.iserver.isession.add_nodes(
            [
                ua.AddNodesItem(
                    ParentNodeId=ua.NodeId(ua.ObjectIds.ObjectsFolder),
                    ReferenceTypeId=ua.NodeId(ua.ObjectIds.Organizes),
                    RequestedNewNodeId=ua.NodeId(name, namespace),
                    BrowseName=ua.QualifiedName(name, 2),
                    NodeClass=ua.NodeClass.Variable,
                    NodeAttributes=ua.VariableAttributes(Value=variant),
                    TypeDefinition=ua.NodeId(ua.ObjectIds.BaseDataVariableType),
                )
                for name, variant in zip(values, variants, strict=True)
            ]
        )
        for name, variant, result in zip(values, variants, results, strict=True):
            if result.StatusCode.value == ua.StatusCodes.BadNodeIdExists:
                await self.write(name, ua.DataValue(variant, SourceTimestamp=datetime.now(UTC)))
            else:
                result.StatusCode.check()

    async def put(self, values: dict[str, float]) -> None:
        """Adds variables that no folder knows, ns=2;s=NAME: asyncua takes seconds to put thousands into a tree."""
        first, *others = values
        await self.add(first, values[first])
        aspace = self.server.iserver.aspace
        model = aspace[ua.NodeId(first, 2)].attributes
        for name in others:
            made = NodeData(ua.NodeId(name, 2))
            made.attributes = {number: AttributeValue(one.value) for number, one in model.items()}
            value = ua.DataValue(ua.Variant(values[name]), SourceTimestamp=datetime.now(UTC))
            made.attributes[ua.AttributeIds.Value] = AttributeValue(value)
            aspace[made.nodeid] = made

    async def write(self, name: str, value: ua.DataValue) -> None:
        result = await self.server.iserver.aspace.write_attribute_value(
            ua.NodeId(name, 2), ua.AttributeIds.Value, value
        )
        result.check()

    @property
    def service(self) -> SubscriptionService:
        return self.server.iserver.subscription_service

    @property
    def subscription(self) -> InternalSubscription:
        (subscription,) = self.service.subscriptions.values()
        return subscription

    @property
    def unacknowledged(self) -> list[int]:
        """Sequence numbers that the one subscription keeps until they are acknowledged."""
        return [*self.subscription._not_acknowledged_results]

    @property
    def connections(self) -> int:
        return len(self.server.bserver.clients)


async def add_doubles(server: Server, parent: ua.NodeId, numbers: Iterable[int], *, prefix: str) -> None:
    """Adds variables below a node at once: ns=2;s=PREFIXn, browse name tn, with n as its value."""
    results = await server.iserver.isession.add_nodes(
        [
            ua.AddNodesItem(
                ParentNodeId=parent,
                ReferenceTypeId=ua.NodeId(ua.ObjectIds.HasComponent),
                RequestedNewNodeId=ua.NodeId(f"{prefix}{number}", 2),
                BrowseName=ua.QualifiedName(f"t{number}", 2),
                NodeClass=ua.NodeClass.Variable,
                NodeAttributes=ua.VariableAttributes(
                    Value=ua.Variant(float(number)), DataType=ua.NodeId(ua.ObjectIds.Double), ValueRank=-1
                ),
                TypeDefinition=ua.NodeId(ua.ObjectIds.BaseDataVariableType),
            )
            for number in numbers
        ]
    )
    for result in results:
        result.StatusCode.check()


async def chunk(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The next chunk of OPC UA over TCP (OPC 10000-6, 7.1.2): its header of 8 bytes, and what follows."""
    header = await reader.readexactly(8)
    return header, await reader.readexactly(int.from_bytes(header[4:], "little") - 8)


class Line:
    """A TCP line to a server that passes so many of its messages and then nothing more.

    `deaf`: from the next byte on, nothing that the gateway sends is taken any more.
    """

    def __init__(self, plc: Plc, passes: int = ALL) -> None:
        self._plc = plc
        self.passes = passes
        self.passed = 0
        self.stalled = asyncio.Event()
        self.deaf = False
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Line"]:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self._writers:
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()
            await server.wait_closed()

    @property
    def cut(self) -> bool:
        """Whether the gateway has closed its end."""
        return all(writer.transport.is_closing() for writer in self._writers[::2])

    def mend(self) -> None:
        """Passes everything again, on new connections."""
        self.passes, self.deaf = ALL, False
        self.stalled.clear()

    def hang_up(self) -> None:
        """Closes the line at both ends."""
        for writer in self._writers:
            writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._plc.port)
        self._writers += [writer, back]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._forth(reader, writer, back))
            group.create_task(self._back(there, writer))

    async def _forth(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if self.deaf:
                    reader._transport.pause_reading()
                    return
                if not self.stalled.is_set():
                    back.write(data)
                    await back.drain()
        writer.close()
        back.close()

    async def _back(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                header, body = await chunk(there)
                if self.passed >= self.passes:
                    self.stalled.set()
                    continue
                self.passed += 1
                writer.write(header + body)
                await writer.drain()
        if not self.stalled.is_set():
            writer.close()


class Remembered:
    """A memory that outlives the adapter, as the spool's does."""

    def __init__(self) -> None:
        self.wanted = True
        self.state = b""
        self.mark = b""

    async def recall(self) -> tuple[bytes, bytes]:
        return self.state, self.mark

    async def keep(self, state: bytes) -> bool:
        self.state = state
        return True


class Rig:
    """An adapter on a server, and what it emitted."""

    def __init__(self, port: int, nodes: dict[str, str], **settings: Any) -> None:
        kinds, site = settings.pop("kinds", {}), settings.pop("site", NOWHERE)
        own = settings.pop("own", {})
        memory = settings.pop("memory", None)
        tags = [
            OpcuaTag(name=name, node=node, kind=kinds.get(name), **own.get(name, {})) for name, node in nodes.items()
        ]
        names = [name for tag in tags for name in tag.point_names]
        settings = {"publishing_interval_ms": 20.0, "timeout_s": 5.0, **settings}
        self.settings = OpcuaSettings(name="press", url=f"opc.tcp://127.0.0.1:{port}", tags=tags, **settings)
        self.metrics = Metrics()
        self.lives: list[bool] = []
        self.gaps = Gaps("press", [""] * 101 + names, now_ns=lambda: NOW_NS)
        self.context = Context(
            points=range(101, 101 + len(names)),
            metrics=self.metrics,
            now_ns=lambda: NOW_NS,
            live=self.lives.append,
            site=site,
            memory=memory,
            missing=self.gaps.missing,
        )
        self.memory: Remembered | None = memory
        self.numbers = dict(zip(names, range(101, 101 + len(names)), strict=True))
        self.batches: list[Batch] = []
        self.entered = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.adapter: Adapter = PROTOCOL.create(self.settings, self.context)

    async def emit(self, batch: Batch, mark: bytes = b"", /) -> None:
        self.entered += 1
        await self.gate.wait()
        self.gaps.take(batch)
        self.batches.append(batch)
        if mark and self.memory is not None:
            self.memory.mark = mark

    @asynccontextmanager
    async def running(self) -> AsyncIterator["asyncio.Task[None]"]:
        task = asyncio.create_task(self.adapter.run(self.emit))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])

    def of(self, name: str) -> list[Reading]:
        """The readings of one tag, in order."""
        return [reading for batch in self.batches for reading in batch if reading.point == self.numbers[name]]

    def errors(self, cause: str) -> float:
        return self.metrics.snapshot().get("tidegate_source_errors_total", {}).get(f"press,{cause}", 0)

    async def seen(self, *names: str, readings: int = 1) -> None:
        """Waits until each of these tags (all, where none is named) has so many readings."""
        wanted = [self.numbers[name] for name in names or self.numbers]

        def enough() -> bool:
            points = [point for batch in self.batches for point in batch.points()]
            return all(points.count(point) >= readings for point in wanted)

        await until(enough)

    async def monitors(self) -> None:
        """Waits until each tag has a reading, and what the server said of its items is noted."""
        await self.seen()
        await until(lambda: self.context.facts["items_monitored"] == len(self.settings.tags))
