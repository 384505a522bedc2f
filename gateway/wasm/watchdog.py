"""The clock that ends calls into modules that do not return.

wasmtime traps a guest when the engine's epoch reaches the deadline that was set before the call. The epoch is moved by
a thread of its own, since the caller is inside the guest. Ticks are half the time limit apart and a call may see two
whole ones, so a guest is stopped after between 1 and 1.5 times the limit, however many calls run side by side.

The thread sleeps without any wake-up while no calls are made. It never falls asleep while one is under way: it
waits for a few ticks without a new call, and in that time a call has ended, by itself or by a trap.
"""

from __future__ import annotations

import threading
from typing import Final

from wasmtime import Engine

from gateway.errors import ModuleError

__all__ = ["DEADLINE_TICKS", "Watchdog"]

DEADLINE_TICKS: Final = 3
"""Epochs from the call to the trap. The first may end at once, so the guest has at least two whole ones."""


class Watchdog:
    """Moves one engine's epoch while guests run.

    Args:
        engine: whose epoch is moved.
        limit_s: how long one call may take, in seconds.
    """

    def __init__(self, engine: Engine, *, limit_s: float) -> None:
        self._engine = engine
        self._tick_s = limit_s / (DEADLINE_TICKS - 1)
        self._called = False
        self._asleep = False
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tidegate-wasm-watchdog", daemon=True)
        self._thread.start()

    @property
    def asleep(self) -> bool:
        """Whether nothing ticks at the moment."""
        return self._asleep

    def arm(self) -> None:
        """To be called right before each call into a guest.

        Raises:
            ModuleError: the host is closed; without ticks a guest could run for ever.
        """
        # Setting first and looking second, where the thread does it the other way round: one of the two always sees.
        self._called = True
        if self._asleep:
            self._rouse()

    def close(self) -> None:
        """Ends the thread."""
        self._stop.set()
        self._wake.set()
        self._thread.join()
        self._asleep = True

    def _rouse(self) -> None:
        if self._stop.is_set():
            raise ModuleError("the Wasm host is closed; no module can be called any more")
        self._wake.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._tick_until_idle()
            self._asleep = True
            if not self._called:
                self._wake.wait()
            self._wake.clear()
            self._asleep = False

    def _tick_until_idle(self) -> None:
        idle_ticks = 0
        while idle_ticks <= DEADLINE_TICKS:
            if self._stop.wait(self._tick_s):
                return
            self._engine.increment_epoch()
            # Only ever taken back where it was seen set: a call made in between is then covered by the ticks to come.
            if self._called:
                self._called = False
                idle_ticks = 0
            else:
                idle_ticks += 1
