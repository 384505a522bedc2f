"""How a module can fail while it works, as a closed list of causes: they are label values of a metric."""

from __future__ import annotations

from typing import Literal, TypeAlias

from gateway.errors import ModuleError

__all__ = ["Cause", "GuestFailure", "one_line"]

Cause: TypeAlias = Literal["load", "trap", "timeout", "memory", "refused", "bad_output", "parked"]
"""Why a filter did not do its work on a batch.

load        its file cannot be read, compiled, or used with this configuration
trap        it did something that Wasm forbids: divided by zero, left its memory, overflowed its stack
timeout     it did not answer in time
memory      it needs more memory than it may have
refused     it answered with an error of its own
bad_output  it answered with something that is no batch of this device
parked      it was not asked, because it failed too often lately
"""


class GuestFailure(ModuleError):
    """A module failed on a batch. Its instance is not to be used again."""

    def __init__(self, cause: Cause, text: str) -> None:
        self.cause = cause
        super().__init__(text)


def one_line(error: Exception) -> str:
    """What wasmtime says of an error, in one line."""
    return " ".join(str(error).split())
