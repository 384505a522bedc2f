"""`hold_ms` with a real spool and a real broker: flow, spool and uplink as the gateway joins them."""

import asyncio
import contextlib
import time

from gateway.batch import Batch, Kind, Reading
from gateway.demo.broker import Broker
from gateway.flow import Flow
from gateway.metrics import Metrics
from gateway.spool import Spool
from tests.gateway.spool.harness import running
from tests.gateway.uplink.support import Unchanged, Wire, connected, subscribed, uplink_of
from tests.waiting import until


class Gateway:
    """What stands between an adapter and the broker."""

    def __init__(self, spool: Spool, port: int) -> None:
        metrics = Metrics()
        self.spool = spool
        self.uplink = uplink_of(spool, port, metrics=metrics, keepalive=5)
        self.emit = Flow(spool, self.uplink, metrics).emit("press", lambda: Unchanged)
        self.point = spool.points.intern("s/a/l/press/force", device="press", kind=Kind.F64)

    def batch(self, value: float) -> Batch:
        return Batch.of([Reading(1_700_000_000_000_000_000, value, self.point)])


@contextlib.asynccontextmanager
async def at_work(path, port, **settings):
    async with running(path, now_ns=time.time_ns, **settings) as spool:
        yield Gateway(spool, port)


async def holding(gateway: Gateway) -> None:
    """Once nothing of the past waits, batches are held; until then they are written."""
    while not gateway.spool.stats.passed_batches:
        await gateway.emit(gateway.batch(-1.0))
        await asyncio.sleep(0.02)


async def test_while_the_broker_takes_what_comes_nothing_is_written(tmp_path, broker: Broker):
    async with (
        at_work(tmp_path / "spool.db", broker.port, hold_ms=1_000) as gateway,
        subscribed(broker.port, "tidegate/gw/data/#") as subscriber,
        connected(gateway.uplink),
    ):
        await holding(gateway)
        await gateway.spool.flush()
        before = gateway.spool.stats
        for value in range(200):
            await gateway.emit(gateway.batch(float(value)))
        after = gateway.spool.stats
        assert after.payload_bytes == before.payload_bytes
        assert after.passed_batches == before.passed_batches + 200
        assert after.accepted_batches == before.accepted_batches + 200
        assert after.backlog_batches == before.backlog_batches == 0
        await until(lambda: len(subscriber.data()) == after.accepted_batches)
        assert sorted(subscriber.seqs()) == list(range(after.last_seq - after.accepted_batches + 1, after.last_seq + 1))
        assert not subscriber.seqs(replayed=True)


async def test_an_outage_writes_what_was_held_and_all_that_comes_and_it_arrives_once_the_broker_is_back(
    tmp_path, broker: Broker
):
    sent = [float(value) for value in range(60)]
    async with (
        Wire(broker.port) as wire,
        at_work(tmp_path / "spool.db", wire.port, hold_ms=200) as gateway,
        subscribed(broker.port, "tidegate/gw/data/#") as subscriber,
    ):
        async with connected(gateway.uplink):
            await holding(gateway)
            wire.answers.clear()  # the broker gets what is sent, and we get no answer
            for value in sent[:20]:
                await gateway.emit(gateway.batch(value))
            assert gateway.spool.stats.backlog_batches >= 20, "emit returned when it was on disk"
            wire.cut()
            wire.answers.set()
        for value in sent[20:40]:
            await gateway.emit(gateway.batch(value))
        async with connected(gateway.uplink):
            for value in sent[40:]:
                await gateway.emit(gateway.batch(value))
            await until(lambda: {value for m in subscriber.data() for value in m.values} >= set(sent))
            await until(lambda: gateway.spool.stats.backlog_batches == 0)
        by_seq = {message.payload["seq"]: message.values for message in subscriber.data()}
        assert [value for _, (value,) in sorted(by_seq.items()) if value >= 0] == sent
        assert len(by_seq) == gateway.spool.stats.accepted_batches
