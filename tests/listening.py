"""Who listens at the broker in tests: the demo's subscriber, beside a block."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.demo.broker import Broker
from gateway.demo.ledger import Ledger
from gateway.demo.subscriber import Subscriber
from gateway.demo.waiting import running

__all__ = ["listening"]

SUBSCRIBED_S = 20


@asynccontextmanager
async def listening(broker: Broker, book: Ledger, topic: str) -> AsyncIterator[Subscriber]:
    """Books what comes into the book; nothing that is published while the block runs can be missed."""
    subscriber = Subscriber(host=broker.host, port=broker.port, topic=topic, ledger=book)
    async with running(subscriber.run(), name="subscriber"):
        await asyncio.wait_for(subscriber.subscribed.wait(), SUBSCRIBED_S)
        yield subscriber
