"""Writing to a real server over the session that reads: what reaches the wire, what does not, and what is said."""

import asyncio
import math
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary

from adapters.base import Writer
from adapters.opcua.session import Session
from gateway.batch import Kind, Reading, Value
from gateway.errors import SourceLost, TidegateError
from tests.adapters.opcua.plc import URI, Line, Plc, Rig
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

V = ua.VariantType
READ, WRITE = 1, 2
GUID = "09087e75-8e5e-499b-954f-f2a9603db28a"


async def add(
    plc: Plc,
    name: str,
    variant: ua.Variant,
    *,
    data_type: int | ua.NodeId | None = None,
    rank: int = -1,
    access: int = READ | WRITE,
    user_access: int | None = None,
) -> None:
    """Adds a variable that may be written, or gives one that an earlier test added its value back."""
    data_type = int(variant.VariantType.value) if data_type is None else data_type
    (result,) = await plc.server.iserver.isession.add_nodes(
        [
            ua.AddNodesItem(
                ParentNodeId=ua.NodeId(ua.ObjectIds.ObjectsFolder),
                ReferenceTypeId=ua.NodeId(ua.ObjectIds.Organizes),
                RequestedNewNodeId=ua.NodeId(name, 2),
                BrowseName=ua.QualifiedName(name, 2),
                NodeClass=ua.NodeClass.Variable,
                NodeAttributes=ua.VariableAttributes(
                    Value=variant,
                    DataType=ua.NodeId(data_type) if isinstance(data_type, int) else data_type,
                    ValueRank=rank,
                    AccessLevel=access,
                    UserAccessLevel=access if user_access is None else user_access,
                ),
                TypeDefinition=ua.NodeId(ua.ObjectIds.BaseDataVariableType),
            )
        ]
    )
    result.StatusCode.check()


@dataclass
class Wire:
    """What reached the server's Write service."""

    values: list[ua.WriteValue] = field(default_factory=list)
    answer: ua.StatusCode | None = None
    fault: type[Exception] | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)


@pytest_asyncio.fixture(loop_scope="session")
async def wire(plc: Plc, monkeypatch: pytest.MonkeyPatch) -> Wire:
    service = plc.server.iserver.attribute_service
    write = service.write
    wire = Wire()
    wire.gate.set()

    async def watched(parameters: ua.WriteParameters, **keys: Any) -> list[ua.StatusCode]:
        if any(value.NodeId.NamespaceIndex != 2 for value in parameters.NodesToWrite):
            return await write(parameters, **keys)  # the server's own clock
        wire.values += parameters.NodesToWrite
        await wire.gate.wait()
        if wire.fault is not None:
            raise wire.fault
        if wire.answer is not None:
            return [wire.answer]
        return await write(parameters, **keys)

    monkeypatch.setattr(service, "write", watched)
    return wire


@asynccontextmanager
async def writing(port: int, *names: str, **settings: Any) -> AsyncIterator[tuple[Rig, Writer]]:
    """A running adapter whose tags have the names of their nodes."""
    rig = Rig(port, {name: f"ns=2;s={name}" for name in names}, **settings)
    assert isinstance(rig.adapter, Writer)
    async with rig.running():
        await rig.seen()
        yield rig, rig.adapter


@pytest.mark.parametrize(
    ("variant", "value", "kind"),
    [
        (ua.Variant(False), True, Kind.BOOL),
        (ua.Variant(0, V.SByte), -128, Kind.I64),
        (ua.Variant(0, V.Byte), 255, Kind.U64),
        (ua.Variant(0, V.Int16), -32768, Kind.I64),
        (ua.Variant(0, V.UInt16), 65535, Kind.U64),
        (ua.Variant(0, V.Int32), 2**31 - 1, Kind.I64),
        (ua.Variant(0, V.UInt32), 2**32 - 1, Kind.U64),
        (ua.Variant(0, V.Int64), -(2**63), Kind.I64),
        (ua.Variant(0, V.UInt64), 2**64 - 1, Kind.U64),
        (ua.Variant(0.0, V.Float), 1.5, Kind.F64),
        (ua.Variant(0.0), 0.1, Kind.F64),
        (ua.Variant(""), "Grüße", Kind.STR),
        (ua.Variant(b""), b"\x00\x01", Kind.BYTES),
        (ua.Variant(ua.LocalizedText("Aus", "de")), "Ein", Kind.STR),
        (ua.Variant(datetime(2000, 1, 1, tzinfo=UTC)), "2026-01-31T07:00:00.1234560Z", Kind.STR),
        (ua.Variant(ua.uuid.UUID(int=0)), GUID, Kind.STR),
    ],
    ids=lambda value: value.VariantType.name if isinstance(value, ua.Variant) else "",
)
async def test_a_value_of_each_type_is_written_and_read_back(
    plc: Plc, wire: Wire, variant: ua.Variant, value: Value, kind: Kind
) -> None:
    name = f"w.{variant.VariantType.name}"
    await add(plc, name, variant)
    async with writing(plc.port, name) as (rig, adapter):
        reading = await adapter.write(name, value)
        await rig.seen(readings=2)
    assert reading == Reading(reading.ts_ns, value, 101, kind=kind)
    (sent,) = wire.values
    assert sent.Value.Value.VariantType is variant.VariantType
    assert rig.of(name)[-1].value == value  # the subscription shows it too


@pytest.mark.parametrize(
    ("variant", "value", "says"),
    [
        (ua.Variant(False), 2, "not a value of type Boolean"),
        (ua.Variant(0, V.SByte), 128, "from -128 to 127"),
        (ua.Variant(0, V.Byte), 256, "from 0 to 255"),
        (ua.Variant(0, V.Int16), -32769, "from -32768 to 32767"),
        (ua.Variant(0, V.UInt16), -1, "from 0 to 65535"),
        (ua.Variant(0, V.Int32), 0.5, "whole number"),
        (ua.Variant(0, V.UInt32), 2**32, "from 0 to 4294967295"),
        (ua.Variant(0, V.Int64), 2**63, "from -9223372036854775808"),
        (ua.Variant(0, V.UInt64), 2**64, "from 0 to 18446744073709551615"),
        (ua.Variant(0.0, V.Float), 1e39, "32-bit float"),
        (ua.Variant(0.0), math.nan, "finite"),
        (ua.Variant("x"), 5, "expected text"),
        (ua.Variant(b"x"), "x", "expected bytes"),
    ],
    ids=lambda value: value.VariantType.name if isinstance(value, ua.Variant) else "",
)
async def test_a_value_that_does_not_fit_never_reaches_the_wire(
    plc: Plc, wire: Wire, variant: ua.Variant, value: Value, says: str
) -> None:
    name = f"misfit.{variant.VariantType.name}"
    await add(plc, name, variant)
    async with writing(plc.port, name) as (_, adapter):
        with pytest.raises(TidegateError, match=f"OPC UA device 'press' .* writing tag '{name}': .*{says}") as refusal:
            await adapter.write(name, value)
        assert not isinstance(refusal.value, SourceLost)
        assert str(refusal.value).endswith("nothing was written")
    assert wire.values == []


@pytest.mark.parametrize(("access", "user_access"), [(READ, READ), (READ | WRITE, READ), (READ, READ | WRITE)])
async def test_a_read_only_tag_never_reaches_the_wire(plc: Plc, wire: Wire, access: int, user_access: int) -> None:
    name = f"fixed.{access}.{user_access}"
    await add(plc, name, ua.Variant(1.0), access=access, user_access=user_access)
    async with writing(plc.port, name) as (_, adapter):
        with pytest.raises(TidegateError, match="does not let this user write it"):
            await adapter.write(name, 2.0)
        assert wire.values == []
        # A key switch was turned: no new session is needed.
        for attribute in (ua.AttributeIds.AccessLevel, ua.AttributeIds.UserAccessLevel):
            await plc.server.write_attribute_value(
                ua.NodeId(name, 2), ua.DataValue(ua.Variant(READ | WRITE, V.Byte)), attribute
            )
        wire.values.clear()
        assert (await adapter.write(name, 2.0)).value == 2.0
    assert len(wire.values) == 1


@pytest.mark.parametrize(
    ("name", "variant", "keys", "says"),
    [
        ("no.array", ua.Variant([1.0, 2.0]), {"rank": 1}, "is an array"),
        ("no.array at all", ua.Variant([1.0, 2.0]), {"rank": -2}, "is an array"),
        ("no.structure", ua.Variant(ua.Argument(Name="a"), V.ExtensionObject), {"data_type": 296}, "cannot be written"),
        ("no.node", ua.Variant(ua.NodeId(5)), {}, "type cannot be written, only Boolean, SByte"),
        ("no.value", ua.Variant(), {"data_type": ua.ObjectIds.BaseDataType}, "no value yet"),
    ],
)
async def test_what_cannot_be_written_is_refused_before_anything_is_sent(
    plc: Plc, wire: Wire, name: str, variant: ua.Variant, keys: dict[str, Any], says: str
) -> None:
    await add(plc, name, variant, **keys)
    async with writing(plc.port, name) as (_, adapter):
        with pytest.raises(TidegateError, match=says):
            await adapter.write(name, 1.0)
    assert wire.values == []


@pytest.mark.parametrize(
    ("name", "variant", "data_type"),
    [
        ("alias.duration", ua.Variant(0.0), ua.ObjectIds.Duration),
        ("alias.counter", ua.Variant(0, V.UInt32), ua.ObjectIds.Counter),
        ("alias.enumeration", ua.Variant(0, V.Int32), ua.ObjectIds.ServerState),
        ("alias.number", ua.Variant(0, V.Int16), ua.ObjectIds.Number),
        ("alias.any", ua.Variant(0, V.Byte), ua.ObjectIds.BaseDataType),
        ("alias.none", ua.Variant(0, V.UInt16), ua.ObjectIds.Null),
        ("alias.unknown", ua.Variant(0, V.Int64), ua.NodeId("nobody knows", 2)),
    ],
)
async def test_the_built_in_type_behind_a_data_type(
    plc: Plc, wire: Wire, name: str, variant: ua.Variant, data_type: int
) -> None:
    await add(plc, name, variant, data_type=data_type)
    async with writing(plc.port, name) as (_, adapter):
        assert (await adapter.write(name, 4)).value == 4
    assert [sent.Value.Value.VariantType for sent in wire.values] == [variant.VariantType]


async def test_a_tag_that_nobody_knows_and_a_node_that_is_not_there(plc: Plc, wire: Wire) -> None:
    async with writing(plc.port, "gone") as (_, adapter):
        with pytest.raises(TidegateError, match="writing tag 'other': the device has no such tag"):
            await adapter.write("other", 1)
        with pytest.raises(TidegateError, match="BadNodeIdUnknown; nothing was written"):
            await adapter.write("gone", 1)
    assert wire.values == []


async def test_a_node_given_by_its_namespace_uri(plc: Plc, wire: Wire) -> None:
    await add(plc, "w.uri", ua.Variant(1.0))
    rig = Rig(plc.port, {"t": f"nsu={URI};s=w.uri", "foreign": "nsu=urn:nobody;s=w.uri"}, kinds={"t": "f64"})
    assert isinstance(rig.adapter, Writer)
    async with rig.running():
        await rig.seen()
        assert (await rig.adapter.write("t", 2)).value == 2.0
        with pytest.raises(TidegateError, match="does not know the namespace urn:nobody; nothing was written"):
            await rig.adapter.write("foreign", 2)


async def test_what_is_read_back_is_what_the_device_shows_under_the_declared_kind(plc: Plc, wire: Wire) -> None:
    await add(plc, "w.kept", ua.Variant(7, V.Int32))
    async with writing(plc.port, "w.kept", kinds={"w.kept": "f64"}) as (_, adapter):
        wire.answer = ua.StatusCode(ua.StatusCodes.GoodClamped)  # taken, and the device keeps its own value
        reading = await adapter.write("w.kept", 100)
    assert (reading.value, reading.kind, reading.point) == (7.0, Kind.F64, 101)


@pytest.mark.parametrize("how", ["answer", "fault"])
async def test_a_server_that_refuses_is_named_and_the_session_goes_on(plc: Plc, wire: Wire, how: str) -> None:
    await add(plc, f"w.refused.{how}", ua.Variant(1.0))
    async with writing(plc.port, f"w.refused.{how}") as (rig, adapter):
        if how == "answer":
            wire.answer = ua.StatusCode(ua.StatusCodes.BadOutOfRange)
        else:
            wire.fault = ua.uaerrors.BadOutOfRange
        with pytest.raises(TidegateError, match=r"the server answered BadOutOfRange$") as refusal:
            await adapter.write(f"w.refused.{how}", 2.0)
        assert not isinstance(refusal.value, SourceLost)
        wire.answer = wire.fault = None
        await adapter.write(f"w.refused.{how}", 3.0)
        assert rig.lives == [True]
    assert len(wire.values) == 2


async def test_type_and_access_are_asked_for_once_a_session(
    plc: Plc, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(plc, "w.cached", ua.Variant(1.0))
    service = plc.server.iserver.attribute_service
    read = service.read
    attributes: list[int] = []

    def watched(parameters: ua.ReadParameters) -> list[ua.DataValue]:
        attributes.extend(value.AttributeId for value in parameters.NodesToRead)
        return read(parameters)

    async with writing(plc.port, "w.cached") as (_, adapter):
        monkeypatch.setattr(service, "read", watched)
        for value in (2.0, 3.0, 4.0):
            assert (await adapter.write("w.cached", value)).value == value
    assert attributes.count(ua.AttributeIds.DataType) == 1
    assert attributes.count(ua.AttributeIds.UserAccessLevel) == 1


async def test_writes_at_the_same_time_go_one_by_one_beside_the_readings(plc: Plc, wire: Wire) -> None:
    await add(plc, "w.busy", ua.Variant(0, V.Int32))
    await plc.add("beside", 0.0)
    async with writing(plc.port, "w.busy", "beside") as (rig, adapter):
        wire.gate.clear()
        writes = [asyncio.create_task(adapter.write("w.busy", number)) for number in range(1, 21)]
        await until(lambda: wire.values)
        await plc.write("beside", ua.DataValue(ua.Variant(1.0)))
        await rig.seen("beside", readings=2)  # the write waits, readings do not
        assert len(wire.values) == 1
        wire.gate.set()
        readings = await asyncio.gather(*writes)
        await until(lambda: rig.of("w.busy")[-1].value == 20)
    assert [reading.value for reading in readings] == [*range(1, 21)]


async def test_no_answer_leaves_the_state_unknown_and_is_not_tried_again(plc: Plc, wire: Wire) -> None:
    await add(plc, "w.silent", ua.Variant(1.0))
    async with writing(plc.port, "w.silent", timeout_s=0.5) as (_, adapter):
        await adapter.write("w.silent", 2.0)
        wire.gate.clear()
        with pytest.raises(TidegateError, match=r"no answer in time; .*whether it was written is not known") as unknown:
            await adapter.write("w.silent", 3.0)
        assert not isinstance(unknown.value, SourceLost)
        wire.gate.set()
    assert [sent.Value.Value.Value for sent in wire.values] == [2.0, 3.0]


async def test_a_line_that_breaks_leaves_the_state_unknown(plc: Plc, wire: Wire) -> None:
    await add(plc, "w.broken", ua.Variant(1.0))
    async with Line(plc).open() as line, writing(line.port, "w.broken") as (_, adapter):
        await adapter.write("w.broken", 2.0)
        wire.gate.clear()
        write = asyncio.create_task(adapter.write("w.broken", 3.0))
        await until(lambda: len(wire.values) == 2)
        line.hang_up()
        with pytest.raises(SourceLost, match="whether it was written is not known"):
            await write
        wire.gate.set()


async def test_a_read_back_that_fails_says_that_the_write_was_accepted(
    plc: Plc, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(plc, "w.half", ua.Variant(1.0))

    service = plc.server.iserver.attribute_service
    read = service.read

    def down(parameters: ua.ReadParameters) -> list[ua.DataValue]:
        if any(wanted.NodeId.Identifier == "w.half" for wanted in parameters.NodesToRead):
            raise ua.uaerrors.BadShutdown
        return read(parameters)  # the server's own clock reads here too, and would stop

    async with writing(plc.port, "w.half") as (rig, adapter):
        await adapter.write("w.half", 2.0)
        monkeypatch.setattr(service, "read", down)
        with pytest.raises(SourceLost, match=r"reading it back: .*BadShutdown.*The server had accepted the write"):
            await adapter.write("w.half", 3.0)
        await until(lambda: rig.of("w.half")[-1].value == 3.0)


async def test_the_value_is_sent_alone_for_servers_that_take_no_times(
    plc: Plc, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(plc, "w.alone", ua.Variant(1.0))
    call = Session.call
    sent: list[bytes] = []

    async def watched(session: Session, request: Any) -> bytes:
        if isinstance(request, ua.WriteRequest):
            sent.extend(struct_to_binary(value.Value) for value in request.Parameters.NodesToWrite)
        return await call(session, request)

    monkeypatch.setattr(Session, "call", watched)
    async with writing(plc.port, "w.alone") as (_, adapter):
        await adapter.write("w.alone", 1.5)
    assert sent == [b"\x01\x0b" + struct.pack("<d", 1.5)]


async def test_not_connected(plc: Plc, wire: Wire) -> None:
    await add(plc, "w.later", ua.Variant(1.0))
    rig = Rig(plc.port, {"t": "ns=2;s=w.later"})
    assert isinstance(rig.adapter, Writer)
    with pytest.raises(SourceLost, match="writing tag 't': not connected now; nothing was written"):
        await rig.adapter.write("t", 2.0)
    async with rig.running():
        await rig.seen()
        await rig.adapter.write("t", 2.0)
    with pytest.raises(SourceLost, match="not connected now"):
        await rig.adapter.write("t", 3.0)
    assert len(wire.values) == 1


async def test_a_server_that_stopped() -> None:
    plc = await Plc.start()
    try:
        await add(plc, "t", ua.Variant(1.0))
        async with writing(plc.port, "t") as (rig, adapter):
            await adapter.write("t", 2.0)
            await plc.stop()
            with pytest.raises(SourceLost, match="not connected"):
                await adapter.write("t", 3.0)
            await until(lambda: rig.lives == [True, False])
            with pytest.raises(SourceLost, match="not connected now; nothing was written"):
                await adapter.write("t", 4.0)
    finally:
        await plc.stop()
