"""Tags that the server cannot monitor are read at an interval."""

import asyncio
from datetime import UTC, datetime

import pytest
from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.ua.ua_binary import struct_to_binary

from adapters.opcua.poll import content_of
from gateway.batch import Flag
from gateway.errors import SourceLost
from tests.adapters.opcua.plc import NOW_NS, Line, Plc, Rig
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

NODES = {"a": "ns=2;s=a", "b": "ns=2;s=b", "gone": "ns=2;s=no-such"}


def refuse_some(plc: Plc, monkeypatch: pytest.MonkeyPatch, handles: set[int], code: int) -> None:
    create = plc.service.create_monitored_items

    async def some(parameters: ua.CreateMonitoredItemsParameters) -> list[ua.MonitoredItemCreateResult]:
        items = parameters.ItemsToCreate
        parameters.ItemsToCreate = [item for item in items if item.RequestedParameters.ClientHandle not in handles]
        results = await create(parameters)
        for place, item in enumerate(items):
            if item.RequestedParameters.ClientHandle in handles:
                results.insert(place, ua.MonitoredItemCreateResult(StatusCode=ua.StatusCode(code)))
        return results

    monkeypatch.setattr(plc.service, "create_monitored_items", some)


async def test_a_node_that_cannot_be_monitored_is_polled_beside_the_others(
    plc: Plc, monkeypatch: pytest.MonkeyPatch
) -> None:
    await plc.add_all({"a": 1.0, "b": 10.0})
    refuse_some(plc, monkeypatch, {1}, ua.StatusCodes.BadNotSupported)
    rig = Rig(plc.port, NODES, polling_interval_ms=20.0)
    async with rig.running():
        await rig.seen()
        assert rig.context.facts["tags_polled"] == 1
        assert rig.context.facts["tags_refused"] == 1
        assert rig.context.facts["items_monitored"] == 1
        for value in (11.0, 12.0):
            await plc.write("b", ua.DataValue(ua.Variant(value)))
            await until(lambda value=value: rig.of("b")[-1].value == value)
        await plc.write("b", ua.DataValue(ua.Variant(12.0), ua.StatusCode(ua.StatusCodes.BadSensorFailure)))
        await until(lambda: rig.of("b")[-1].value is None)
        rounds = len(rig.batches)
        await plc.write("a", ua.DataValue(ua.Variant(2.0)))
        await rig.seen("a", readings=2)
        # What has not changed is not published again, however often it is read.
        await asyncio.sleep(0.2)
        assert len(rig.batches) == rounds + 1
    assert [reading.value for reading in rig.of("b")] == [10.0, 11.0, 12.0, None]
    assert [reading.value for reading in rig.of("a")] == [1.0, 2.0]
    assert len(rig.of("gone")) == 1
    assert rig.errors("refused_tag") == 1


async def test_over_a_cut_nothing_is_missing_but_of_what_is_polled(plc: Plc, monkeypatch: pytest.MonkeyPatch) -> None:
    await plc.add_all({"e": 1.0, "f": 10.0})
    refuse_some(plc, monkeypatch, {1}, ua.StatusCodes.BadNotSupported)
    async with Line(plc).open() as line:
        rig = Rig(line.port, {"a": "ns=2;s=e", "b": "ns=2;s=f"}, polling_interval_ms=20.0)
        async with rig.running() as task:
            await rig.seen()
            await until(lambda: rig.context.facts.get("tags_polled") == 1)
            line.hang_up()
            with pytest.raises(SourceLost):
                await task
        async with rig.running():
            await rig.seen("b", readings=2)
            assert rig.context.facts["continued"] is True
    assert rig.gaps.causes == [("unreachable", "polled tags")]


async def test_a_server_without_subscriptions_is_polled_until_it_has_them(
    plc: Plc, monkeypatch: pytest.MonkeyPatch
) -> None:
    await plc.add_all({"c": 1.0, "d": 10.0})

    async def none_left(*_: object, **__: object) -> None:
        raise ServiceError(ua.StatusCodes.BadTooManySubscriptions)

    create = plc.service.create_subscription
    monkeypatch.setattr(plc.service, "create_subscription", none_left)
    rig = Rig(plc.port, {"a": "ns=2;s=c", "b": "ns=2;s=d"}, polling_interval_ms=20.0, retry_refused_s=0.5)
    async with rig.running() as task:
        await rig.seen()
        assert rig.lives == [True]
        assert rig.context.facts["subscriptions"] == 0
        assert rig.context.facts["tags_polled"] == 2
        await plc.write("c", ua.DataValue(ua.Variant(2.0)))
        await rig.seen("a", readings=2)
        monkeypatch.setattr(plc.service, "create_subscription", create)
        with pytest.raises(SourceLost, match="the server offers subscriptions now"):
            await task
    async with rig.running():
        await rig.seen("a", readings=3)
        assert rig.context.facts["subscriptions"] == 1
        await until(lambda: rig.context.facts["items_monitored"] == 2)
        assert rig.context.facts["tags_polled"] == 0


async def test_polling_a_server_that_falls_silent_is_a_lost_source(plc: Plc, monkeypatch: pytest.MonkeyPatch) -> None:
    await plc.add_all({"a": 1.0})

    async def unsupported(*_: object, **__: object) -> None:
        raise ServiceError(ua.StatusCodes.BadServiceUnsupported)

    monkeypatch.setattr(plc.service, "create_subscription", unsupported)
    read = plc.server.iserver.attribute_service.read
    rig = Rig(plc.port, {"a": "ns=2;s=a"}, polling_interval_ms=20.0, timeout_s=0.3)
    async with rig.running() as task:
        await rig.seen()
        for client in plc.server.bserver.clients:
            client.transport.pause_reading()
        with pytest.raises(SourceLost, match="reading 1 tag that cannot be monitored: no answer in time"):
            await task
    assert rig.lives == [True, False]
    assert plc.server.iserver.attribute_service.read == read


async def test_a_polled_tag_that_vanishes_is_told_and_found_again_thingsboard_gateway_2132(
    plc: Plc, monkeypatch: pytest.MonkeyPatch
) -> None:
    """thingsboard-gateway#2132: polling stopped, and nobody was told."""
    folder = await plc.server.nodes.objects.add_folder(2, "Cell")
    variable = await folder.add_variable(ua.NodeId("cell-1", 2), "2:Level", 1.0)
    refuse_some(plc, monkeypatch, {0}, ua.StatusCodes.BadNotSupported)
    rig = Rig(plc.port, {"level": "/Objects/2:Cell/2:Level"}, polling_interval_ms=20.0)
    async with rig.running():
        await rig.seen()
        await plc.server.delete_nodes([variable])
        # First what the node says that is no more, then that the path leads nowhere.
        await until(lambda: [one.status for one in rig.of("level")][-1:] == [0x806F])
        await folder.add_variable(ua.NodeId("cell-2", 2), "2:Level", 2.0)
        await until(lambda: [one.value for one in rig.of("level")][-1:] == [2.0])
    assert [one.value for one in rig.of("level")] == [1.0, None, None, 2.0]


async def test_the_times_of_polled_tags_are_judged_too(plc: Plc, monkeypatch: pytest.MonkeyPatch) -> None:
    await plc.add_all({"a": 1.0})

    async def none_left(*_: object, **__: object) -> None:
        raise ServiceError(ua.StatusCodes.BadTooManySubscriptions)

    monkeypatch.setattr(plc.service, "create_subscription", none_left)
    rig = Rig(plc.port, {"a": "ns=2;s=a"}, polling_interval_ms=20.0, max_clock_skew_s=60.0)
    async with rig.running():
        await rig.seen()
        await plc.write("a", ua.DataValue(ua.Variant(2.0), SourceTimestamp=datetime.now(UTC)))
        await rig.seen(readings=2)
    assert [bool(one.flags & Flag.GATEWAY_TIME) for one in rig.of("a")] == [True, True]
    assert abs(rig.of("a")[-1].ts_ns - NOW_NS) < 60e9
    assert rig.errors("clock_away") == 2


@pytest.mark.parametrize("value", [1.5, "text", [1, 2, 3], None])
async def test_times_do_not_count_as_a_change(value: object) -> None:
    def encoded(status: int, seconds: int) -> bytes:
        at = ua.win_epoch_to_datetime(NOW_NS // 100 + seconds * 10_000_000)
        return struct_to_binary(ua.DataValue(ua.Variant(value), ua.StatusCode(status), at, at))

    assert content_of(encoded(0, 0)) == content_of(encoded(0, 5))
    assert content_of(encoded(0, 0)) != content_of(encoded(0x80050000, 0))
    assert content_of(encoded(0, 0)) != content_of(struct_to_binary(ua.DataValue(ua.Variant(2.5), ua.StatusCode(0))))
