"""The life of a device under `supervise`, as the gateway leads it: off at the start, restarted, changed, alive."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from asyncua import ua

from gateway.demo.broker import free_port
from gateway.errors import SourceLost
from gateway.health import Health, State
from gateway.metrics import Metrics
from gateway.supervise import Backoff, supervise
from tests.adapters.opcua.plc import NOW_NS, URI, Plc, Remembered, Rig
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


@asynccontextmanager
async def supervised(rig: Rig) -> AsyncIterator[Health]:
    health = Health(lambda: NOW_NS)
    task = asyncio.create_task(
        supervise(
            "device press",
            lambda: rig.adapter.run(rig.emit),
            health=health,
            metrics=Metrics(),
            backoff=Backoff(first_s=0.05, most_s=0.2),
        )
    )
    try:
        yield health
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_plc_that_is_off_at_the_start_is_read_once_it_is_there_telegraf_8632() -> None:
    """telegraf#8632: the start failed while the PLC was off."""
    rig = Rig(free_port(), {"t": "ns=2;s=t"})
    async with supervised(rig) as health:
        await until(lambda: health.as_dict().get("device press", {}).get("state") == State.WAITING)
        assert "nothing accepts connections there" in str(health.as_dict()["device press"])
        plc = await Plc.start(port=int(rig.settings.url.rpartition(":")[2]))
        try:
            await plc.add("t", 1.0)
            await until(lambda: [reading.value for reading in rig.of("t")][-1:] == [1.0])
        finally:
            await plc.stop()


async def test_it_is_read_again_after_a_restart_thingsboard_gateway_1641() -> None:
    """thingsboard-gateway#1641, telegraf#19186: after the PLC came back nothing was read any more."""
    rig = Rig(free_port(), {"t": "ns=2;s=t"}, memory=Remembered(), retry_refused_s=0.1)
    port = int(rig.settings.url.rpartition(":")[2])
    async with supervised(rig):
        for life in (1, 2):
            plc = await Plc.start(port=port)
            try:
                await plc.add("t", float(life))
                await until(lambda life=life: [reading.value for reading in rig.of("t")][-1:] == [float(life)])
                await plc.write("t", ua.DataValue(ua.Variant(life + 0.5)))
                await until(lambda life=life: [reading.value for reading in rig.of("t")][-1:] == [life + 0.5])
            finally:
                await plc.stop()


async def test_a_plc_that_comes_back_with_other_namespace_indices() -> None:
    rig = Rig(free_port(), {"t": f"nsu={URI};s=t"}, memory=Remembered())
    port = int(rig.settings.url.rpartition(":")[2])
    async with supervised(rig):
        plc = await Plc.start(port=port)
        try:
            await plc.add("t", 1.0)
            await until(lambda: [reading.value for reading in rig.of("t")][-1:] == [1.0])
        finally:
            await plc.stop()
        plc = await Plc.start(port=port, before=("urn:other:first",))
        try:
            # What had index 2 is another program's now, and has a variable of the same name.
            await plc.add("t", -1.0)
            await plc.add("t", 2.0, namespace=3)
            await until(lambda: [reading.value for reading in rig.of("t")][-1:] == [2.0])
        finally:
            await plc.stop()
    assert -1.0 not in [reading.value for reading in rig.of("t")]


async def test_data_counts_as_a_sign_of_life(plc: Plc) -> None:
    """A server that is busy sends no keep-alives; one that sends neither is lost."""
    await plc.add("t", 0.0)
    rig = Rig(plc.port, {"t": "ns=2;s=t"}, timeout_s=0.4)
    async with rig.running() as task:
        await rig.seen()
        subscription = plc.subscription
        subscription.has_published_results = lambda: bool(subscription._triggered_datachanges)
        began = asyncio.get_running_loop().time()
        value = 0.0
        while asyncio.get_running_loop().time() < began + 3:
            value += 1
            await plc.write("t", ua.DataValue(ua.Variant(value)))
            await asyncio.sleep(0.05)
            assert not task.done()
        with pytest.raises(SourceLost, match=r"no sign of life for 0\.8 s"):
            await task
