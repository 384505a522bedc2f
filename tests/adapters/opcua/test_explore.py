"""What a person sees of a real server's tree, and what one reading of all tags gives."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from asyncua import Node as ServerNode
from asyncua import ua

from adapters.base import Node
from adapters.opcua import PROTOCOL
from adapters.opcua import explore as explore_module
from adapters.opcua.explore import OpcuaExplorer
from adapters.opcua.nodes import parse_node
from adapters.opcua.settings import OpcuaSettings, OpcuaTag
from gateway.batch import Flag, Kind, Reading
from gateway.demo.broker import free_port
from gateway.errors import SourceLost, TidegateError
from tests.adapters.opcua.pages import Pages
from tests.adapters.opcua.plc import URI, Line, Plc, add_doubles
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

V = ua.VariantType
TIME = datetime(2026, 1, 31, 7, 0, 0, 123456, tzinfo=UTC)
TIME_NS = 1_769_842_800_123_456_000
MANY = 3_000


def settings(port: int, tags: dict[str, str] | None = None, **keys: Any) -> OpcuaSettings:
    kinds = keys.pop("kinds", {})
    return OpcuaSettings(
        name="press",
        url=f"opc.tcp://127.0.0.1:{port}",
        tags=[OpcuaTag(name=name, node=node, kind=kinds.get(name)) for name, node in (tags or {}).items()],
        **keys,
    )


@asynccontextmanager
async def exploring(port: int, tags: dict[str, str] | None = None, **keys: Any) -> AsyncIterator[OpcuaExplorer]:
    assert PROTOCOL.explore is not None
    async with PROTOCOL.explore(settings(port, tags, **keys)) as explorer:
        assert isinstance(explorer, OpcuaExplorer)
        yield explorer


async def add_variable(parent: ServerNode, name: str, value: object, *, writable: bool = False) -> ServerNode:
    node = await parent.add_variable(ua.NodeId(name, 2), ua.QualifiedName(name.rpartition(".")[2], 2), value)
    if writable:
        await node.set_writable()
    return node


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plant() -> AsyncIterator[Plc]:
    """A server of its own: other tests fill the Objects folder of theirs with thousands of variables.

    Objects / Press (object) / Force, Strokes, Valve (variable with a property), Mode, Samples, Odd
            / Line (folder) / Cell / Speed, and a loop from Cell back to Line
            / Hall (folder) / Speed again
    """
    plc = await Plc.start()
    try:
        await build(plc.server.nodes.objects, plc.server.get_node(ua.ObjectIds.Enumeration))
        yield plc
    finally:
        await plc.stop()


async def build(objects: ServerNode, enumerations: ServerNode) -> None:
    press = await objects.add_object(ua.NodeId("Press", 2), ua.QualifiedName("Press", 2))
    await press.write_attribute(
        ua.AttributeIds.DisplayName, ua.DataValue(ua.Variant(ua.LocalizedText("Presse Süd", "de")))
    )
    await add_variable(press, "Press.Force", ua.Variant(1.1, V.Float))
    await add_variable(press, "Press.Strokes", ua.Variant(7, V.UInt32), writable=True)
    valve = await add_variable(press, "Press.Valve", ua.Variant(True))
    await valve.add_property(ua.NodeId("Press.Valve.Unit", 2), ua.QualifiedName("Unit", 2), "bar")
    enumeration = await enumerations.add_data_type(ua.NodeId("PressMode", 2), ua.QualifiedName("PressMode", 2))
    await press.add_variable(
        ua.NodeId("Press.Mode", 2), ua.QualifiedName("Mode", 2), 3, V.Int32, datatype=enumeration.nodeid
    )
    await add_variable(press, "Press.Samples", [1.0, 2.0, 3.0])
    await add_variable(press, "Press.Odd", ua.Variant(ua.Argument(Name="a"), V.ExtensionObject))
    line = await objects.add_folder(ua.NodeId("Line", 2), ua.QualifiedName("Line", 2))
    cell = await line.add_object(ua.NodeId("Cell", 2), ua.QualifiedName("Cell", 2))
    speed = await add_variable(cell, "Line.Speed", 2.5)
    await cell.add_reference(line, ua.ObjectIds.HasComponent, forward=True, bidirectional=False)
    hall = await objects.add_folder(ua.NodeId("Hall", 2), ua.QualifiedName("Hall", 2))
    await hall.add_reference(speed, ua.ObjectIds.Organizes, forward=True, bidirectional=False)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def many() -> AsyncIterator[Plc]:
    """A server with a long level: Objects / Many / t0, t1, ... and the same again in stores of a hundred."""
    plc = await Plc.start()
    try:
        await build_many(plc)
        yield plc
    finally:
        await plc.stop()


async def build_many(plc: Plc) -> None:
    objects = plc.server.nodes.objects
    long = await objects.add_folder(ua.NodeId("Many", 2), ua.QualifiedName("Many", 2))
    references = plc.server.iserver.aspace[long.nodeid].references
    for store in range(0, MANY, 100):
        # asyncua looks at all children of a parent before it adds one, so a long level is put together by hand.
        folder = await objects.add_folder(ua.NodeId(f"Store.{store}", 2), ua.QualifiedName(f"Store{store}", 2))
        await add_doubles(plc.server, folder.nodeid, range(store, store + 100), prefix="Many.")
        references += [
            reference
            for reference in plc.server.iserver.aspace[folder.nodeid].references
            if reference.IsForward and reference.NodeClass == ua.NodeClass.Variable
        ]


def by_name(nodes: list[Node]) -> dict[str, Node]:
    return {node.name: node for node in nodes}


async def test_levels_are_listed_one_by_one(plant: Plc) -> None:
    async with exploring(plant.port) as explorer:
        top = by_name(await explorer.browse(None))
        assert top["Presse Süd"] == Node("ns=2;s=Press", "Presse Süd", "Objects/Press", "object", "", "", False, True)
        assert top["Line"] == Node("ns=2;s=Line", "Line", "Objects/Line", "folder", "", "", False, True)
        assert top["Server"].id == "i=2253"
        press = await explorer.browse("ns=2;s=Press")
    at = "Objects/Press/"
    assert press == [
        Node("ns=2;s=Press.Force", "Force", at + "Force", "variable", "Float", "1.1", False, False),
        Node("ns=2;s=Press.Strokes", "Strokes", at + "Strokes", "variable", "UInt32", "7", True, False),
        Node("ns=2;s=Press.Valve", "Valve", at + "Valve", "variable", "Boolean", "true", False, True),
        Node("ns=2;s=Press.Mode", "Mode", at + "Mode", "variable", "PressMode", "3", False, False),
        Node(
            "ns=2;s=Press.Samples", "Samples", at + "Samples", "variable", "Double[]", "array of 3", False, False
        )._replace(keys={"elements": 3}),
        Node("ns=2;s=Press.Odd", "Odd", at + "Odd", "variable", "Argument", "structure", False, False)._replace(
            keys={"fields": ["Name", "DataType", "ValueRank", "Description"]}
        ),
    ]


async def test_what_is_below_a_variable(plant: Plc) -> None:
    async with exploring(plant.port) as explorer:
        (unit,) = await explorer.browse("ns=2;s=Press.Valve")
    assert (unit.path, unit.type, unit.value, unit.children) == ("Objects/Press/Valve/Unit", "String", "bar", False)


@pytest.mark.parametrize(
    ("node", "path"),
    [
        ("ns=2;s=Cell", "Objects/Line/Cell/Speed"),
        (f"nsu={URI};s=Cell", "Objects/Line/Cell/Speed"),
        ("i=2256", "Objects/Server/ServerStatus/StartTime"),
    ],
)
async def test_a_path_is_found_without_having_come_by_it(plant: Plc, node: str, path: str) -> None:
    async with exploring(plant.port) as explorer:
        nodes = await explorer.browse(node)
    assert path in [node.path for node in nodes]


async def test_ids_are_what_the_settings_accept(plant: Plc) -> None:
    async with exploring(plant.port) as explorer:
        for node in await explorer.browse(None):
            parse_node(node.id)


async def test_a_node_that_does_not_exist(plant: Plc) -> None:
    async with exploring(plant.port) as explorer:
        for node, says in (
            ("ns=2;s=Nobody", "listing what is below ns=2;s=Nobody: the server answered BadNodeIdInvalid"),
            ("Nobody", "'Nobody' is not a node id"),
            ("nsu=urn:nobody;s=x", "does not know the namespace urn:nobody; browse from Objects"),
        ):
            with pytest.raises(TidegateError, match=says) as refusal:
                await explorer.browse(node)
            assert not isinstance(refusal.value, SourceLost)
            assert "OPC UA device 'press'" in str(refusal.value)
        assert await explorer.browse("ns=2;s=Line")


async def test_a_reference_to_nowhere_harms_nothing(plant: Plc) -> None:
    gone = ua.ReferenceDescription(
        ua.NodeId(ua.ObjectIds.HasComponent),
        True,
        ua.NodeId("Gone", 2),
        ua.QualifiedName("Gone", 2),
        ua.LocalizedText("Gone"),
        ua.NodeClass.Variable,
        ua.NodeId(ua.ObjectIds.BaseDataVariableType),
    )
    references = plant.server.iserver.aspace[ua.NodeId("Press", 2)].references
    references.append(gone)
    try:
        async with exploring(plant.port) as explorer:
            press = by_name(await explorer.browse("ns=2;s=Press"))
    finally:
        references.remove(gone)
    assert press["Gone"] == Node(
        "ns=2;s=Gone", "Gone", "Objects/Press/Gone", "variable", "", "BadNodeIdUnknown", False, True
    )
    assert press["Force"].value == "1.1"


async def test_targets_that_no_setting_could_name_are_left_out(plant: Plc) -> None:
    def to(node: ua.ExpandedNodeId, name: str) -> ua.ReferenceDescription:
        return ua.ReferenceDescription(
            ua.NodeId(ua.ObjectIds.Organizes),
            True,
            node,
            ua.QualifiedName(name, 2),
            ua.LocalizedText(name),
            ua.NodeClass.Object,
        )

    extra = [
        to(ua.ExpandedNodeId("there", 2, ServerIndex=1), "there"),
        to(ua.ExpandedNodeId("foreign", 0, NamespaceUri="urn:nobody"), "foreign"),
        to(ua.ExpandedNodeId("Cell", 0, NamespaceUri=URI), "here"),
    ]
    references = plant.server.iserver.aspace[ua.NodeId("Hall", 2)].references
    references += extra
    try:
        async with exploring(plant.port) as explorer:
            hall = await explorer.browse("ns=2;s=Hall")
    finally:
        del references[-len(extra) :]
    assert [(node.name, node.id) for node in hall] == [("Speed", "ns=2;s=Line.Speed"), ("here", "ns=2;s=Cell")]


async def test_a_long_level_comes_in_pages(many: Plc, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = Pages(many, monkeypatch, size=700)
    async with exploring(many.port) as explorer:
        nodes = await explorer.browse("ns=2;s=Many")
    assert [node.id for node in nodes] == [f"ns=2;s=Many.{number}" for number in range(MANY)]
    assert {node.type for node in nodes} == {"Double"}
    assert [node.value for node in nodes] == [str(float(number)) for number in range(MANY)]
    assert (pages.next_requests, pages.given, pages.open) == (4, 4, {})


async def test_a_level_that_is_too_long_says_so_and_frees_the_rest(many: Plc, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = Pages(many, monkeypatch, size=70)
    monkeypatch.setattr(explore_module, "MOST_CHILDREN", 100)
    async with exploring(many.port) as explorer:
        *nodes, note = await explorer.browse("ns=2;s=Many")
    assert len(nodes) == 100
    assert note == Node(
        "",
        "only the first 100 are shown; search for the others by name",
        "Objects/Many",
        "note",
        "",
        "",
        False,
        False,
    )
    assert (pages.released, pages.open) == (1, {})


async def test_a_server_with_one_continuation_point(plant: Plc, monkeypatch: pytest.MonkeyPatch) -> None:
    async with exploring(plant.port) as explorer:
        whole, complete = await explorer.search("s", 1_000)
        assert complete
        pages = Pages(plant, monkeypatch, size=2, most_points=1)
        paged, complete = await explorer.search("s", 1_000)
    assert complete
    assert pages.next_requests > 0
    assert {node.id for node in paged} == {node.id for node in whole}


async def test_one_read_request_serves_a_level(plant: Plc, monkeypatch: pytest.MonkeyPatch) -> None:
    service = plant.server.iserver.attribute_service
    read = service.read
    requests: list[int] = []

    def counted(parameters: ua.ReadParameters) -> list[ua.DataValue]:
        requests.append(len(parameters.NodesToRead))
        return read(parameters)

    async with exploring(plant.port) as explorer:
        await explorer.browse(None)
        monkeypatch.setattr(service, "read", counted)
        await explorer.browse("ns=2;s=Press")
        assert len(requests) == 3  # two of them for the name of the server's own type, and the structure's fields
        await explorer.browse("ns=2;s=Press")
        assert len(requests) == 4


async def test_limits_found_out_by_being_refused(plant: Plc, monkeypatch: pytest.MonkeyPatch) -> None:
    service = plant.server.iserver.attribute_service
    read = service.read

    def limited(parameters: ua.ReadParameters) -> list[ua.DataValue]:
        if len(parameters.NodesToRead) > 7:
            raise ua.uaerrors.BadTooManyOperations
        if any(value.NodeId == ua.NodeId("Press.Samples", 2) for value in parameters.NodesToRead):
            raise ua.uaerrors.BadResponseTooLarge
        return read(parameters)

    async with exploring(plant.port) as explorer:
        before = by_name(await explorer.browse("ns=2;s=Press"))
        monkeypatch.setattr(service, "read", limited)
        after = by_name(await explorer.browse("ns=2;s=Press"))
    assert after.pop("Samples").value == "BadResponseTooLarge"
    del before["Samples"]
    assert after == before


@pytest.mark.parametrize("text", ["speed", "SPEED", "line.sp", "ns=2;s=line.speed"])
async def test_search_finds_by_name_and_id_whatever_the_case(plant: Plc, text: str) -> None:
    async with exploring(plant.port) as explorer:
        found, complete = await explorer.search(text, 10)
    assert complete
    assert [(node.id, node.path, node.type, node.value) for node in found] == [
        ("ns=2;s=Line.Speed", "Objects/Hall/Speed", "Double", "2.5")
    ]


async def test_search_finds_by_display_name_and_below_variables(plant: Plc) -> None:
    async with exploring(plant.port) as explorer:
        (press,), complete = await explorer.search("süd", 10)
        assert complete
        assert press.id == "ns=2;s=Press"
        (unit,), _ = await explorer.search("valve.unit", 10)
        assert unit.path == "Objects/Press/Valve/Unit"
        assert await explorer.search("there is no such thing", 10) == ([], True)


async def test_a_search_stops_at_its_limit(plant: Plc) -> None:
    async with exploring(plant.port) as explorer:
        every, complete = await explorer.search("press", 100)
        assert complete
        assert len(every) == 8
        assert await explorer.search("press", 8) == (every, True)
        assert await explorer.search("press", 7) == (every[:7], False)


async def test_a_search_looks_at_so_many_nodes_only(many: Plc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explore_module, "MOST_VISITED", 200)
    async with exploring(many.port) as explorer:
        found, complete = await explorer.search("many", 10_000)
    assert not complete
    assert 0 < len(found) <= 200


async def test_a_search_ends_after_its_time(plant: Plc) -> None:
    async with exploring(plant.port) as explorer:
        times = iter([0.0, 9.9, 10.0])
        explorer._clock = lambda: next(times)
        found, complete = await explorer.search("line", 100)
    assert not complete
    assert "ns=2;s=Line" in [node.id for node in found]
    assert "ns=2;s=Line.Speed" not in [node.id for node in found]


async def test_every_tag_is_read_once_by_the_rules_of_the_subscription(plant: Plc) -> None:
    values = {
        "r.flag": (ua.Variant(True), Kind.BOOL, True),
        "r.int8": (ua.Variant(-5, V.SByte), Kind.I64, -5),
        "r.uint64": (ua.Variant(2**64 - 1, V.UInt64), Kind.U64, 2**64 - 1),
        "r.float": (ua.Variant(1.5, V.Float), Kind.F64, 1.5),
        "r.text": (ua.Variant("Grüße"), Kind.STR, "Grüße"),
        "r.bytes": (ua.Variant(b"\x00\x01"), Kind.BYTES, b"\x00\x01"),
        "r.when": (ua.Variant(TIME), Kind.STR, "2026-01-31T07:00:00.1234560Z"),
        "r.label": (ua.Variant(ua.LocalizedText("Ein", "de")), Kind.STR, "Ein"),
        "r.whole": (ua.Variant(3, V.Int16), Kind.F64, 3.0),
    }
    await plant.add_all({name: variant for name, (variant, _, _) in values.items()})
    await plant.add_all({"r.array": [1.0, 2.0], "r.bad": 1.0, "r.misfit": 0.5})
    for name, (variant, _, _) in values.items():
        await plant.write(name, ua.DataValue(variant, SourceTimestamp=TIME))
    await plant.write("r.bad", ua.DataValue(ua.Variant(1.0), ua.StatusCode(0x80050000), TIME))
    await plant.write("r.misfit", ua.DataValue(ua.Variant(0.5), SourceTimestamp=TIME))
    tags = {name: f"ns=2;s={name}" for name in [*values, "r.array", "r.bad", "r.misfit", "r.missing"]}
    tags["foreign"] = "nsu=urn:nobody;s=x"
    tags["by uri"] = f"nsu={URI};s=r.int8"
    async with exploring(plant.port, tags, kinds={"r.misfit": "i64", "r.whole": "f64"}) as explorer:
        explorer._now_ns = lambda: 5
        readings = await explorer.read()
    assert [name for name, _ in readings] == [*tags]
    assert [reading.point for _, reading in readings] == [*range(len(tags))]
    of = dict(readings)
    for point, (name, (_, kind, value)) in enumerate(values.items()):
        assert of[name] == Reading(TIME_NS, value, point, kind=kind)
    assert (of["r.array"].value, of["r.array"].status) == (None, 0x803D)
    assert (of["r.bad"].value, of["r.bad"].status, of["r.bad"].ts_ns) == (None, 0x8005, TIME_NS)
    assert (of["r.misfit"].value, of["r.misfit"].status) == (None, 0x8074)
    for name in ("r.missing", "foreign"):
        assert (of[name].value, of[name].status, of[name].ts_ns) == (None, 0x8034, 5)
        assert of[name].flags & Flag.GATEWAY_TIME
    assert of["by uri"].value == -5


async def test_many_tags_are_read_in_few_requests(many: Plc, monkeypatch: pytest.MonkeyPatch) -> None:
    service = many.server.iserver.attribute_service
    read = service.read
    requests: list[int] = []

    def counted(parameters: ua.ReadParameters) -> list[ua.DataValue]:
        if len(parameters.NodesToRead) > 1:  # a sign of life reads one
            requests.append(len(parameters.NodesToRead))
        return read(parameters)

    async with exploring(many.port, {f"t{number}": f"ns=2;s=Many.{number}" for number in range(MANY)}) as explorer:
        monkeypatch.setattr(service, "read", counted)
        readings = await explorer.read()
    assert requests == [1000, 1000, 1000]
    assert [reading.value for _, reading in readings] == [float(number) for number in range(MANY)]


async def test_a_server_that_cannot_be_reached() -> None:
    with pytest.raises(SourceLost, match="nothing accepts connections there"):
        async with exploring(free_port()):
            pass


async def test_a_server_that_goes_away_and_one_that_falls_silent(plant: Plc) -> None:
    async with Line(plant).open() as line, exploring(line.port) as explorer:
        line.hang_up()
        with pytest.raises(SourceLost, match="listing what is below Objects"):
            await explorer.browse(None)
    async with Line(plant).open() as line, exploring(line.port, timeout_s=0.3) as explorer:
        line.passes = 0
        with pytest.raises(SourceLost, match="searching for 'x': no answer in time"):
            await explorer.search("x", 10)


async def test_it_logs_in_and_leaves_nothing_behind(plant: Plc) -> None:
    async with exploring(plant.port, username="op", password="right") as explorer:
        assert plant.connections == 1
        assert await explorer.read() == []
    await until(lambda: plant.connections == 0)
    with pytest.raises(SourceLost, match="check username and password"):
        async with exploring(plant.port, username="op", password="mistyped"):
            pass
    await until(lambda: plant.connections == 0)
