"""When a server is told that its readings arrived, and what happens to messages that go missing."""

import asyncio
from datetime import UTC, datetime

import pytest
from asyncua import ua
from asyncua.server.uaprocessor import PublishRequestData

from gateway.batch import Flag
from tests.adapters.opcua.plc import Plc, Rig
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def write(plc: Plc, value: float, to: str = "t") -> None:
    await plc.write(to, ua.DataValue(ua.Variant(value), SourceTimestamp=datetime.now(UTC)))


def swallow_next(plc: Plc) -> asyncio.Event:
    """Makes the server lose its next message on the way, after giving it a number."""
    subscription = plc.subscription
    send = subscription.pub_result_callback
    swallowed = asyncio.Event()

    async def lose(result: ua.PublishResult, request: PublishRequestData) -> None:
        if not result.NotificationMessage.NotificationData:
            await send(result, request)
            return
        subscription.pub_result_callback = send
        send.__self__._publish_requests.appendleft(request)
        swallowed.set()

    subscription.pub_result_callback = lose
    return swallowed


async def test_nothing_is_acknowledged_before_emit_returned(plc: Plc) -> None:
    await plc.add("t", 1.0)
    rig = Rig(plc.port, {"t": "ns=2;s=t"})
    rig.gate.clear()
    async with rig.running():
        await until(lambda: rig.entered == 1)
        for value in (2.0, 3.0):
            sent = len(plc.unacknowledged)
            await write(plc, value)
            await until(lambda sent=sent: len(plc.unacknowledged) > sent)
        # Several publishing intervals, in which a loop that acknowledges too early would have done so.
        await asyncio.sleep(0.3)
        assert plc.unacknowledged == [1, 2, 3]
        assert rig.entered == 1
        rig.gate.set()
        await rig.seen(readings=3)
        await until(lambda: plc.unacknowledged == [])
    assert [reading.value for reading in rig.of("t")] == [1.0, 2.0, 3.0]


async def test_a_slow_gateway_makes_the_server_keep_its_readings(plc: Plc) -> None:
    await plc.add("t", 0.0)
    rig = Rig(plc.port, {"t": "ns=2;s=t"}, queue_size=5)
    rig.gate.clear()
    async with rig.running():
        await until(lambda: rig.entered == 1)
        for value in range(1, 31):
            await write(plc, float(value))
            await asyncio.sleep(0.03)
        # No more messages than requests: the rest waits at the server, where the item's queue bounds it.
        await until(lambda: len(plc.unacknowledged) == 4)
        rig.gate.set()
        await until(lambda: rig.of("t")[-1:] and rig.of("t")[-1].value == 30.0)
    values = [reading.value for reading in rig.of("t")]
    assert values == sorted(values)
    assert values[-5:] == [26.0, 27.0, 28.0, 29.0, 30.0]


async def test_a_message_that_went_missing_is_fetched_again_in_its_turn(plc: Plc) -> None:
    await plc.add("t", 1.0)
    rig = Rig(plc.port, {"t": "ns=2;s=t"})
    async with rig.running():
        await rig.seen()
        swallowed = swallow_next(plc)
        await write(plc, 2.0)
        await swallowed.wait()
        await write(plc, 3.0)
        await rig.seen(readings=3)
    assert [(reading.value, reading.flags) for reading in rig.of("t")] == [(1.0, 0), (2.0, 0), (3.0, 0)]
    assert rig.context.facts["republished"] == 1
    assert rig.context.facts["lost_notifications"] == 0


async def test_a_missing_message_is_noticed_by_the_next_keep_alive(plc: Plc) -> None:
    await plc.add("t", 1.0)
    rig = Rig(plc.port, {"t": "ns=2;s=t"}, timeout_s=1)
    async with rig.running():
        await rig.seen()
        swallowed = swallow_next(plc)
        await write(plc, 2.0)
        await swallowed.wait()
        await rig.seen(readings=2)
    assert rig.context.facts["republished"] == 1


async def test_a_message_that_nobody_has_any_more_is_counted_and_told(plc: Plc) -> None:
    await plc.add("t", 1.0)
    await plc.add("u", 1.0)
    rig = Rig(plc.port, {"t": "ns=2;s=t", "u": "ns=2;s=u"})
    async with rig.running():
        await rig.seen()
        swallowed = swallow_next(plc)
        await write(plc, 2.0)
        await swallowed.wait()
        plc.subscription._not_acknowledged_results.clear()
        await write(plc, 3.0)
        await rig.seen("t", readings=2)
        await write(plc, 4.0)
        await rig.seen("t", readings=3)
        await write(plc, 2.0, to="u")
        await rig.seen("u", readings=2)
    assert [(reading.value, reading.flags) for reading in rig.of("t")] == [
        (1.0, 0),
        (3.0, Flag.LOST_BEFORE),
        (4.0, 0),
    ]
    # Whose readings were in it nobody knows, so the other tag's next reading says it too.
    assert [reading.flags for reading in rig.of("u")] == [0, Flag.LOST_BEFORE]
    assert rig.context.facts["lost_notifications"] == 1
    assert rig.errors("lost_notification") == 1
    assert rig.gaps.causes == [("lost_notification", None)], "one of the device, and none of each tag"


async def test_fewer_requests_are_kept_at_a_server_that_takes_fewer(plc: Plc) -> None:
    await plc.add("t", 1.0)
    rig = Rig(plc.port, {"t": "ns=2;s=t"})
    async with rig.running():
        await rig.seen()
        processor = plc.subscription.pub_result_callback.__self__
        processor.publish_request_limit = lambda _subscriptions: 2
        for value in range(2, 12):
            await write(plc, float(value))
            await rig.seen(readings=value)
        assert len(processor._publish_requests) <= 2
    assert [reading.value for reading in rig.of("t")] == [float(value) for value in range(1, 12)]


async def test_a_damaged_notification_is_counted_and_told_and_not_asked_for_for_ever(plc: Plc) -> None:
    await plc.add("t", 1.0)
    rig = Rig(plc.port, {"t": "ns=2;s=t"})
    async with rig.running():
        await rig.seen()
        subscription = plc.subscription
        send = subscription.pub_result_callback

        async def damage(result: ua.PublishResult, request: PublishRequestData) -> None:
            if result.NotificationMessage.NotificationData:
                subscription.pub_result_callback = send
                body = ua.ExtensionObject(TypeId=ua.FourByteNodeId(811), Body=b"\x07\x00\x00\x00damaged")
                result.NotificationMessage.NotificationData = [body]
            await send(result, request)

        subscription.pub_result_callback = damage
        await write(plc, 2.0)
        await until(lambda: rig.errors("damaged_notification") == 1)
        await until(lambda: plc.unacknowledged == [])
        await write(plc, 3.0)
        await rig.seen(readings=2)
    assert [(reading.value, reading.flags) for reading in rig.of("t")] == [(1.0, 0), (3.0, Flag.LOST_BEFORE)]
    assert rig.gaps.causes == [("lost_notification", None)]
