"""How a session ends: lost, silent, or cancelled; and that nothing of it stays behind."""

import asyncio
import socket
from contextlib import suppress

import pytest
from asyncua import ua

from gateway.errors import SourceLost
from tests.adapters.opcua.plc import Line, Plc, Rig
from tests.leftovers import leftovers
from tests.serving import serving
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

CANCEL_WITHIN_S = 30


async def test_a_server_that_is_absent() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        rig = Rig(taken.getsockname()[1], {"t": "ns=2;s=t"})
        with pytest.raises(SourceLost) as lost:
            await rig.adapter.run(rig.emit)
    assert str(lost.value) == (
        f"OPC UA device 'press' at {rig.settings.url}: connecting: nothing accepts connections there; "
        "check the port, and that the server is switched on"
    )
    assert rig.lives == []
    assert not leftovers()


async def test_something_that_is_no_opc_ua_server() -> None:
    async def chat(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 smtp.example ready\r\n")
        await writer.drain()

    async with serving(chat) as server:
        rig = Rig(server.port, {"t": "ns=2;s=t"}, timeout_s=1)
        with pytest.raises(SourceLost, match="connecting"):
            await rig.adapter.run(rig.emit)
    assert not leftovers()


async def test_a_server_that_stops_and_comes_back() -> None:
    plc = await Plc.start()
    await plc.add("t", 1.0)
    rig = Rig(plc.port, {"t": "ns=2;s=t"})
    async with rig.running() as task:
        await rig.seen()
        await plc.stop()
        # Some of its last answers may still come, and say that it has nothing for us any more.
        with pytest.raises(SourceLost, match=r"the connection was closed|BadNoSubscription"):
            await task
    assert rig.lives == [True, False]
    assert not leftovers()
    again = await Plc.start(port=plc.port)
    try:
        await again.add("t", 2.0)
        async with rig.running():
            await rig.seen(readings=2)
        assert [reading.value for reading in rig.of("t")] == [1.0, 2.0]
        assert rig.lives == [True, False, True, False]
    finally:
        await again.stop()


async def test_an_idle_server_is_kept_by_its_keep_alives(plc: Plc) -> None:
    await plc.add("t", 1.0)
    async with Line(plc).open() as line:
        rig = Rig(line.port, {"t": "ns=2;s=t"}, timeout_s=1)
        async with rig.running() as task:
            await rig.seen()
            passed = line.passed
            # Three keep-alives take longer than the watchdog allows without a sign of life.
            await until(lambda: line.passed >= passed + 3 or task.done())
            assert not task.done()
            await plc.write("t", ua.DataValue(ua.Variant(2.0)))
            await rig.seen(readings=2)


async def test_a_server_that_goes_silent(plc: Plc) -> None:
    await plc.add("t", 1.0)
    async with Line(plc).open() as line:
        rig = Rig(line.port, {"t": "ns=2;s=t"}, timeout_s=1)
        async with rig.running() as task:
            await rig.seen()
            line.passes = 0
            async with asyncio.timeout(CANCEL_WITHIN_S):
                with pytest.raises(SourceLost, match="no sign of life for 2 s"):
                    await task
        assert rig.lives == [True, False]
        assert not leftovers()
        await until(lambda: line.cut)


async def test_a_server_that_ends_the_subscription(plc: Plc) -> None:
    await plc.add("t", 1.0)
    rig = Rig(plc.port, {"t": "ns=2;s=t"})
    async with rig.running() as task:
        await rig.seen()
        plc.subscription._startup = True  # asyncua sends status changes only along with something else
        await plc.subscription.enqueue_statuschange(ua.StatusCode(ua.StatusCodes.BadTimeout))
        with pytest.raises(SourceLost, match=r"ended the subscription \(BadTimeout\)"):
            await task


async def test_what_arrived_before_the_loss_is_still_emitted(plc: Plc) -> None:
    await plc.add("t", 1.0)
    async with Line(plc).open() as line:
        rig = Rig(line.port, {"t": "ns=2;s=t"})
        async with rig.running() as task:
            await rig.seen()
            rig.gate.clear()
            await plc.write("t", ua.DataValue(ua.Variant(2.0)))
            await until(lambda: rig.entered == 2)
            passed = line.passed
            await plc.write("t", ua.DataValue(ua.Variant(3.0)))
            await until(lambda: line.passed > passed)
            line.hang_up()
            await until(lambda: not any("publish request" in task.get_name() for task in asyncio.all_tasks()))
            rig.gate.set()
            with pytest.raises(SourceLost, match="the connection was closed"):
                await task
    assert [reading.value for reading in rig.of("t")] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("passes", range(10))
async def test_cancelled_while_it_waits_for_any_answer(plc: Plc, passes: int) -> None:
    """Each answer of the server is once the one that never comes."""
    await plc.add("t", 1.0)
    async with Line(plc, passes).open() as line:
        rig = Rig(line.port, {"t": "ns=2;s=t"}, timeout_s=60)
        task = asyncio.create_task(rig.adapter.run(rig.emit))
        await until(lambda: line.stalled.is_set() or rig.batches)
        task.cancel()
        async with asyncio.timeout(CANCEL_WITHIN_S):
            with pytest.raises(asyncio.CancelledError):
                await task
        assert not leftovers()
        await until(lambda: line.cut)


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89])
async def test_cancelled_after_any_number_of_turns_of_the_loop(plc: Plc, turns: int) -> None:
    await plc.add("t", 1.0)
    rig = Rig(plc.port, {"t": "ns=2;s=t"})
    task = asyncio.create_task(rig.adapter.run(rig.emit))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(CANCEL_WITHIN_S):
        with suppress(asyncio.CancelledError):
            await task
    assert task.cancelled()
    assert not leftovers()
    await until(lambda: plc.connections == 0)


async def test_cancelled_twice_while_it_says_goodbye(plc: Plc) -> None:
    await plc.add("t", 1.0)
    async with Line(plc).open() as line:
        rig = Rig(line.port, {"t": "ns=2;s=t"})
        task = asyncio.create_task(rig.adapter.run(rig.emit))
        await rig.seen()
        line.passes = 0
        task.cancel()
        await until(line.stalled.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not leftovers()
        await until(lambda: line.cut)


async def test_cancelled_while_emit_waits(plc: Plc) -> None:
    await plc.add("t", 1.0)
    rig = Rig(plc.port, {"t": "ns=2;s=t"})
    rig.gate.clear()
    async with rig.running():
        await until(lambda: rig.entered)
    assert not leftovers()
    await until(lambda: plc.connections == 0)
