"""Tags with settings of their own: one subscription for each publishing interval, and what is asked for each item."""

import pytest
from asyncua import ua
from asyncua.common.utils import ServiceError

from adapters.opcua.layout import group_of, intervals, item_settings, layout_of
from adapters.opcua.settings import OpcuaSettings, OpcuaTag
from gateway.errors import SourceLost
from tests.adapters.opcua.plc import Line, Plc, Remembered, Rig
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

NODES = {name: f"ns=2;s={name}" for name in ("fast", "slow", "quiet")}


def settings(*tags: OpcuaTag, **keys: object) -> OpcuaSettings:
    return OpcuaSettings(name="press", url="opc.tcp://plc", tags=list(tags), **keys)


def tag(name: str, **keys: object) -> OpcuaTag:
    return OpcuaTag(name=name, node=f"ns=2;s={name}", **keys)


def deadband_of(wanted: object) -> tuple[int, float]:
    """Type and size of the deadband in an item's filter; zeros where it has none."""
    return getattr(wanted, "DeadbandType", 0), getattr(wanted, "DeadbandValue", 0)


async def test_tags_are_grouped_by_interval_the_shortest_first() -> None:
    device = settings(tag("a", publishing_interval_ms=500), tag("b"), tag("c", publishing_interval_ms=500))
    assert intervals(device) == [100, 500]
    assert group_of(device) == [1, 0, 1]
    assert intervals(settings()) == [100]


@pytest.mark.parametrize(
    ("keys", "device", "expected"),
    [
        ({}, {}, (100, 20, 0, False)),
        ({"publishing_interval_ms": 700}, {}, (700, 20, 0, False)),
        ({"publishing_interval_ms": 700}, {"sampling_interval_ms": 50}, (50, 20, 0, False)),
        ({"sampling_interval_ms": 5, "queue_size": 9}, {"sampling_interval_ms": 50}, (5, 9, 0, False)),
        ({"deadband": 0.5}, {}, (100, 20, 0.5, False)),
        ({"deadband_percent": 2}, {}, (100, 20, 2, True)),
    ],
)
async def test_a_tag_s_own_settings_win(keys: dict[str, float], device: dict[str, float], expected: object) -> None:
    one = tag("a", **keys)
    assert item_settings(settings(one, **device), one) == expected


async def test_any_change_of_what_is_asked_for_is_another_layout() -> None:
    first, second = tag("a"), tag("b")
    layouts = [
        layout_of(device, nodes)
        for device, nodes in [
            (settings(first, second), [1, 2]),
            (settings(first, second), [1, 3]),
            (settings(second, first), [1, 2]),
            (settings(first, second, queue_size=21), [1, 2]),
            (settings(first, second, publishing_interval_ms=101), [1, 2]),
            (settings(first, second, subscription_lifetime_s=60), [1, 2]),
            (settings(first, tag("b", deadband=1)), [1, 2]),
            (settings(first, tag("b", deadband_percent=1)), [1, 2]),
            # The same is asked for, and the server sends nothing anew: points that are new would wait for a change.
            (settings(first, tag("b", kind="i64")), [1, 2]),
            (settings(first, tag("b", elements=3)), [1, 2]),
            (settings(first, tag("b", elements=4)), [1, 2]),
            (settings(first, tag("b", fields=["Speed"])), [1, 2]),
            (settings(first, tag("b", fields=["Speed", "Force"])), [1, 2]),
        ]
    ]
    assert len(set(layouts)) == len(layouts)
    assert layouts[0] == layout_of(settings(first, second, retry_refused_s=1), [1, 2])


async def test_one_subscription_for_each_interval_with_the_items_own_settings(plc: Plc) -> None:
    await plc.add_all(dict.fromkeys(NODES, 1.0))
    own = {
        "slow": {"publishing_interval_ms": 70, "sampling_interval_ms": 7, "queue_size": 33},
        "quiet": {"deadband": 5.0},
    }
    rig = Rig(plc.port, NODES, own=own, queue_size=4)
    async with rig.running():
        await rig.seen()
        by_interval = {one.data.RevisedPublishingInterval: one for one in plc.service.subscriptions.values()}
        items = {
            interval: {item.client_handle: item for item in one.monitored_item_srv._monitored_items.values()}
            for interval, one in by_interval.items()
        }
        assert {interval: {*found} for interval, found in items.items()} == {20.0: {0, 2}, 70.0: {1}}
        assert [items[20.0][0].queue_size, items[70.0][1].queue_size, items[20.0][2].queue_size] == [4, 33, 4]
        assert [deadband_of(items[20.0][handle].filter) for handle in (0, 2)] == [(0, 0), (1, 5.0)]
        assert rig.context.facts["subscriptions"] == 2
        for value in (2.0, 20.0, 21.0, 40.0):
            for name in NODES:
                await plc.write(name, ua.DataValue(ua.Variant(value)))
            await rig.seen("fast", readings=len(rig.of("fast")) + 1)
        await rig.seen("slow", readings=5)
        await rig.seen("quiet", readings=3)
    assert [reading.value for reading in rig.of("fast")] == [1.0, 2.0, 20.0, 21.0, 40.0]
    assert [reading.value for reading in rig.of("slow")] == [1.0, 2.0, 20.0, 21.0, 40.0]
    # The server leaves out what is within the deadband.
    assert [reading.value for reading in rig.of("quiet")] == [1.0, 20.0, 40.0]


@pytest.mark.parametrize("granted", [1, 2])
async def test_a_server_that_grants_fewer_subscriptions_is_read_through_those(
    plc: Plc, monkeypatch: pytest.MonkeyPatch, granted: int
) -> None:
    """None is given up for the one that is missing, and no session ends because one more might be had by now."""
    await plc.add_all(dict.fromkeys(NODES, 1.0))
    create = plc.service.create_subscription
    wanted: list[float] = []

    async def few(parameters: ua.CreateSubscriptionParameters, *more: object, **keys: object) -> object:
        wanted.append(parameters.RequestedPublishingInterval)
        if len(plc.service.subscriptions) >= granted:
            raise ServiceError(ua.StatusCodes.BadTooManySubscriptions)
        return await create(parameters, *more, **keys)

    monkeypatch.setattr(plc.service, "create_subscription", few)
    own = {"slow": {"publishing_interval_ms": 90}, "quiet": {"publishing_interval_ms": 60}}
    nodes = NODES | {"late": "ns=2;s=not-there-yet"}
    rig = Rig(plc.port, nodes, own=own, retry_refused_s=0.1)
    async with rig.running() as task:
        await rig.seen()
        await until(lambda: rig.context.facts["tags_refused"] == 1)
        intervals_made = {
            one.data.RevisedPublishingInterval: {
                item.client_handle for item in one.monitored_item_srv._monitored_items.values()
            }
            for one in plc.service.subscriptions.values()
        }
        assert intervals_made == ({20.0: {0, 1, 2}} if granted == 1 else {20.0: {0}, 60.0: {1, 2}})
        assert (rig.context.facts["subscriptions"], rig.context.facts["subscriptions_refused"]) == (
            granted,
            3 - granted,
        )
        asked = len(wanted)
        for name in NODES:
            await plc.write(name, ua.DataValue(ua.Variant(2.0)))
        await rig.seen(*NODES, readings=2)
        await until(lambda: rig.errors("refused_tag") >= 3)  # asked for again, and no more subscriptions with it
        assert (len(wanted), task.done()) == (asked, False)
    assert rig.context.facts["tags_polled"] == 0


async def test_a_deadband_the_server_does_not_offer_costs_no_reading(plc: Plc, monkeypatch: pytest.MonkeyPatch) -> None:
    await plc.add_all(dict.fromkeys(NODES, 1.0))
    create = plc.service.create_monitored_items
    percents: list[float] = []

    async def without_percent(parameters: ua.CreateMonitoredItemsParameters) -> list[ua.MonitoredItemCreateResult]:
        refused = {
            place
            for place, item in enumerate(parameters.ItemsToCreate)
            if deadband_of(item.RequestedParameters.Filter)[0] == ua.DeadbandType.Percent
        }
        percents.extend(deadband_of(parameters.ItemsToCreate[place].RequestedParameters.Filter)[1] for place in refused)
        parameters.ItemsToCreate = [item for place, item in enumerate(parameters.ItemsToCreate) if place not in refused]
        results = await create(parameters)
        for place in sorted(refused):
            no = ua.MonitoredItemCreateResult(
                StatusCode=ua.StatusCode(ua.StatusCodes.BadMonitoredItemFilterUnsupported)
            )
            results.insert(place, no)
        return results

    monkeypatch.setattr(plc.service, "create_monitored_items", without_percent)
    rig = Rig(plc.port, NODES, own={"quiet": {"deadband_percent": 3.0}})
    async with rig.running():
        await rig.seen()
        await until(lambda: rig.context.facts["items_monitored"] == 3)
        assert percents == [3.0]
        assert rig.context.facts["deadbands_refused"] == 1
        assert rig.context.facts["tags_refused"] == 0


async def test_all_subscriptions_are_gone_on_with_together(plc: Plc) -> None:
    await plc.add_all(dict.fromkeys(NODES, 0.0))
    own = {"slow": {"publishing_interval_ms": 60}, "quiet": {"publishing_interval_ms": 90}}
    memory = Remembered()
    rigs = [Rig(0, NODES)]
    value = 0.0
    async with Line(plc).open() as line:
        for _ in range(3):
            rig = Rig(line.port, NODES, own=own, queue_size=1000, memory=memory)
            rigs.append(rig)
            async with rig.running() as task:
                if not value:
                    await rig.seen()
                for _ in range(10):
                    value += 1
                    for name in NODES:
                        await plc.write(name, ua.DataValue(ua.Variant(value)))
                    await rig.seen("fast", readings=len(rig.of("fast")) + 1)
                line.hang_up()
                with pytest.raises(SourceLost):
                    await task
        rig = Rig(line.port, NODES, own=own, queue_size=1000, memory=memory)
        rigs.append(rig)
        async with rig.running():
            for name in NODES:
                await plc.write(name, ua.DataValue(ua.Variant(-1.0)))
            await until(lambda: all(rig.of(name)[-1:] and rig.of(name)[-1].value == -1.0 for name in NODES))
            assert len(plc.service.subscriptions) == 3
            assert rig.context.facts["continued"] is True
    for name in NODES:
        assert [reading.value for rig in rigs for reading in rig.of(name)] == [*map(float, range(31)), -1.0]


async def test_what_the_server_did_not_grant_is_told_also_after_a_restart(plc: Plc) -> None:
    """A queue shorter than was asked for loses readings in the next outage: the person on site must see it before."""
    await plc.add_all(dict.fromkeys(NODES, 0.0))
    memory = Remembered()
    own = {"slow": {"sampling_interval_ms": 5}, "quiet": {"queue_size": 50_000}}
    for continued in (False, True):
        rig = Rig(plc.port, NODES, own=own, memory=memory)
        async with rig.running():
            await until(lambda rig=rig: rig.context.facts.get("items_monitored") == 3)
            assert rig.context.facts["continued"] is continued
            # asyncua keeps 10,000 at most, and samples as often as it publishes.
            assert rig.context.facts["queues_shortened"] == 1
            assert rig.context.facts["samplings_slowed"] == 1
            assert rig.context.facts["deadbands_refused"] == 0
