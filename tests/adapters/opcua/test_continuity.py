"""Going on after a cut, a restart and a crash: against a real server that keeps subscriptions as a PLC does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise

import pytest
import pytest_asyncio
from asyncua import ua

from gateway.batch import Batch, Flag
from gateway.errors import SourceLost
from gateway.gap import Gap
from tests.adapters.opcua.plc import NOW_NS, Line, Plc, Remembered, Rig
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Counter:
    """Counts a variable up, one change at a time."""

    def __init__(self, plc: Plc, name: str) -> None:
        self._plc = plc
        self._name = name
        self.value = 0

    async def up(self, times: int = 1) -> None:
        for _ in range(times):
            self.value += 1
            value = ua.Variant(self.value, ua.VariantType.Int64)
            await self._plc.write(self._name, ua.DataValue(value, SourceTimestamp=datetime.now(UTC)))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async def run() -> None:
            while True:
                await self.up()
                await asyncio.sleep(0.002)

        task = asyncio.create_task(run())
        try:
            yield
        finally:
            task.cancel()


@pytest_asyncio.fixture(loop_scope="session")
async def counter(plc: Plc) -> Counter:
    await plc.add("n", ua.Variant(0, ua.VariantType.Int64))
    return Counter(plc, "n")


def values(*rigs: Rig) -> list[object]:
    return [reading.value for rig in rigs for reading in rig.of("n")]


async def crash(rig: Rig, task: "asyncio.Task[None]", line: Line) -> None:
    """What SIGKILL leaves at the server: a connection that breaks, and nobody who says goodbye."""
    line.hang_up()
    with pytest.raises(SourceLost):
        await task


async def test_a_cut_loses_nothing_and_repeats_nothing_telegraf_19186(plc: Plc, counter: Counter) -> None:
    """telegraf#19186, thingsboard-gateway#1641: after a reconnect readings never came again."""
    async with Line(plc).open() as line:
        rig = Rig(line.port, {"n": "ns=2;s=n"}, queue_size=10_000)
        async with counter.running():
            for _ in range(4):
                before = len(values(rig))
                async with rig.running() as task:
                    await until(lambda before=before: len(values(rig)) > before + 20)
                    line.hang_up()
                    with pytest.raises(SourceLost):
                        await task
                await counter.up(50)
        async with rig.running():
            await until(lambda: values(rig)[-1] == counter.value)
    assert values(rig) == [*range(int(str(values(rig)[0])), counter.value + 1)]
    assert rig.context.facts["continued"] is True
    assert not any(reading.flags for reading in rig.of("n"))
    assert rig.errors("lost_notification") == 0


async def test_messages_that_were_on_the_way_when_the_line_broke_are_fetched_again(plc: Plc, counter: Counter) -> None:
    async with Line(plc).open() as line:
        rig = Rig(line.port, {"n": "ns=2;s=n"}, queue_size=1000)
        async with rig.running() as task:
            await rig.seen()
            await until(lambda: plc.unacknowledged == [])
            line.passes = 0  # the server's answers are lost from now on
            for _ in range(3):
                sent = len(plc.unacknowledged)
                await counter.up(5)
                await until(lambda sent=sent: len(plc.unacknowledged) > sent)
            await crash(rig, task, line)
        line.mend()
        await counter.up(5)
        async with rig.running():
            await until(lambda: values(rig)[-1] == counter.value)
            assert rig.context.facts["republished"] >= 3
            await until(lambda: plc.unacknowledged == [])
    assert values(rig) == [*range(counter.value + 1)]


async def test_what_was_kept_over_a_cut_is_judged_by_the_clock_as_well(plc: Plc, counter: Counter) -> None:
    """It comes by Republish, before anything that tells the server's time anew."""
    async with Line(plc).open() as line:
        rig = Rig(line.port, {"n": "ns=2;s=n"}, queue_size=1000, max_clock_skew_s=60.0)
        async with rig.running() as task:
            await rig.seen()
            await until(lambda: plc.unacknowledged == [])
            line.passes = 0
            await counter.up()
            await until(lambda: plc.unacknowledged != [])
            await crash(rig, task, line)
        line.mend()
        await counter.up()
        rig.gaps.missing.stopped_before(0)
        async with rig.running():
            await until(lambda: values(rig)[-1] == counter.value)
            assert rig.context.facts["republished"] >= 1
    assert values(rig) == [0, 1, 2]
    assert rig.gaps.causes == [("clock", None)], "only times are missing: the subscription was gone on with"
    assert all(reading.flags & Flag.GATEWAY_TIME for reading in rig.of("n"))
    assert all(abs(reading.ts_ns - NOW_NS) < 60e9 for reading in rig.of("n")[1:])
    assert (rig.errors("clock_away"), rig.errors("clock_jump")) == (3, 0)


@asynccontextmanager
async def life(rigs: list[Rig], line: Line, **settings: object) -> AsyncIterator[Rig]:
    """One process's life of the gateway: an adapter of its own, which knows only what the memory holds."""
    rig = Rig(line.port, settings.pop("nodes", {"n": "ns=2;s=n"}), queue_size=10_000, **settings)
    rigs.append(rig)
    async with rig.running():
        yield rig


async def test_another_process_goes_on_where_this_one_was_killed(plc: Plc, counter: Counter) -> None:
    memory = Remembered()
    rigs: list[Rig] = []
    async with Line(plc).open() as line:
        async with counter.running():
            for _ in range(4):
                async with life(rigs, line, memory=memory) as rig:
                    await until(lambda rig=rig: len(values(rig)) > 20)
                    line.hang_up()
        async with life(rigs, line, memory=memory) as rig:
            await until(lambda: values(*rigs)[-1] == counter.value)
            assert rig.context.facts["continued"] is True
    assert values(*rigs) == [*range(int(str(values(*rigs)[0])), counter.value + 1)]
    assert not any(reading.flags for rig in rigs for reading in rig.of("n"))


async def test_what_was_committed_and_not_acknowledged_is_not_read_twice(plc: Plc, counter: Counter) -> None:
    memory = Remembered()
    rigs: list[Rig] = []
    async with Line(plc).open() as line:
        async with life(rigs, line, memory=memory) as rig:
            await rig.seen()
            rig.gate.clear()
            await counter.up()
            await until(lambda: rig.entered == 2)
            line.passes = 0  # what is committed from now on is acknowledged to nobody
            line.deaf = True
            await counter.up()
            rig.gate.set()
            await until(lambda: len(values(rig)) >= 2)
            line.hang_up()
        line.mend()
        assert plc.unacknowledged != []
        await counter.up()
        async with life(rigs, line, memory=memory):
            await until(lambda: values(*rigs)[-1] == counter.value)
            await until(lambda: plc.unacknowledged == [])
    assert values(*rigs) == [0, 1, 2, 3]


async def test_a_clean_stop_keeps_the_subscription_for_the_next_process(plc: Plc, counter: Counter) -> None:
    memory = Remembered()
    rigs: list[Rig] = []
    async with Line(plc).open() as line:
        async with life(rigs, line, memory=memory) as rig:
            await rig.monitors()
        number = plc.subscription.data.SubscriptionId
        await until(lambda: plc.connections == 0)
        await counter.up(30)
        async with life(rigs, line, memory=memory):
            await until(lambda: values(*rigs)[-1] == counter.value)
            assert plc.subscription.data.SubscriptionId == number
    assert values(*rigs) == [*range(31)]


async def test_a_device_that_is_removed_leaves_no_subscription_behind(plc: Plc, counter: Counter) -> None:
    memory = Remembered()
    rig = Rig(plc.port, {"n": "ns=2;s=n"}, memory=memory)
    async with rig.running():
        await rig.monitors()
        memory.wanted = False
    assert plc.service.subscriptions == {}


async def test_without_a_memory_a_clean_stop_leaves_no_subscription_behind(plc: Plc, counter: Counter) -> None:
    rig = Rig(plc.port, {"n": "ns=2;s=n"})
    async with rig.running():
        await rig.seen()
    assert plc.service.subscriptions == {}


async def test_there_is_never_a_second_subscription_industrial_iot_2349(plc: Plc, counter: Counter) -> None:
    """Industrial-IoT#2349: after a reconnect tags were subscribed to twice, and each reading came twice."""
    memory = Remembered()
    rigs: list[Rig] = []
    nodes = {"n": "ns=2;s=n"}
    await plc.add("more", 1.0)
    async with Line(plc).open() as line:
        for round_ in range(3):
            async with life(rigs, line, memory=memory, nodes=nodes) as rig:
                number = len(nodes)
                await until(lambda rig=rig, number=number: rig.context.facts.get("items_monitored") == number)
                assert len(plc.service.subscriptions) == 1
                assert len(plc.subscription.monitored_item_srv._monitored_items) == len(nodes)
                line.hang_up()
            if round_ == 1:
                nodes = nodes | {"more": "ns=2;s=more"}  # asked for anew: the old subscription is deleted
    assert [rig.context.facts["continued"] for rig in rigs] == [False, True, False]
    assert rigs[2].of("n")[0].flags == Flag.LOST_BEFORE


async def test_refused_tags_are_remembered_and_not_made_twice(plc: Plc, counter: Counter) -> None:
    memory = Remembered()
    rigs: list[Rig] = []
    nodes = {"n": "ns=2;s=n", "late": "ns=2;s=late-one"}
    async with Line(plc).open() as line:
        async with life(rigs, line, memory=memory, nodes=nodes) as rig:
            await rig.seen()
            await until(lambda: rig.context.facts["tags_refused"] == 1)
        async with life(rigs, line, memory=memory, nodes=nodes, retry_refused_s=0.1) as rig:
            await until(lambda: rig.context.facts.get("tags_refused") == 1)
            assert rig.context.facts["continued"] is True
            await plc.add("late-one", 5.0)
            await until(lambda: rig.context.facts["tags_refused"] == 0)
            await until(lambda: [reading.value for reading in rig.of("late")][-1:] == [5.0])
        async with life(rigs, line, memory=memory, nodes=nodes, retry_refused_s=0.1) as rig:
            await until(lambda: rig.context.facts.get("items_monitored") == 2)
            await plc.write("late-one", ua.DataValue(ua.Variant(6.0)))
            await rig.seen("late")
            assert len(plc.subscription.monitored_item_srv._monitored_items) == 2
    assert [reading.value for reading in rigs[2].of("late")] == [6.0]


async def test_a_subscription_that_has_expired_is_made_anew_and_that_is_told(plc: Plc, counter: Counter) -> None:
    memory = Remembered()
    rigs: list[Rig] = []
    async with Line(plc).open() as line:
        async with life(rigs, line, memory=memory) as rig:
            await rig.monitors()
            line.hang_up()
        await plc.clear()
        await counter.up()
        async with life(rigs, line, memory=memory) as rig:
            await rig.seen()
            assert rig.context.facts["continued"] is False
    assert [(reading.value, reading.flags) for reading in rigs[1].of("n")] == [(1, Flag.LOST_BEFORE)]


async def test_a_server_that_was_restarted_is_not_taken_for_the_one_before(plc: Plc) -> None:
    """It gives the same ids again: the subscription of that number is somebody else's."""
    memory = Remembered()
    rigs: list[Rig] = []
    first = await Plc.start()
    try:
        await first.add("n", 1)
        async with Line(first).open() as line, life(rigs, line, memory=memory) as rig:
            await rig.monitors()
            number = first.subscription.data.SubscriptionId
            line.hang_up()
    finally:
        await first.stop()
    again = await Plc.start(port=first.port)
    try:
        await again.add("n", 2)
        other = Rig(again.port, {"n": "ns=2;s=n"})
        async with other.running(), Line(again).open() as line:
            await other.seen()
            assert again.subscription.data.SubscriptionId == number
            async with life(rigs, line, memory=memory) as rig:
                await rig.seen()
            await again.write("n", ua.DataValue(ua.Variant(3)))
            await other.seen(readings=2)
    finally:
        await again.stop()
    assert [(reading.value, reading.flags) for reading in rigs[1].of("n")] == [(2, Flag.LOST_BEFORE)]


async def test_a_server_without_the_service_is_read_anew(
    plc: Plc, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unsupported(*_: object) -> None:
        raise ua.uaerrors.BadServiceUnsupported

    monkeypatch.setattr(plc.service, "transfer_subscriptions", unsupported)
    async with Line(plc).open() as line:
        rig = Rig(line.port, {"n": "ns=2;s=n"})
        async with rig.running() as task:
            await rig.monitors()
            await crash(rig, task, line)
        async with rig.running():
            await rig.seen(readings=2)
            assert rig.context.facts["continued"] is False
    before, after = rig.of("n")
    assert [before.flags, after.flags] == [0, Flag.LOST_BEFORE]
    assert rig.gaps.all == [Gap("press", "unreachable", before.ts_ns, after.ts_ns, None)]


async def test_asyncua_s_own_server_is_read_again_though_its_transfer_leads_nowhere() -> None:
    """It says yes, and then answers to requests of the connection before."""
    plc = await Plc.start(stock=True)
    try:
        await plc.add("n", ua.Variant(0, ua.VariantType.Int64))
        async with Line(plc).open() as line:
            rig = Rig(line.port, {"n": "ns=2;s=n"}, timeout_s=0.5)
            async with rig.running() as task:
                await rig.monitors()
                await crash(rig, task, line)
            attempts = 0
            while len(values(rig)) < 2:
                attempts += 1
                assert attempts < 10
                await plc.write("n", ua.DataValue(ua.Variant(attempts, ua.VariantType.Int64)))
                async with rig.running() as task:
                    await until(lambda task=task: task.done() or len(values(rig)) >= 2)
            async with rig.running():
                await plc.write("n", ua.DataValue(ua.Variant(77, ua.VariantType.Int64)))
                await until(lambda: values(rig)[-1] == 77)
    finally:
        await plc.stop()


async def test_a_subscription_that_stays_silent_after_it_was_taken_over_is_given_up(plc: Plc, counter: Counter) -> None:
    async with Line(plc).open() as line:
        rig = Rig(line.port, {"n": "ns=2;s=n"}, timeout_s=0.3)
        async with rig.running() as task:
            await rig.monitors()
            await crash(rig, task, line)
        await plc.subscription.stop()  # it is still there by its number, and does nothing any more
        async with rig.running() as task:
            with pytest.raises(SourceLost, match="no sign of life"):
                await task
        async with rig.running():
            await rig.seen(readings=2)
    assert [reading.flags for reading in rig.of("n")] == [0, Flag.LOST_BEFORE]


async def test_a_batch_that_cannot_be_stored_does_not_come_again_and_again(plc: Plc, counter: Counter) -> None:
    memory = Remembered()
    rig = Rig(plc.port, {"n": "ns=2;s=n"}, memory=memory)

    async def refuse(batch: Batch, mark: bytes = b"", /) -> None:
        raise OverflowError("cannot be stored")

    async with rig.running():
        await rig.monitors()
    await counter.up()
    with pytest.raises(OverflowError):
        await rig.adapter.run(refuse)
    assert plc.service.subscriptions == {}  # nobody will come back for it
    await counter.up()
    async with rig.running():
        await until(lambda: values(rig)[-1] == 2)
        assert rig.context.facts["continued"] is False
    assert rig.of("n")[-1].flags == Flag.LOST_BEFORE


async def test_what_the_server_s_queue_could_not_hold_is_told(plc: Plc, counter: Counter) -> None:
    async with Line(plc).open() as line:
        rig = Rig(line.port, {"n": "ns=2;s=n"}, queue_size=5)
        async with rig.running() as task:
            await rig.monitors()
            await until(lambda: plc.unacknowledged == [])
            line.passes = 0
            for _ in range(4):  # one for each request that is outstanding
                sent = len(plc.unacknowledged)
                await counter.up()
                await until(lambda sent=sent: len(plc.unacknowledged) > sent)
            await crash(rig, task, line)
        line.mend()
        await counter.up(20)
        async with rig.running():
            await until(lambda: values(rig)[-1] == counter.value)
    assert values(rig) == [0, 1, 2, 3, 4, 20, 21, 22, 23, 24]
    assert [reading.value for reading in rig.of("n") if reading.flags & Flag.LOST_BEFORE] == [20]
    times = {reading.value: reading.ts_ns for reading in rig.of("n")}
    assert rig.gaps.all == [Gap("press", "queue_overflow", times[4], times[20], None, tag="n")]
    assert rig.errors("queue_overflow") == 1


async def test_a_subscription_that_somebody_else_took_is_left_to_them(plc: Plc, counter: Counter) -> None:
    """Two gateways from one disk image must not take it from each other for ever."""
    memory, twin = Remembered(), Remembered()
    rig = Rig(plc.port, {"n": "ns=2;s=n"}, memory=memory)
    async with rig.running() as task:
        await rig.monitors()
        twin.state, twin.mark = memory.state, memory.mark
        subscription = plc.subscription
        subscription._startup = True
        await subscription.enqueue_statuschange(ua.StatusCode(ua.StatusCodes.GoodSubscriptionTransferred))
        with pytest.raises(SourceLost, match="GoodSubscriptionTransferred"):
            await task
    assert memory.state != twin.state


@pytest.mark.parametrize("killed", [False, True], ids=["cut", "killed"])
@pytest.mark.parametrize("passes", range(7, 23))
async def test_cut_or_killed_after_any_message_of_the_server(
    plc: Plc, counter: Counter, passes: int, killed: bool
) -> None:
    """Once all items are made nothing is lost and nothing comes twice; before that reading begins anew and says so."""
    memory = Remembered()
    rigs: list[Rig] = []
    async with counter.running(), Line(plc).open() as line:
        for cut_after in (passes, passes - 4, passes + 3):
            line.passes = line.passed + cut_after
            line.stalled.clear()
            if killed or not rigs:
                rigs.append(Rig(line.port, {"n": "ns=2;s=n"}, queue_size=10_000, memory=memory))
            async with rigs[-1].running() as task:
                await until(lambda task=task: line.stalled.is_set() or task.done())
                line.hang_up()
                with pytest.raises(SourceLost):
                    await task
        line.mend()
        if killed:
            rigs.append(Rig(line.port, {"n": "ns=2;s=n"}, queue_size=10_000, memory=memory))
        async with rigs[-1].running():
            reached = counter.value
            await until(lambda: values(*rigs)[-1:] and int(str(values(*rigs)[-1])) > reached)
    readings = [reading for rig in rigs for reading in rig.of("n")]
    for before, after in pairwise(readings):
        assert after.value == before.value + 1 or after.flags & Flag.LOST_BEFORE
    assert sum(bool(reading.flags & Flag.LOST_BEFORE) for reading in readings) <= 1
    if passes > 12:
        assert not any(reading.flags for reading in readings)
    assert rigs[-1].errors("lost_notification") == 0
