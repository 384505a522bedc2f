"""The running plant: one state, advanced at a fixed rate, shown by both servers.

Runs in the caller's event loop; `python -m adapters.plant` is the same as a process of its own.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Final

from adapters.plant.modbus_server import ModbusServer
from adapters.plant.opcua_server import OpcUaServer
from adapters.plant.signals import PlantState, advance

__all__ = ["Plant"]

LONGEST_STEP_S: Final = 1.0
"""A step of more simulated time than this is not taken: after a pause of the machine the plant goes on where it was."""


class Plant:
    """Both servers and the state behind them, as an asynchronous context.

    Args:
        opcua_port: 0 lets the system choose.
        modbus_port: 0 lets the system choose.
        tags: counters on each server, beside the machines' own tags.
        rate_hz: how often the plant changes.
        seed: the same seed gives the same plant.
    """

    def __init__(
        self, *, opcua_port: int = 0, modbus_port: int = 0, tags: int = 0, rate_hz: float = 20.0, seed: int = 1
    ) -> None:
        self._period_s = 1 / rate_hz
        self._random = Random(seed)  # noqa: S311 - signals, not secrets
        self._state = PlantState()
        self.opcua = OpcUaServer(port=opcua_port, load_tags=tags)
        self.modbus = ModbusServer(
            port=modbus_port, load_tags=tags, state=lambda: self._state, set_target_pct=self._set_target_pct
        )
        self._ticking: asyncio.Task[None] | None = None

    @property
    def state(self) -> PlantState:
        """The plant now."""
        return self._state

    async def start(self) -> None:
        """Starts both servers and the plant's time.

        Raises:
            OSError: a port cannot be bound.
        """
        await self.opcua.start(self._state)
        try:
            await self.modbus.start()
        except BaseException:
            await self.opcua.stop()
            raise
        self._ticking = asyncio.create_task(self._tick(), name="plant")

    async def stop(self) -> None:
        """Stops the plant's time, then both servers.

        Raises:
            Exception: what stopped the plant's time before us, if something did.
        """
        ticking, self._ticking = self._ticking, None
        try:
            if ticking is not None:
                ticking.cancel()
                await asyncio.wait([ticking])
                if not ticking.cancelled():
                    ticking.result()
        finally:
            await self.modbus.stop()
            await self.opcua.stop()

    async def __aenter__(self) -> Plant:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        last_s = loop.time()
        due_s = last_s
        while True:
            # A late tick is caught up by the simulated time, not by a burst of ticks.
            due_s = max(due_s + self._period_s, loop.time())
            await asyncio.sleep(due_s - loop.time())
            now_s = loop.time()
            self._state = advance(self._state, dt_s=min(now_s - last_s, LONGEST_STEP_S), random=self._random)
            last_s = now_s
            await self.opcua.publish(self._state, at=datetime.now(UTC))

    def _set_target_pct(self, target_pct: int) -> None:
        self._state = replace(self._state, tank=replace(self._state.tank, target_pct=float(target_pct)))
