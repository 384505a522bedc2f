"""The stage: a plant, a broker, a gateway with a small disk, and the lines between them; and what goes wrong on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adapters.plant.config import LOAD_DEVICE, MODBUS_LOAD_DEVICE, devices
from gateway.demo.broker import Broker
from gateway.demo.cutter import Cutter
from gateway.demo.gateway_process import GatewayProcess
from gateway.demo.plant_process import PlantProcess
from gateway.demo.subscriber import Subscriber
from gateway.demo.verdict import Window
from gateway.errors import TidegateError
from tests.bad_line import BadLine
from tests.chaos.book import Book
from tests.chaos.disk import Disk, small_disk
from tests.chaos.plan import ROUND_S, Fault, Kind
from tests.chaos.tap import TappedLine
from tests.listening import listening

__all__ = ["Stage", "stage"]

GATEWAY = "chaos"
TAGS = 50
RATE_HZ = 5.0
MODBUS_INTERVAL_S = 0.1
DELAY_S = 0.05
"""On each line, so that something is on its way whenever it is cut."""
BACK_S = 90.0
LOAD = (LOAD_DEVICE, MODBUS_LOAD_DEVICE)


@dataclass
class Stage:
    """All that takes part.

    Attributes:
        unread: times in which the plant's registers could not be read, milliseconds since 1970.
        happened: how often each kind of fault was there.
        cuts: how many faults want the network to the broker cut now.
        felt: how often the spool said that its disk takes nothing.
    """

    broker: Broker
    gateway: GatewayProcess
    to_broker: Cutter
    to_plant: tuple[Cutter, ...]
    disk: Disk
    database: Path
    book: Book
    subscriber: Subscriber
    unread: list[Window] = field(default_factory=list)
    happened: dict[Kind, int] = field(default_factory=dict)
    felt: int = 0
    cuts: int = 0

    async def suffer(self, faults: list[Fault]) -> None:
        """One round: all its faults, each mended after its time."""
        began_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                group.create_task(self._suffer(fault), name=str(fault))
        await asyncio.sleep(max(0.0, began_s + ROUND_S - time.monotonic()))

    async def goes_on(self) -> None:
        """Waits until fresh readings of every device arrive again.

        Raises:
            TidegateError: they do not.
        """
        since_ms = _now_ms()
        deadline_s = time.monotonic() + BACK_S
        while late := [name for name in LOAD if self.book.newest_ms.get(name, 0.0) < since_ms]:
            if time.monotonic() > deadline_s:
                status = await self.gateway.status() or {}
                raise TidegateError(f"nothing new of {late} for {BACK_S:.0f} s: {status.get('components')}")
            await asyncio.sleep(0.1)

    async def _suffer(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at_s)
        self.happened[fault.kind] = self.happened.get(fault.kind, 0) + 1
        from_ms = _now_ms()
        match fault.kind:
            case Kind.GATEWAY_KILLED:
                await self.gateway.kill()
                await asyncio.sleep(fault.for_s / 4)  # starting takes a second as well
                await self.gateway.start()
            case Kind.BROKER_KILLED:
                await self._kill_broker(fault.for_s)
            case Kind.BROKER_CUT:
                async with self._broker_cut():
                    await asyncio.sleep(fault.for_s)
            case Kind.PLANT_CUT:
                for line in self.to_plant:
                    await line.cut()
                await asyncio.sleep(fault.for_s)
                for line in self.to_plant:
                    line.mend()
            case Kind.DISK_FULL:
                self.disk.fill()
                await self._feel(fault.for_s)
                self.disk.free()
            case Kind.DISK_BROKEN:
                self.disk.breaks()
                await self._feel(fault.for_s)
                self.disk.works()
        if fault.kind in (Kind.GATEWAY_KILLED, Kind.PLANT_CUT, Kind.DISK_FULL, Kind.DISK_BROKEN):
            self.unread.append(Window(from_ms, _now_ms()))

    async def _feel(self, for_s: float) -> None:
        """Waits so long, and notes whether the spool said that it has to wait."""
        deadline_s = time.monotonic() + for_s
        felt = False
        while time.monotonic() < deadline_s:
            status = await self.gateway.status()
            felt = felt or (status is not None and status["spool"]["state"] == "failing")
            await asyncio.sleep(0.05)
        self.felt += felt

    async def _kill_broker(self, for_s: float) -> None:
        await self.broker.kill()
        await asyncio.sleep(for_s)
        # A broker that was killed has forgotten the listener, and would acknowledge what nobody gets: the gateway is
        # let in when the listener is back.
        async with self._broker_cut():
            self.subscriber.subscribed.clear()
            await self.broker.start()
            await asyncio.wait_for(self.subscriber.subscribed.wait(), BACK_S)

    @asynccontextmanager
    async def _broker_cut(self) -> AsyncIterator[None]:
        """Nothing gets through while anybody wants it so."""
        self.cuts += 1
        await self.to_broker.cut()
        try:
            yield
        finally:
            self.cuts -= 1
            if not self.cuts:
                self.to_broker.mend()


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    """Everything runs, and readings arrive."""
    disk_folder = folder / "disk"
    disk_folder.mkdir()
    disk = small_disk(disk_folder)
    database = disk_folder / "spool.db"
    book = Book()
    async with AsyncExitStack() as stack:
        stack.callback(disk.close)
        broker = await stack.enter_async_context(Broker(folder=folder / "broker", kind="mosquitto"))
        plant = await stack.enter_async_context(PlantProcess(log=folder / "plant.log", tags=TAGS, rate_hz=RATE_HZ))
        to_broker = await stack.enter_async_context(TappedLine(broker.port, taken=book.taken, delay_s=DELAY_S))
        url = urlsplit(plant.opcua_url)
        to_opcua = await stack.enter_async_context(BadLine(url.port or 0, delay_s=DELAY_S))
        to_modbus = await stack.enter_async_context(BadLine(plant.modbus_port, delay_s=DELAY_S))
        subscriber = await stack.enter_async_context(listening(broker, book, f"tidegate/{GATEWAY}/data/#"))
        opcua_url = f"opc.tcp://127.0.0.1:{to_opcua.port}{url.path}"
        config = _config(folder, database, opcua_url, modbus_port=to_modbus.port, broker_port=to_broker.port)
        process = GatewayProcess(folder=folder, config=config, environment=disk.environment)
        gateway = await stack.enter_async_context(process)
        play = Stage(broker, gateway, to_broker, (to_opcua, to_modbus), disk, database, book, subscriber)
        await play.goes_on()
        yield play


def _config(folder: Path, database: Path, opcua_url: str, *, modbus_port: int, broker_port: int) -> dict[str, Any]:
    return {
        "gateway": {"id": GATEWAY},
        "database": {"path": str(database)},
        "control": {"socket": str(folder / "control.sock")},
        "wasm": {"cache_dir": str(folder / "wasm")},
        "offline": {"sync_interval": 0.5},
        "uplink": {"host": "127.0.0.1", "port": broker_port, "protocol": "5"},
        "devices": devices(opcua_url=opcua_url, modbus_port=modbus_port, tags=TAGS, interval_s=MODBUS_INTERVAL_S),
    }


def _now_ms() -> float:
    return time.time_ns() / 1e6
