"""The flow: what happens to a batch between an adapter and the uplink. The four verbs stand here, in order.

    adapter.run(emit) -> chain.apply(batch) -> spool.append(batch) -> uplink.offer(...), which acks to the spool

`emit` returns once the batch is durable, or, with `hold_ms`, acknowledged by the broker: that is the adapter's
back-pressure, and the moment at which a source may be told that its readings arrived. What a filter leaves out on
purpose is not lost; it is counted by the chain.

The chain is asked for with each batch, so it can be replaced between two of them. A chain works on a batch in one go,
without a pause in which somebody else could replace it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from gateway.batch import EMPTY, Batch
from gateway.gap import Gap
from gateway.metrics import Metrics

__all__ = ["Flow"]


class _Applied(Protocol):
    @property
    def batch(self) -> Batch: ...
    @property
    def set_aside(self) -> Batch | None: ...


class _Chain(Protocol):
    def apply(self, batch: Batch, now_ns: int) -> _Applied: ...


class _Spool(Protocol):
    async def append(
        self,
        device: str,
        batch: Batch,
        *,
        aside: Batch = EMPTY,
        mark: bytes = b"",
        offer: Callable[[int], bool] | None = None,
        gaps: Sequence[Gap] = (),
    ) -> int: ...


class _Emit(Protocol):
    def __call__(self, batch: Batch, mark: bytes = b"", /) -> Awaitable[None]: ...


class _Uplink(Protocol):
    def offer(self, seq: int, device: str, batch: Batch) -> None: ...
    def offer_early(self, seq: int, device: str, batch: Batch) -> bool: ...


class _Latest(Protocol):
    def put(self, device: str, batch: Batch) -> None: ...


class _Freshness(Protocol):
    def begin(self, device: str) -> Callable[[Batch], None]: ...


class _Missing(Protocol):
    def look(self, batch: Batch) -> Sequence[Gap]: ...


class Flow:
    """Leads each device's batches through its chain into the spool, and offers them to the uplink.

    Args:
        spool: where batches become durable.
        uplink: who sends them; None where no broker is configured, and then they wait in the spool.
        metrics: `received` is counted by device.
        latest: is shown what passed the chain; None where nobody looks.
        freshness: is shown what came in; None where nobody looks.
        now_ns: UTC nanoseconds since 1970.
    """

    def __init__(
        self,
        spool: _Spool,
        uplink: _Uplink | None,
        metrics: Metrics,
        *,
        latest: _Latest | None = None,
        freshness: _Freshness | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._spool = spool
        self._uplink = uplink
        self._metrics = metrics
        self._latest = latest
        self._freshness = freshness
        self._now_ns = now_ns

    def emit(self, device: str, chain: Callable[[], _Chain], *, missing: _Missing | None = None) -> _Emit:
        """The `emit` to hand to this device's adapter.

        Args:
            device: its name.
            chain: gives the chain that is to be applied now.
            missing: is shown what came in, and says which gaps go with it; None where nobody looks.
        """
        received = self._metrics.received.labels(device)
        note = None if self._freshness is None else self._freshness.begin(device)

        async def emit(batch: Batch, mark: bytes = b"", /) -> None:
            if not batch:
                if mark:
                    await self._spool.append(device, EMPTY, mark=mark)
                return
            received.inc(len(batch))
            if note is not None:
                note(batch)
            gaps = () if missing is None else missing.look(batch)
            applied = chain().apply(batch, self._now_ns())
            if applied.batch and self._latest is not None:
                self._latest.put(device, applied.batch)
            uplink = self._uplink
            offered = False

            def offer(seq: int) -> bool:
                nonlocal offered
                offered = uplink is not None and uplink.offer_early(seq, device, applied.batch)
                return offered

            seq = await self._spool.append(
                device, applied.batch, aside=applied.set_aside or EMPTY, mark=mark, offer=offer, gaps=gaps
            )
            if seq and uplink is not None and not offered:
                uplink.offer(seq, device, applied.batch)

        return emit
