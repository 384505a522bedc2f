"""The servers that the suite runs over: each with a tag that moves, one that rests, and one that can be written."""

from __future__ import annotations

import asyncio
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from asyncua import ua
from msgspec import structs
from pymodbus.framer import FramerType
from pymodbus.simulator import SimDevice

from adapters import base, modbus, opcua
from adapters.base import Protocol
from adapters.modbus.settings import ModbusSettings, ModbusTag, TlsClientSettings
from adapters.opcua.settings import OpcuaSettings, OpcuaTag
from gateway.config.models import DeviceSettings
from tests.adapters.modbus import rig as modbus_rig
from tests.adapters.opcua import secured
from tests.adapters.opcua.certificates import make
from tests.adapters.opcua.plc import Plc
from tests.gateway.uplink.certificates import Authority

__all__ = ["SITES", "Site"]

MOVES, RESTS, SETPOINT = "moves", "rests", "setpoint"
TIMEOUT_S = 0.5


class Site(ABC):
    """A server that can go away and come back on its port.

    Attributes:
        protocol: what reads it.
        port: where it listens; kept over `stop` and `start`.
        house: what the gateway's devices have in common.
        connections_per_run: how many connections one run makes, one after the other.
    """

    protocol: Protocol
    port = 0
    house: base.Site = base.NOWHERE
    connections_per_run = 1

    @abstractmethod
    async def start(self) -> None:
        """Starts it where it does not run, the first time on a port that the system chooses."""

    @abstractmethod
    async def stop(self) -> None:
        """Stops it; whoever is connected is thrown out."""

    def close(self) -> None:  # noqa: B027 - most have nothing to put away
        """Puts away what it has on disk; it is stopped, and will not be started again."""

    @abstractmethod
    def settings(self, port: int) -> DeviceSettings:
        """The device, reached through this port: `moves` and `rests` can be read, `setpoint` can be written too."""

    @property
    @abstractmethod
    def connections(self) -> int:
        """How many clients are connected."""

    @abstractmethod
    async def move(self) -> None:
        """Gives `moves` another value, where the server does not answer with one anyhow."""

    @asynccontextmanager
    async def moving(self) -> AsyncIterator[None]:
        """Goes on moving."""

        async def go_on() -> None:
            while True:
                await self.move()
                await asyncio.sleep(0.02)

        task = asyncio.create_task(go_on())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


class OpcuaSite(Site):
    """asyncua's server."""

    protocol = opcua.PROTOCOL

    def __init__(self) -> None:
        self._plc: Plc | None = None
        self._value = 0

    async def start(self) -> None:
        if self._plc is not None:
            return
        self._plc = plc = await self._open()
        self.port = plc.port
        await plc.add_all({MOVES: 1.0, RESTS: 2.0})
        setpoint = await plc.server.nodes.objects.add_variable(ua.NodeId(SETPOINT, 2), SETPOINT, 3.0)
        await setpoint.set_writable()

    async def _open(self) -> Plc:
        return await Plc.start(self.port)

    async def stop(self) -> None:
        if self._plc is not None:
            await self._plc.stop()
            self._plc = None

    def settings(self, port: int) -> OpcuaSettings:
        tags = [OpcuaTag(name=name, node=f"ns=2;s={name}") for name in (MOVES, RESTS, SETPOINT)]
        url = f"opc.tcp://127.0.0.1:{port}"
        return OpcuaSettings(name="plc", url=url, tags=tags, timeout_s=TIMEOUT_S, publishing_interval_ms=20.0)

    @property
    def connections(self) -> int:
        return 0 if self._plc is None else self._plc.connections

    async def move(self) -> None:
        self._value += 1
        if self._plc is not None:
            value = ua.DataValue(ua.Variant(float(self._value)), SourceTimestamp=datetime.now(UTC))
            await self._plc.write(MOVES, value)


class SecuredOpcuaSite(OpcuaSite):
    """The same, signed and encrypted, with a user name. One connection asks for the endpoints, one reads."""

    connections_per_run = 2

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self._made = make()
        self.house = secured.site(Path(self._folder.name))
        secured.trust(self.house, self._made)

    async def _open(self) -> Plc:
        return await secured.SecuredPlc.open(self._made, port=self.port)

    def close(self) -> None:
        self._folder.cleanup()

    def settings(self, port: int) -> OpcuaSettings:
        secrets = {"security": "auto", "username": "op", "password": "right"}
        return structs.replace(super().settings(port), **secrets)


class ModbusSite(Site):
    """pymodbus's server. It is polled, so each answer is a reading and nothing has to move."""

    protocol = modbus.PROTOCOL

    def __init__(self) -> None:
        self._running = AsyncExitStack()
        self._plc: modbus_rig.Plc | None = None

    async def start(self) -> None:
        if self._plc is not None:
            return
        device = modbus_rig.device(holding={0: [1, 2, 3]})
        self._plc = await self._running.enter_async_context(self._serve(device))
        self.port = self._plc.port

    def _serve(self, device: SimDevice) -> AbstractAsyncContextManager[modbus_rig.Plc]:
        return modbus_rig.plc(device, port=self.port)

    async def stop(self) -> None:
        self._plc = None
        await self._running.aclose()
        self._running = AsyncExitStack()

    def settings(self, port: int) -> ModbusSettings:
        tags = [ModbusTag(name=name, address=address) for address, name in enumerate((MOVES, RESTS, SETPOINT))]
        more: dict[str, Any] = {"host": "127.0.0.1", "interval_s": 0.02, "timeout_s": TIMEOUT_S}
        return ModbusSettings(name="plc", port=port, tags=tags, **more)

    @property
    def connections(self) -> int:
        return 0 if self._plc is None else self._plc.connections

    async def move(self) -> None:
        """Every poll is news."""


class RtuSite(ModbusSite):
    """The frames of a serial line, through a TCP connection: they have no transaction id."""

    def _serve(self, device: SimDevice) -> AbstractAsyncContextManager[modbus_rig.Plc]:
        return modbus_rig.plc(device, port=self.port, framer=FramerType.RTU)

    def settings(self, port: int) -> ModbusSettings:
        return structs.replace(super().settings(port), transport="rtu_over_tcp")


class TlsSite(ModbusSite):
    """Modbus TCP, encrypted."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self._authority = Authority(Path(self._folder.name))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*self._authority.issue("127.0.0.1"))

    def _serve(self, device: SimDevice) -> AbstractAsyncContextManager[modbus_rig.Plc]:
        return modbus_rig.plc(device, port=self.port, tls=self._context)

    def close(self) -> None:
        self._folder.cleanup()

    def settings(self, port: int) -> ModbusSettings:
        tls = TlsClientSettings(ca_file=str(self._authority.certificate))
        return structs.replace(super().settings(port), transport="tls", tls=tls)

    @property
    def connections(self) -> int:
        """By the system's own list: pymodbus never forgets a connection whose handshake was broken off."""
        sockets = psutil.Process().net_connections("tcp4")
        return sum(one.status == psutil.CONN_ESTABLISHED and one.laddr.port == self.port for one in sockets)


SITES: dict[str, type[Site]] = {
    "opcua": OpcuaSite,
    "opcua secured": SecuredOpcuaSite,
    "modbus": ModbusSite,
    "modbus rtu": RtuSite,
    "modbus tls": TlsSite,
}
