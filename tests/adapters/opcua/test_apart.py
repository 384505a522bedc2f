"""Arrays, structures and browse paths at a real server."""

import asyncio
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.common.structures104 import new_enum, new_struct, new_struct_field
from asyncua.server.internal_session import InternalSession
from asyncua.ua.ua_binary import extensionobject_to_binary, variant_to_binary

from adapters.base import Explorer, Writer
from adapters.opcua import PROTOCOL
from gateway.batch import Kind
from gateway.errors import SourceLost, TidegateError
from tests.adapters.opcua.plc import URI, Line, Plc, Rig
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

V = ua.VariantType


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def shapes() -> AsyncIterator[Plc]:
    """A server of its own with structures that nobody but it describes."""
    plc = await Plc.start()
    server = plc.server
    point, _ = await new_struct(server, 2, "Point", [new_struct_field("X", V.Double), new_struct_field("Y", V.Float)])
    state = await new_enum(server, 2, "State", ["Stopped", "Runs", "Fails"])
    await new_struct(
        server,
        2,
        "Machine",
        [
            new_struct_field("Name", V.String),
            new_struct_field("State", state),
            new_struct_field("Where", point),
            new_struct_field("Axes", point, array=True),
            new_struct_field("Samples", V.Int16, array=True),
            new_struct_field("Cycle", ua.NodeId(ua.ObjectIds.Duration)),
            new_struct_field("Note", V.LocalizedText, optional=True),
        ],
    )
    await server.load_data_type_definitions()
    try:
        yield plc
    finally:
        await plc.stop()


def machine(name: str, x: float = 1.0) -> Any:
    made: Any = ua
    return made.Machine(
        Name=name,
        State=made.State.Fails,
        Where=made.Point(X=x, Y=0.5),
        Axes=[made.Point(X=10.0), made.Point(X=20.0)],
        Samples=[7, 8, 9],
        Cycle=12.5,
    )


async def add(plc: Plc, name: str, value: Any, data_type: ua.NodeId | None = None) -> None:
    folder = plc.server.nodes.objects
    await folder.add_variable(ua.NodeId(name, 2), f"2:{name}", value, datatype=data_type)


FIELDS = ["Name", "State", "Where.X", "Axes[1].X", "Samples[2]", "Cycle", "Note"]
READ = [
    ("press", Kind.STR),
    (2, Kind.I64),
    (1.0, Kind.F64),
    (20.0, Kind.F64),
    (9, Kind.I64),
    (12.5, Kind.F64),
]


@pytest.mark.parametrize("declared", ["Machine", "Structure", "BaseDataType"])
async def test_a_structure_is_read_by_fields_however_its_variable_is_declared(shapes: Plc, declared: str) -> None:
    made: Any = ua
    types = {"Machine": made.Machine.data_type, "Structure": ua.NodeId(22), "BaseDataType": ua.NodeId(24)}
    name = f"as{declared}"
    await add(shapes, name, machine("press"), types[declared])
    rig = Rig(shapes.port, {"m": f"ns=2;s={name}"}, own={"m": {"fields": FIELDS}})
    async with rig.running():
        await rig.seen()
    first = [rig.of(f"m.{field}")[0] for field in FIELDS]
    assert [(one.value, one.kind) for one in first[:-1]] == READ
    assert (first[-1].value, first[-1].status) == (None, 0x809B)
    assert rig.metrics.snapshot()["tidegate_source_errors_total"] == {"press,no_value": 1}


async def test_an_array_of_structures_and_arrays_change_as_a_whole(shapes: Plc) -> None:
    await add(shapes, "line", [machine("a", 1.0), machine("b", 2.0)])
    await add(shapes, "row", ua.Variant([1, 2, 3], V.UInt16))
    rig = Rig(
        shapes.port,
        {"line": "ns=2;s=line", "row": "ns=2;s=row"},
        own={"line": {"elements": 2, "fields": ["Name", "Where.X"]}, "row": {"elements": 4}},
    )
    async with rig.running():
        await rig.seen()
        await shapes.write("row", ua.DataValue(ua.Variant([5, 6, 7, 8, 9], V.UInt16)))
        await rig.seen("row[3]", readings=2)
    assert [rig.of(f"line{part}")[0].value for part in ("[0].Name", "[1].Name", "[0].Where.X", "[1].Where.X")] == [
        "a",
        "b",
        1.0,
        2.0,
    ]
    assert [[one.value for one in rig.of(f"row[{index}]")] for index in range(4)] == [
        [1, 5],
        [2, 6],
        [3, 7],
        [None, 8],
    ]
    assert rig.of("row[3]")[0].status == 0x8037
    assert (rig.errors("missing_element"), rig.errors("element_beyond")) == (1, 1)


async def test_a_structure_of_the_standard_that_the_server_does_not_describe(shapes: Plc) -> None:
    await add(shapes, "unit", ua.EUInformation(UnitId=4408652, DisplayName=ua.LocalizedText("°C")))
    axis = ua.AxisInformation(EURange=ua.Range(1.0, 5.0), AxisSteps=[0.5, 1.5])
    await add(shapes, "axis", axis)
    rig = Rig(
        shapes.port,
        {"unit": "ns=2;s=unit", "axis": "ns=2;s=axis"},
        own={"unit": {"fields": ["UnitId", "DisplayName"]}, "axis": {"fields": ["EURange.High", "AxisSteps[1]"]}},
    )
    async with rig.running():
        await rig.seen()
    names = ("unit.UnitId", "unit.DisplayName", "axis.EURange.High", "axis.AxisSteps[1]")
    assert [rig.of(name)[0].value for name in names] == [4408652, "°C", 5.0, 1.5]


async def test_fields_that_may_hold_subtypes_are_sent_with_their_type(shapes: Plc) -> None:
    made: Any = ua
    point = made.Point.data_type
    node, _ = await new_struct(
        shapes.server,
        2,
        "Open",
        [
            new_struct_field("Number", ua.NodeId(ua.ObjectIds.Number), optional=True),
            new_struct_field("Time", ua.NodeId(ua.ObjectIds.Duration), optional=True),
            new_struct_field("Where", point, optional=True),
            new_struct_field("Id", V.Int32),
        ],
    )
    definition = await node.read_data_type_definition()
    definition.StructureType = ua.StructureType.StructureWithSubtypedValues
    await node.write_attribute(ua.AttributeIds.DataTypeDefinition, ua.DataValue(ua.Variant(definition)))
    content = (
        variant_to_binary(ua.Variant(7, V.UInt16))
        + variant_to_binary(ua.Variant(2.5))
        + extensionobject_to_binary(made.Point(X=4.0))
        + struct.pack("<i", 9)
    )
    value = ua.ExtensionObject(TypeId=definition.DefaultEncodingId, Body=content)
    await add(shapes, "open", ua.Variant(value, V.ExtensionObject), node.nodeid)
    fields = ["Number", "Time", "Where.X", "Id"]
    rig = Rig(shapes.port, {"open": "ns=2;s=open"}, own={"open": {"fields": fields}})
    async with rig.running():
        await rig.seen()
    assert [rig.of(f"open.{field}")[0].value for field in fields] == [7, 2.5, 4.0, 9]


async def test_a_union_at_a_server(shapes: Plc) -> None:
    node, _ = await new_struct(
        shapes.server,
        2,
        "Choice",
        [new_struct_field("Number", V.Int32), new_struct_field("Text", V.String)],
        is_union=True,
    )
    definition = await node.read_data_type_definition()
    assert definition.StructureType == ua.StructureType.Union
    value = ua.ExtensionObject(TypeId=definition.DefaultEncodingId, Body=struct.pack("<Ii3s", 2, 3, b"abc"))
    await add(shapes, "choice", ua.Variant(value, V.ExtensionObject), node.nodeid)
    rig = Rig(shapes.port, {"c": "ns=2;s=choice"}, own={"c": {"fields": ["Number", "Text"]}})
    async with rig.running():
        await rig.seen()
    assert [(rig.of(name)[0].value, rig.of(name)[0].status) for name in ("c.Number", "c.Text")] == [
        (None, 0x809B),
        ("abc", 0),
    ]


async def test_an_unknown_type_is_counted_and_named_and_learned_once_the_server_describes_it(shapes: Plc) -> None:
    made: Any = ua
    await add(shapes, "later", made.Point(X=1.0), ua.NodeId(22))
    await add(shapes, "beside", 5.0)
    rig = Rig(
        shapes.port,
        {"later": "ns=2;s=later", "beside": "ns=2;s=beside"},
        own={"later": {"fields": ["Speed"]}},
    )
    async with rig.running():
        await rig.seen()
        # A structure that has no such field.
        assert [one.status for one in rig.of("later.Speed")] == [0x806F]
        await new_struct(shapes.server, 2, "Late", [new_struct_field("Speed", V.Int32)])
        await shapes.server.load_data_type_definitions()
        await shapes.write("later", ua.DataValue(ua.Variant(made.Late(Speed=77), V.ExtensionObject)))
        await rig.seen("later.Speed", readings=3)
    assert [(one.value, one.status) for one in rig.of("later.Speed")] == [(None, 0x806F), (None, 0x8011), (77, 0)]
    assert rig.errors("unknown_type") == 1
    assert [one.value for one in rig.of("beside")][:1] == [5.0]


async def test_a_type_that_the_server_describes_after_its_first_value_is_learned_then(shapes: Plc) -> None:
    """As while a program is loaded: values come before the description of what they are."""
    made: Any = ua
    await add(shapes, "hasty", made.Point(X=1.0), ua.NodeId(22))
    rig = Rig(shapes.port, {"h": "ns=2;s=hasty"}, own={"h": {"fields": ["Mass"]}}, retry_refused_s=0.1)
    encoding = ua.NodeId("hasty-encoding", 2)
    async with rig.running():
        await rig.seen()
        value = ua.ExtensionObject(TypeId=encoding, Body=struct.pack("<i", 12))
        await shapes.write("hasty", ua.DataValue(ua.Variant(value, V.ExtensionObject)))
        await until(lambda: rig.of("h.Mass")[-1].status == 0x8011)
        assert "ns=2;s=hasty-encoding" in rig.context.facts["strange_tags"][0]
        node, _ = await new_struct(shapes.server, 2, "Hasty", [new_struct_field("Mass", V.Int32)])
        described = await shapes.server.nodes.objects.add_object(encoding, "0:Default Binary")
        await described.add_reference(node, ua.ObjectIds.HasEncoding, forward=False, bidirectional=True)
        await until(lambda: rig.of("h.Mass")[-1].value == 12)


async def test_a_tag_that_comes_late_with_a_type_that_is_new_is_read_and_the_others_only_once(shapes: Plc) -> None:
    made: Any = ua
    await add(shapes, "early", machine("early"))
    rig = Rig(
        shapes.port,
        {"early": "ns=2;s=early", "new": "ns=2;s=new"},
        own={"early": {"fields": ["Name"]}, "new": {"fields": ["Force"]}},
        retry_refused_s=0.1,
    )
    async with rig.running():
        await rig.seen()
        await until(lambda: rig.context.facts["tags_refused"] == 1)
        node, _ = await new_struct(shapes.server, 2, "New", [new_struct_field("Force", V.Int32)])
        await shapes.server.load_data_type_definitions()
        await add(shapes, "new", made.New(Force=5), node.nodeid)
        await until(lambda: rig.of("new.Force")[-1].value == 5)
        await shapes.write("new", ua.DataValue(ua.Variant(made.New(Force=6), V.ExtensionObject)))
        await until(lambda: rig.of("new.Force")[-1].value == 6)
    # What was known all the time is not read again, and so is not told twice.
    assert [one.value for one in rig.of("early.Name")] == ["early"]


async def test_what_comes_while_types_are_learned_is_read_by_what_is_known(
    shapes: Plc, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A type that is half learned would end the session."""
    made: Any = ua
    await add(shapes, "midway", made.Point(X=1.0))
    rig = Rig(shapes.port, {"m": "ns=2;s=midway"}, own={"m": {"fields": ["X", "Deep.Y"]}})
    gate, asked = asyncio.Event(), asyncio.Event()
    read = InternalSession.read

    async def slowly(self: InternalSession, params: ua.ReadParameters) -> list[ua.DataValue]:
        if any(one.AttributeId == ua.AttributeIds.DataTypeDefinition for one in params.NodesToRead):
            asked.set()
            await gate.wait()
        return await read(self, params)

    async with rig.running() as task:
        await rig.seen("m.X")
        inner, _ = await new_struct(shapes.server, 2, "Inner", [new_struct_field("Y", V.Double)])
        fields = [new_struct_field("X", V.Double), new_struct_field("Deep", inner)]
        await new_struct(shapes.server, 2, "Outer", fields)
        await shapes.server.load_data_type_definitions()
        monkeypatch.setattr(InternalSession, "read", slowly)
        for x in (2.0, 3.0):
            value = made.Outer(X=x, Deep=made.Inner(Y=x))
            await shapes.write("midway", ua.DataValue(ua.Variant(value, V.ExtensionObject)))
            await rig.seen("m.X", readings=int(x))
            await until(asked.is_set)
        assert [one.status for one in rig.of("m.X")] == [0, 0x8011, 0x8011]
        gate.set()
        await until(lambda: rig.of("m.Deep.Y")[-1].value == 3.0)
        assert not task.done()


async def test_what_is_taken_apart_by_nobody_is_named_in_the_facts(shapes: Plc) -> None:
    await add(shapes, "whole", machine("x"))
    rig = Rig(shapes.port, {"whole": "ns=2;s=whole"})
    async with rig.running():
        await rig.seen()
        (told,) = rig.context.facts["strange_tags"]
    assert told.startswith("whole (ns=2;s=whole): a structure of type ns=2;i=")
    assert told.endswith("; give the tag fields")
    assert [(one.value, one.status) for one in rig.of("whole")] == [(None, 0x803D)]


async def test_refused_arrays_are_bad_at_each_point(shapes: Plc) -> None:
    rig = Rig(shapes.port, {"gone": "ns=2;s=gone"}, own={"gone": {"elements": 3}})
    async with rig.running():
        await rig.seen()
    assert [rig.of(f"gone[{index}]")[0].status for index in range(3)] == [0x8034] * 3


async def test_a_person_reads_the_same(shapes: Plc) -> None:
    await add(shapes, "draft", machine("draft"))
    await add(shapes, "numbers", [1.0, 2.0])
    rig = Rig(
        shapes.port,
        {"m": "ns=2;s=draft", "n": "/Objects/2:numbers", "gone": "ns=2;s=gone"},
        own={"m": {"fields": ["Name", "Where.X"]}, "n": {"elements": 2}, "gone": {"elements": 2}},
    )
    assert PROTOCOL.explore is not None
    async with PROTOCOL.explore(rig.settings) as explorer:
        looker: Explorer = explorer
        readings = await looker.read()
    assert [(name, reading.value) for name, reading in readings] == [
        ("m.Name", "draft"),
        ("m.Where.X", 1.0),
        ("n[0]", 1.0),
        ("n[1]", 2.0),
        ("gone[0]", None),
        ("gone[1]", None),
    ]


async def test_a_person_who_browses_is_told_how_to_take_it_apart(shapes: Plc) -> None:
    folder = await shapes.server.nodes.objects.add_folder(ua.NodeId("Look", 2), "2:Look")
    values = {"one": machine("a"), "many": [machine("a"), machine("b")], "row": [1.0, 2.0, 3.0], "plain": 1.0}
    for name, value in values.items():
        await folder.add_variable(ua.NodeId(f"Look.{name}", 2), f"2:{name}", value)
    assert PROTOCOL.explore is not None
    async with PROTOCOL.explore(Rig(shapes.port, {}).settings) as explorer:
        looker: Explorer = explorer
        keys = {node.name: dict(node.keys) for node in await looker.browse("ns=2;s=Look")}
    fields = ["Name", "State", "Where.X", "Where.Y", "Cycle", "Note"]
    assert keys == {
        "one": {"fields": fields},
        "many": {"elements": 2, "fields": fields},
        "row": {"elements": 3},
        "plain": {},
    }


async def test_parts_are_not_written(shapes: Plc) -> None:
    await add(shapes, "pair", [1.0, 2.0])
    rig = Rig(shapes.port, {"pair": "ns=2;s=pair"}, own={"pair": {"elements": 2}})
    assert isinstance(rig.adapter, Writer)
    async with rig.running():
        await rig.seen()
        with pytest.raises(TidegateError, match=r"part of an array or a structure, which cannot be written"):
            await rig.adapter.write("pair[0]", 5.0)
        with pytest.raises(TidegateError, match=r"no such tag; nothing was written"):
            await rig.adapter.write("pair", 5.0)


async def test_browse_paths_are_looked_up_in_each_session(shapes: Plc) -> None:
    objects = shapes.server.nodes.objects
    folder = await objects.add_folder(2, "Hall/1 & 2")
    await (await folder.add_variable(ua.NodeId("p1", 2), "2:Temp.1", 1.0)).set_writable()
    nodes = {
        "temp": "/Objects/2:Hall&/1 && 2/2:Temp.1",
        "by_uri": f"/Objects/nsu={URI};Hall&/1 && 2/nsu={URI};Temp.1",
        "missing": "/Objects/2:Hall&/1 && 2/2:Nobody",
        "foreign": "/Objects/nsu=urn:nobody;Hall",
        "good": "ns=2;s=p1",
    }
    rig = Rig(shapes.port, nodes, retry_refused_s=0.1)
    async with rig.running():
        await rig.seen()
        assert [rig.of(name)[0].value for name in nodes] == [1.0, 1.0, None, None, 1.0]
        assert [rig.of(name)[0].status for name in ("missing", "foreign")] == [0x806F, 0x806F]
        # It appears while we read, and is found when the refused tags are asked for again.
        await folder.add_variable(ua.NodeId("late", 2), "2:Nobody", 7.0)
        await until(lambda: 7.0 in [one.value for one in rig.of("missing")])
        assert isinstance(rig.adapter, Writer)
        assert (await rig.adapter.write("temp", 3.5)).value == 3.5
        with pytest.raises(TidegateError, match="does not know the namespace urn:nobody; nothing was written"):
            await rig.adapter.write("foreign", 1.0)
    # The same path, another node: as after a download to the PLC.
    await shapes.server.delete_nodes([shapes.server.get_node("ns=2;s=p1")])
    await folder.add_variable(ua.NodeId("p2", 2), "2:Temp.1", 9.0)
    async with rig.running():
        await until(lambda: rig.of("temp")[-1].value == 9.0)


async def test_a_path_is_looked_up_once_a_session(shapes: Plc, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = await shapes.server.nodes.objects.add_folder(2, "Once")
    await folder.add_variable(ua.NodeId("once", 2), "2:Row", [1.0, 2.0])
    asked: list[int] = []
    translate = InternalSession.translate_browsepaths_to_nodeids

    async def counted(self: InternalSession, paths: list[ua.BrowsePath]) -> list[ua.BrowsePathResult]:
        asked.append(len(paths))
        return await translate(self, paths)

    monkeypatch.setattr(InternalSession, "translate_browsepaths_to_nodeids", counted)
    nodes = {"row": "/Objects/2:Once/2:Row", "again": "/Objects/2:Once/2:Row"}
    rig = Rig(shapes.port, nodes, own={"row": {"elements": 2}, "again": {"elements": 1}})
    async with rig.running():
        await rig.seen()
    assert asked == [2]


async def test_an_ambiguous_path_is_refused(shapes: Plc) -> None:
    objects = shapes.server.nodes.objects
    for number in (1, 2):
        await objects.add_variable(ua.NodeId(f"twin{number}", 2), "2:Twin", number)
    rig = Rig(shapes.port, {"twin": "/Objects/2:Twin"})
    async with rig.running():
        await rig.seen()
    assert [(one.value, one.status) for one in rig.of("twin")] == [(None, 0x806D)]


async def test_a_server_that_goes_while_types_are_learned_is_a_lost_source(shapes: Plc) -> None:
    await add(shapes, "cut", machine("cut"))

    async def cut_after(passes: int) -> None:
        async with Line(shapes, passes).open() as line:
            rig = Rig(line.port, {"m": "ns=2;s=cut"}, own={"m": {"fields": FIELDS}}, timeout_s=0.3)
            with pytest.raises(SourceLost):
                await asyncio.wait_for(rig.adapter.run(rig.emit), 30)

    await asyncio.gather(*map(cut_after, range(4, 16)))
