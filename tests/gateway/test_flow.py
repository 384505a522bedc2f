import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.batch import EMPTY, Batch, Reading
from gateway.flow import Flow
from gateway.gap import Gap
from gateway.metrics import Metrics


@dataclass
class Spool:
    """Our own protocol: keeps what is appended and lets a test hold the commit back."""

    rows: list[tuple[str, Batch, bool]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    durable: asyncio.Event = field(default_factory=asyncio.Event)
    refuse: bool = False
    holds: bool = False

    async def append(
        self,
        device: str,
        batch: Batch,
        *,
        aside: Batch = EMPTY,
        mark: bytes = b"",
        offer=None,
        gaps: Sequence[Gap] = (),
    ) -> int:
        if self.holds and offer(7):
            return 7
        await self.durable.wait()
        if self.refuse:
            return 0
        self.gaps += gaps
        self.rows += [(device, part, kept) for part, kept in ((aside, True), (batch, False)) if part]
        return len(self.rows) if batch else 0


@dataclass
class Uplink:
    offered: list[tuple[int, str, Batch]] = field(default_factory=list)
    early: list[tuple[int, str, Batch]] = field(default_factory=list)
    busy: bool = True

    def offer_early(self, seq: int, device: str, batch: Batch) -> bool:
        if not self.busy:
            self.early.append((seq, device, batch))
        return not self.busy

    def offer(self, seq: int, device: str, batch: Batch) -> None:
        self.offered.append((seq, device, batch))


@dataclass
class Applied:
    batch: Batch
    set_aside: Batch | None = None


class Odd:
    """A chain that keeps odd points, and sets aside batches that begin with point 100."""

    def apply(self, batch: Batch, now_ns: int) -> Applied:
        if batch.points()[0] == 100:
            return Applied(Batch(b""), batch)
        return Applied(Batch.of(reading for reading in batch if reading.point % 2))


def batch_of(*points: int) -> Batch:
    return Batch.of(Reading(1, 1.0, point) for point in points)


async def test_emit_returns_after_the_commit_and_then_offers() -> None:
    spool, uplink, metrics = Spool(), Uplink(), Metrics()
    emit = Flow(spool, uplink, metrics).emit("press", Odd)
    task = asyncio.ensure_future(emit(batch_of(1, 2, 3)))
    await asyncio.sleep(0.01)
    assert not task.done()
    assert not uplink.offered
    spool.durable.set()
    await task
    assert spool.rows == [("press", batch_of(1, 3), False)]
    assert uplink.offered == [(1, "press", batch_of(1, 3))]
    assert metrics.snapshot()["tidegate_readings_received_total"] == {"press": 3}


async def test_what_is_filtered_away_whole_or_set_aside_is_not_offered() -> None:
    spool, uplink = Spool(), Uplink()
    spool.durable.set()
    emit = Flow(spool, uplink, Metrics()).emit("press", Odd)
    await emit(batch_of(2))
    await emit(Batch(b""))
    await emit(batch_of(100, 1))
    assert spool.rows == [("press", batch_of(100, 1), True)]
    assert not uplink.offered


async def test_what_the_spool_refused_is_not_offered() -> None:
    spool, uplink = Spool(refuse=True), Uplink()
    spool.durable.set()
    await Flow(spool, uplink, Metrics()).emit("press", Odd)(batch_of(1))
    assert not uplink.offered


async def test_without_a_broker_readings_wait_in_the_spool() -> None:
    spool = Spool()
    spool.durable.set()
    await Flow(spool, None, Metrics()).emit("press", Odd)(batch_of(1))
    assert len(spool.rows) == 1


async def test_what_the_source_did_not_give_goes_with_its_batch_also_where_that_is_filtered_away() -> None:
    class Missing:
        def look(self, batch: Batch) -> list[Gap]:
            return [Gap("press", "unreachable", 0, len(batch), None)]

    spool = Spool()
    spool.durable.set()
    emit = Flow(spool, None, Metrics()).emit("press", Odd, missing=Missing())
    await emit(batch_of(1, 2))
    await emit(batch_of(2))
    assert [gap.to_ns for gap in spool.gaps] == [2, 1]


async def test_a_batch_that_is_held_is_offered_once():
    spool, uplink = Spool(holds=True), Uplink(busy=False)
    spool.durable.set()
    emit = Flow(spool, uplink, Metrics()).emit("plc", Odd)
    await emit(batch_of(1, 2, 3))
    assert [(seq, device, list(batch.points())) for seq, device, batch in uplink.early] == [(7, "plc", [1, 3])]
    assert not uplink.offered
    uplink.busy = True
    await emit(batch_of(1))
    assert [seq for seq, *_ in uplink.offered] == [1]
    assert len(uplink.early) == 1
