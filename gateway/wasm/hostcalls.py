"""The two functions that a module may import, and need not: a line for the log, and the time of the batch.

    tidegate.log(level, at, bytes)   text in the module's memory; level 0 debug, 1 info, 2 warning, 3 error
    tidegate.batch_ns() -> i64       when the gateway got this batch, UTC ns; 0 outside of a batch

Invariants
- A module cannot fill a disk: `MOST_LINES` a call, each cut to `MOST_BYTES`, and the log itself is sparing
  (gateway/logs.py). What it says beyond that is thrown away.
- What it says is text of a stranger: it is shown behind the module's name, in one line.
- A text that is not in its memory ends the call as a failure, like any other access outside. It is told when the module
  returns: nothing may be raised through it, for wasmtime's classes would keep the exception for another call.

The gateway calls one module at a time, so who is calling is known without asking.
"""

from __future__ import annotations

import logging
from typing import Final

from wasmtime import Caller, FuncType, Linker, Memory, ValType

__all__ = ["CALLS", "MODULE", "MOST_BYTES", "MOST_LINES", "HostCalls"]

log = logging.getLogger(__name__)

MODULE: Final = "tidegate"
CALLS: Final = frozenset(("log", "batch_ns"))
MOST_LINES: Final = 10
MOST_BYTES: Final = 400
_LEVELS: Final = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)


class HostCalls:
    """What the functions answer, for all modules of one host."""

    def __init__(self) -> None:
        self._who = ""
        self._batch_ns = 0
        self._lines = 0
        self.offence = ""
        """What the module did that it must not, in the call that began last; empty where it did nothing."""

    def define(self, linker: Linker) -> None:
        """Gives both functions to whoever imports them."""
        i32 = ValType.i32()
        linker.define_func(MODULE, "log", FuncType([i32, i32, i32], []), self._log, access_caller=True)
        linker.define_func(MODULE, "batch_ns", FuncType([], [ValType.i64()]), self._time)

    def begin(self, who: str, batch_ns: int) -> None:
        """A module is about to be called.

        Args:
            who: what to call it in the log.
            batch_ns: when the batch came, UTC ns; 0 where there is none.
        """
        self._who = who
        self._batch_ns = batch_ns
        self._lines = 0
        self.offence = ""

    def _time(self) -> int:
        return self._batch_ns

    def _log(self, caller: Caller, level: int, at: int, size: int) -> None:
        memory = caller.get("memory")
        assert isinstance(memory, Memory)  # the host checked the module's exports
        at, size = at & 0xFFFFFFFF, size & 0xFFFFFFFF
        if at + size > memory.data_len(caller):
            self.offence = f"it gave a text of {size} bytes at address {at}, outside of its memory, to the log"
            return
        self._lines += 1
        if self._lines > MOST_LINES:
            return
        text = bytes(memory.read(caller, at, at + min(size, MOST_BYTES))).decode(errors="replace")
        shown = "".join(char if char.isprintable() else " " for char in text)
        log.log(_LEVELS[min(max(level, 0), 3)], "%s says: %s", self._who, shown)
