"""What modules remember, kept for their next instance: across a hot swap in memory, across a restart in the spool.

Invariants
- Between two instances of a filter no batch passes: what the old one saved is what the new one goes on from.
- On disk a state is as old as the last `keep`: `INTERVAL_S` at most, and not at all old after a clean stop. After a
  crash a module goes on from there; the readings themselves are safe in the spool all the same.
- Nobody's readings depend on it: where the disk refuses, or a module does not take its state, the module begins anew.
- A state that did not change is not written again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from gateway.wasm.chain import Chain
from gateway.wasm.state import KeptState, decode, encode

__all__ = ["INTERVAL_S", "States", "memory_name"]

INTERVAL_S: Final = 60.0


class _Memory(Protocol):
    async def recall(self) -> tuple[bytes, bytes]: ...
    async def keep(self, state: bytes) -> bool: ...


def memory_name(device: str) -> str:
    """The name that a device's module states are kept under; no device can have it, for the slash."""
    return f"modules/{device}"


class States:
    """The states of all filters.

    Args:
        memory: what is kept in the spool's file under a name.
        chains: the filters of each device that is read.
    """

    def __init__(self, memory: Callable[[str], _Memory], chains: Callable[[], Mapping[str, Chain]]) -> None:
        self._memory = memory
        self._chains = chains
        self._kept: dict[str, dict[str, KeptState]] = {}
        self._stored: dict[str, bytes] = {}

    async def recall(self, devices: Iterable[str]) -> None:
        """Reads what is kept of these devices; for the start."""
        for device in devices:
            stored, _ = await self._memory(memory_name(device)).recall()
            self._stored[device] = stored
            self._kept[device] = {one.filter: one for one in decode(stored)}

    def take(self, device: str, chain: Chain) -> None:
        """Takes what a chain remembers; to be called before it is closed."""
        kept = self._kept.setdefault(device, {})
        found = {one.filter: one for one in chain.states()}
        for name in chain.forgotten:
            # It failed and began anew. What it remembered before may hold readings back that have gone on since.
            kept.pop(name, None)
        kept.update(found)

    def give(self, device: str, chain: Chain) -> None:
        """Gives it to the device's next chain, before its first batch. What none of its filters has is forgotten."""
        kept = self._kept.get(device, {})
        chain.resume(list(kept.values()))
        self._kept[device] = {name: one for name, one in kept.items() if name in chain.keys}

    async def forget(self, device: str) -> None:
        """The device is no longer read."""
        self._kept.pop(device, None)
        if self._stored.pop(device, b""):
            await self._memory(memory_name(device)).keep(b"")

    async def run(self) -> None:
        """Keeps what changed, again and again, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self.keep()

    async def keep(self) -> None:
        """Writes what changed since the last time."""
        for device, chain in self._chains().items():
            self.take(device, chain)
        for device, kept in list(self._kept.items()):
            encoded = encode(kept.values())
            if encoded != self._stored.get(device, b"") and await self._memory(memory_name(device)).keep(encoded):
                self._stored[device] = encoded
