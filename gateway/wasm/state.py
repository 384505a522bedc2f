"""What a module remembered, as bytes of its own making, on its way from one instance to the next. Pure.

A state fits an instance whose module has the same name and the same number under `state` in its manifest. Where a
shadow ran with the very file that is now at work, its state is taken: it has seen the same readings with the same code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

__all__ = ["MOST_BYTES", "KeptState", "decode", "encode", "fitting", "shadow_key"]

MOST_BYTES: Final = 4 << 20
"""Largest state of one filter that is kept."""


class KeptState(msgspec.Struct, frozen=True, array_like=True):
    """The state of one filter on one device.

    Attributes:
        filter: the filter's name in the device's chain, which is unique in it.
        module: the module's name.
        version: of the bytes, from the manifest.
        digest: SHA-256 of the file that saved it.
        held: readings of earlier batches that it held back or left out.
        state: the bytes.
    """

    filter: str
    module: str
    version: int
    digest: str
    held: int
    state: bytes


def shadow_key(name: str) -> str:
    """The name under which the state of a filter's shadow is kept; no filter can have it."""
    return f"{name}/shadow"


def fitting(
    kept: Iterable[KeptState], *, keys: Sequence[str], module: str, version: int, digest: str
) -> KeptState | None:
    """The state that this filter may go on from; None where there is none.

    Args:
        kept: all states of the device.
        keys: names under which it may be kept, the filter's own first.
        module: the module's name.
        version: of the bytes that it takes; 0 for none.
        digest: SHA-256 of its file.
    """
    found = {one.filter: one for one in kept if version and (one.module, one.version) == (module, version)}
    ours = [found[key] for key in keys if key in found]
    return next((one for one in ours if one.digest == digest), ours[0] if ours else None)


def encode(states: Iterable[KeptState]) -> bytes:
    """All states of a device as bytes; empty where there is none."""
    listed = sorted(states, key=lambda one: one.filter)
    return msgspec.msgpack.encode(listed) if listed else b""


def decode(stored: bytes) -> list[KeptState]:
    """Reads what `encode` wrote; nothing where it cannot be read, as after a change of version."""
    if not stored:
        return []
    try:
        return msgspec.msgpack.decode(stored, type=list[KeptState])
    except msgspec.MsgspecError:
        return []
