"""All variables of a real server, few at a time."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.common.structures104 import new_struct, new_struct_field

from adapters.base import Survey, Surveyor, Variable
from adapters.modbus import PROTOCOL as MODBUS
from adapters.opcua import PROTOCOL, survey
from adapters.opcua.settings import OpcuaSettings
from gateway.errors import SourceLost, TidegateError
from tests.adapters.opcua.pages import Pages
from tests.adapters.opcua.plc import URI, Line, Plc, add_doubles

pytestmark = pytest.mark.asyncio(loop_scope="session")

V = ua.VariantType
MANY = 6_000


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plant() -> AsyncIterator[Plc]:
    """Objects / Press (object) / Force with a unit, Samples, Matrix, Motor (structure), Motors, Valve / State
    / Line (folder) / Cell / Speed, and a loop from Cell back to Line."""
    plc = await Plc.start()
    server = plc.server
    # Ids of its own: asyncua knows the structures of all servers of a process by one table.
    assert await server.register_namespace("urn:tidegate:survey") == 3
    point, _ = await new_struct(server, 3, "Spot", [new_struct_field("X", V.Double)])
    await new_struct(server, 3, "Drive", [new_struct_field("Speed", V.Int32), new_struct_field("Where", point)])
    await server.load_data_type_definitions()
    made: Any = ua
    objects = server.nodes.objects
    press = await objects.add_object(ua.NodeId("Press", 2), "2:Press")

    async def add(name: str, value: Any) -> Any:
        return await press.add_variable(ua.NodeId(f"Press.{name}", 2), f"2:{name}", value)

    force = await add("Force", 1.0)
    await force.set_writable()
    unit = ua.EUInformation(DisplayName=ua.LocalizedText("kN"))
    await force.add_property(ua.NodeId("Press.Unit", 2), ua.QualifiedName("EngineeringUnits", 0), unit)
    await add("Samples", [1.0, 2.0, 3.0])
    await add("Matrix", ua.Variant([[1, 2], [3, 4], [5, 6]], V.Int16))
    await add("Motor", made.Drive(Speed=5))
    await add("Motors", [made.Drive(), made.Drive()])
    valve = await add("Valve", True)
    await valve.add_variable(ua.NodeId("Press.Valve.State", 2), "2:State", 1)
    line = await objects.add_folder(ua.NodeId("Line", 2), "2:Line")
    cell = await line.add_object(ua.NodeId("Cell", 2), "2:Cell")
    await cell.add_variable(ua.NodeId("Line.Speed", 2), "2:Speed", 2.5)
    await cell.add_reference(line, ua.ObjectIds.HasComponent, forward=True, bidirectional=False)
    try:
        yield plc
    finally:
        await plc.stop()


@asynccontextmanager
async def surveying(port: int) -> AsyncIterator[Surveyor]:
    assert PROTOCOL.explore is not None
    settings = OpcuaSettings(name="press", url=f"opc.tcp://127.0.0.1:{port}", timeout_s=5.0)
    async with PROTOCOL.explore(settings) as explorer:
        assert isinstance(explorer, Surveyor)
        yield explorer


async def variables(plc: Plc, asked: Survey | None = None) -> list[Variable]:
    async with surveying(plc.port) as surveyor:
        return [one async for some in surveyor.survey(asked or Survey()) for one in some]


def paths(found: list[Variable]) -> list[str]:
    return [one.path.removeprefix("Objects/") for one in found]


ALL = [
    "Press/Force",
    "Press/Samples",
    "Press/Matrix",
    "Press/Motor",
    "Press/Motors",
    "Press/Valve",
    "Press/Valve/State",
    "Line/Cell/Speed",
]


async def test_each_variable_comes_once_with_what_a_tag_needs(plant: Plc) -> None:
    found = await variables(plant)
    assert sorted(paths(found)) == sorted(ALL)
    known = {one.path.rpartition("/")[2]: one for one in found}
    assert known["Force"] == Variable(
        "Objects/Press/Force", {"node": "ns=2;s=Press.Force", "unit": "kN"}, "Double", True
    )
    assert known["Samples"].keys == {"node": "ns=2;s=Press.Samples", "elements": "3"}
    assert known["Matrix"].keys["elements"] == "6"
    assert known["Motor"].keys == {"node": "ns=2;s=Press.Motor", "fields": "Speed|Where.X"}
    assert known["Motors"].keys == {"node": "ns=2;s=Press.Motors", "elements": "2", "fields": "Speed|Where.X"}
    assert [known[name].type for name in ("Samples", "Motor", "Motors", "Valve")] == [
        "Double[]",
        "Drive",
        "Drive[]",
        "Boolean",
    ]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Survey(root="ns=2;s=Press"), ALL[:7]),
        (Survey(root="/Objects/2:Line"), ["Line/Cell/Speed"]),
        (Survey(root="ns=2;s=Press.Valve"), ["Press/Valve", "Press/Valve/State"]),
        (Survey(wanted=lambda path: path.endswith("State")), ["Press/Valve/State"]),
        (Survey(enter=lambda path: path != "Objects/Press"), ["Line/Cell/Speed"]),
        (Survey(root="ns=2;s=Press.Force", properties=True), ["Press/Force", "Press/Force/EngineeringUnits"]),
    ],
)
async def test_what_is_asked_for(plant: Plc, asked: Survey, expected: list[str]) -> None:
    assert sorted(paths(await variables(plant, asked))) == sorted(expected)


async def test_ids_by_namespace_uri(plant: Plc) -> None:
    (found,) = await variables(plant, Survey(root="ns=2;s=Line", by_uri=True))
    assert found.keys["node"] == f"nsu={URI};s=Line.Speed"


async def test_the_server_object_is_listed_when_it_is_asked_for(plant: Plc) -> None:
    found = await variables(plant, Survey(root="i=2253"))
    assert "Server/ServerStatus" in paths(found)


@pytest.mark.parametrize("root", ["ns=2;s=Nobody", "/Objects/2:Nobody", "Nobody"])
async def test_a_root_that_is_not_there(plant: Plc, root: str) -> None:
    with pytest.raises(TidegateError, match="listing the variables below"):
        await variables(plant, Survey(root=root))


@pytest.mark.parametrize(("size", "points"), [(1, 10), (2, 1)])
async def test_a_server_that_answers_page_by_page(
    plant: Plc, monkeypatch: pytest.MonkeyPatch, size: int, points: int
) -> None:
    async with surveying(plant.port) as surveyor:
        pages = Pages(plant, monkeypatch, size=size, most_points=points)
        found = [one async for some in surveyor.survey(Survey()) for one in some]
    assert sorted(paths(found)) == sorted(ALL)
    assert pages.next_requests > 0
    assert pages.open == {}


async def test_no_request_is_larger_than_the_servers_limits(plant: Plc, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = ua.ObjectIds
    for number, most in (
        (limits.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse, 2),
        (limits.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead, 7),
    ):
        await plant.server.get_node(number).write_value(ua.Variant(most, V.UInt32))
    asked: dict[str, list[int]] = {"browse": [], "read": []}

    def counting(name: str, inner: Callable[[Any], Any], count: Callable[[Any], int]) -> Callable[[Any], Any]:
        def counted(parameters: Any) -> Any:
            asked[name].append(count(parameters))
            return inner(parameters)

        return counted

    service, view = plant.server.iserver.attribute_service, plant.server.iserver.view_service
    try:
        async with surveying(plant.port) as surveyor:
            monkeypatch.setattr(
                view, "browse", counting("browse", view.browse, lambda parameters: len(parameters.NodesToBrowse))
            )
            monkeypatch.setattr(
                service, "read", counting("read", service.read, lambda parameters: len(parameters.NodesToRead))
            )
            found = [one async for some in surveyor.survey(Survey()) for one in some]
    finally:
        for number in (
            limits.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
            limits.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
        ):
            await plant.server.get_node(number).write_value(ua.Variant(0, V.UInt32))
    assert sorted(paths(found)) == sorted(ALL)
    assert max(asked["browse"]) <= 2
    assert max(asked["read"]) <= 7


async def test_what_the_server_does_not_show_is_said(plant: Plc, monkeypatch: pytest.MonkeyPatch) -> None:
    view = plant.server.iserver.view_service
    browse = view.browse

    def refusing(parameters: ua.BrowseParameters) -> list[ua.BrowseResult]:
        results: list[ua.BrowseResult] = browse(parameters)
        for wanted, result in zip(parameters.NodesToBrowse, results, strict=True):
            if wanted.NodeId == ua.NodeId("Cell", 2):
                result.StatusCode, result.References = ua.StatusCode(ua.StatusCodes.BadUserAccessDenied), []
        return results

    found: list[Variable] = []

    async def take(surveyor: Surveyor) -> None:
        async for some in surveyor.survey(Survey()):
            found.extend(some)

    async with surveying(plant.port) as surveyor:
        monkeypatch.setattr(view, "browse", refusing)
        with pytest.raises(TidegateError, match="the server did not show all that is there"):
            await take(surveyor)
    assert sorted(paths(found)) == sorted(ALL[:7])


async def test_an_end_to_what_is_looked_at(plant: Plc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "MOST_NODES", 3)
    async with surveying(plant.port) as surveyor:
        with pytest.raises(TidegateError, match="list it in parts"):
            assert len([one async for some in surveyor.survey(Survey()) for one in some]) < 3


async def test_a_server_that_goes_away(plant: Plc) -> None:
    async with Line(plant, 12).open() as line:
        settings = OpcuaSettings(name="press", url=f"opc.tcp://127.0.0.1:{line.port}", timeout_s=0.3)
        assert PROTOCOL.explore is not None
        async with PROTOCOL.explore(settings) as explorer:
            assert isinstance(explorer, Surveyor)
            with pytest.raises(SourceLost):
                assert [some async for some in explorer.survey(Survey())] == []


async def test_thousands_of_variables(plant: Plc) -> None:
    folder = await plant.server.nodes.objects.add_folder(ua.NodeId("Store", 2), "2:Store")
    for store in range(0, MANY, 500):
        part = await folder.add_folder(ua.NodeId(f"Store.{store}", 2), f"2:Part{store}")
        await add_doubles(plant.server, part.nodeid, range(store, store + 500), prefix="Store.t")
    sizes: list[int] = []
    seen: set[str] = set()
    async with surveying(plant.port) as surveyor:
        async for some in surveyor.survey(Survey(root="ns=2;s=Store")):
            sizes.append(len(some))
            seen.update(one.keys["node"] for one in some)
    assert seen == {f"ns=2;s=Store.t{number}" for number in range(MANY)}
    assert max(sizes) <= 100


async def test_modbus_has_no_tree() -> None:
    from adapters.modbus.explore import ModbusExplorer

    assert MODBUS.explore is not None
    assert not hasattr(ModbusExplorer, "survey")
