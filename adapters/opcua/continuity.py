"""Going on with the subscriptions of an earlier session: after a cut of the network, or the death of the process.

Invariants
- Subscriptions are gone on with only where every item is known to be in them, at the same life of the same server.
- A message that is durable is not emitted again: the mark is committed together with the readings it stands for.
- What cannot be gone on with is deleted at the server where that is possible, so that nothing is read twice.
- A subscription that was taken over and then stays silent is not taken over for ever: after `_MOST_SILENT` such
  sessions, or at once where the server answers everything else, reading begins anew.

What an item's queue at the server could not hold is lost there; the server says so with the overflow bit.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from adapters.base import Memory
from adapters.opcua.kept import Kept, Next, Subscribed, decide, read_kept, read_mark, write_mark
from adapters.opcua.session import Session

__all__ = ["Continuity", "Held", "Subscription", "is_continued"]

_MOST_SILENT: Final = 3
"""Sessions that took subscriptions over and never heard of them, one after the other, before these are given up."""


class Held(NamedTuple):
    """What a subscription that was taken over may still have for us.

    Attributes:
        durable: number of its last message that is durable; 0 where none is.
        numbers: of the messages that the server says it still holds.
        exact: whether nothing after `durable` was acknowledged. The mark of another process may lag behind, where
            filters left nothing of the last messages.
    """

    durable: int
    numbers: tuple[int, ...]
    exact: bool


class Subscription(NamedTuple):
    """A subscription of this session: what the server granted, and what it holds where it was taken over."""

    granted: Subscribed
    held: Held | None = None


def is_continued(subscriptions: Sequence[Subscription]) -> bool:
    """Whether these are those of an earlier session."""
    return any(one.held is not None for one in subscriptions)


class Continuity:
    """Remembers the subscriptions of one device, over its adapter's runs and, with a memory, over processes.

    Args:
        memory: what outlives the process; None where nothing does.

    Attributes:
        was_read: whether the device was read before, so that readings may have been missed since.
    """

    def __init__(self, memory: Memory | None) -> None:
        self._memory = memory
        self._recalled = memory is None
        self._kept: Kept | None = None
        self._durable: dict[int, int] = {}
        self._own: set[int] = set()
        self._silent = 0
        self.was_read = False

    async def go_on(self, session: Session, *, server: str, layout: str) -> list[Subscription]:
        """Takes over what is remembered; nothing where reading has to begin anew.

        Args:
            session: a session that has no subscriptions yet.
            server: which life of which server it is at.
            layout: fingerprint of what is wanted.

        Raises:
            SourceLost: the server does not answer.
        """
        await self._recall()
        kept = self._kept
        if kept is None:
            return []
        what = decide(kept, server=server, layout=layout)
        if what is Next.GO_ON and self._silent >= _MOST_SILENT:
            what = Next.DELETE
        if what is not Next.FORGET:
            taken = await session.transfer(kept.ids)
            if what is Next.GO_ON and taken and not any(one.status for one in taken):
                self._silent += 1
                return [
                    Subscription(
                        granted, Held(self._durable.get(granted.id, 0), one.available, exact=granted.id in self._own)
                    )
                    for granted, one in zip(kept.subscriptions, taken, strict=True)
                ]
            ours = [number for number, one in zip(kept.ids, taken, strict=False) if not one.status]
            if ours:
                await session.unsubscribe(ours)
        self._kept = None
        return []

    @property
    def complete(self) -> bool:
        """Whether all items are known to be there, but for those that were refused."""
        return self._kept is not None and self._kept.complete

    @property
    def refused(self) -> Mapping[int, int]:
        """StatusCode of each tag that is not monitored in what is gone on with, by handle."""
        return {} if self._kept is None else self._kept.refused

    @property
    def short(self) -> Mapping[str, int]:
        """What the server did not grant as it was asked for; how many tags each."""
        return {} if self._kept is None else self._kept.short

    async def begin(self, subscriptions: Sequence[Subscribed], *, server: str, layout: str) -> None:
        """Notes new subscriptions whose items are still to be made."""
        self._silent = 0
        self._durable = {}
        self._own = {one.id for one in subscriptions}
        self._kept = Kept(
            epoch=os.urandom(8),
            server=server,
            layout=layout,
            subscriptions=tuple(subscriptions),
        )
        await self._keep()

    async def making_items(self) -> None:
        """Notes that it is not known from now on which items are there."""
        if self._kept is not None:
            self._kept = msgspec.structs.replace(self._kept, complete=False)
            await self._keep()

    async def made_items(self, refused: Mapping[int, int], short: Mapping[str, int]) -> None:
        """Notes that every item is there but those that were refused, and what was not granted."""
        if self._kept is not None:
            self._kept = msgspec.structs.replace(self._kept, complete=True, refused=dict(refused), short=dict(short))
            await self._keep()

    def mark(self, subscription: int, number: int) -> bytes:
        """The mark to commit with the readings of this message; nothing where there is no memory for it."""
        if self._memory is None or self._kept is None:
            return b""
        return write_mark(self._kept.epoch, self._durable | {subscription: number})

    def is_durable(self, subscription: int, number: int) -> None:
        """Notes that this message, and all before it, are durable."""
        self._durable[subscription] = number
        self._own.add(subscription)

    def heard(self) -> None:
        """Notes that the subscriptions speak."""
        self._silent = 0

    async def forget(self, *, gone: bool = False) -> None:
        """Notes that the subscriptions cannot be gone on with.

        Args:
            gone: they are not ours any more, so that they must not be deleted either.
        """
        if self._kept is not None:
            server = "" if gone else self._kept.server
            self._kept = msgspec.structs.replace(self._kept, complete=False, server=server)
            await self._keep()

    def worth_keeping(self, *, lost: bool) -> bool:
        """Whether the server is to keep the subscriptions at the end of a session.

        Args:
            lost: whether the session ends because the source was lost, and not because we stop.
        """
        if not self.complete:
            return False
        return lost if self._memory is None else self._memory.wanted

    async def _recall(self) -> None:
        if self._recalled or self._memory is None:
            return
        state, mark = await self._memory.recall()
        self._recalled = True
        self._kept = read_kept(state)
        if self._kept is not None:
            self.was_read = True
            self._durable = read_mark(mark, self._kept.epoch)

    async def _keep(self) -> None:
        # Where the disk refuses, this process still knows, and the next one begins anew.
        if self._memory is not None and self._kept is not None:
            await self._memory.keep(self._kept.encode())
