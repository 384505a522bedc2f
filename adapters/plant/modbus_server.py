"""The plant's Modbus TCP server: pymodbus' own, on loopback, with one simulated device for each unit id.

Registers are filled in when they are asked for, from the plant's state at that moment: nothing is written that nobody
reads. All registers of one answer belong to one state. Only the tank's target level can be written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from adapters.plant.catalogue import (
    LINE,
    LINE_UNIT,
    LOAD_REGISTER_ADDRESS,
    LOAD_UNIT,
    TANK,
    TANK_TARGET_ADDRESS,
    TANK_UNIT,
    Register,
    Table,
    pack_bits,
    pack_words,
    words,
)
from adapters.plant.signals import PlantState

__all__ = ["ModbusServer"]

MOST_LOAD_REGISTERS: Final = 65_536
_TABLES: Final[dict[int, Table]] = {
    **dict.fromkeys((1, 5, 15), "coil"),
    2: "discrete",
    **dict.fromkeys((3, 6, 16, 22, 23), "holding"),
    4: "input",
}
"""Function code to table (Modbus Application Protocol V1.1b3, 6). A write is read back under its own code."""
_HIGHEST_TARGET_PCT: Final = 100


class ModbusServer:
    """Serves the registers of the catalogue, and `load_tags` registers that all carry the count of states.

    Args:
        host: address to listen on.
        port: TCP port; 0 lets the system choose.
        load_tags: how many counter registers.
        state: gives the plant's state now.
        set_target_pct: called with the tank's target level, in percent, when a client writes it.

    Raises:
        ValueError: more counters than one unit has registers.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        load_tags: int = 0,
        state: Callable[[], PlantState],
        set_target_pct: Callable[[int], None],
    ) -> None:
        if load_tags > MOST_LOAD_REGISTERS:
            raise ValueError(f"{load_tags} counters do not fit into the registers of one unit: {MOST_LOAD_REGISTERS}")
        self._host = host
        self._port = port
        self._load_tags = load_tags
        self._state = state
        self._set_target_pct = set_target_pct
        self._server: ModbusTcpServer | None = None

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        return self._port

    async def start(self) -> None:
        """Listens.

        Raises:
            OSError: the port cannot be bound.
        """
        devices = [self._machine(TANK_UNIT, TANK), self._machine(LINE_UNIT, LINE)]
        if self._load_tags:
            devices.append(self._load())
        server = ModbusTcpServer(devices, address=(self._host, self._port))
        try:
            await server.serve_forever(background=True)
        except RuntimeError as error:
            what = f"Modbus server on {self._host}:{self._port}: it cannot listen there. Is the port taken?"
            raise OSError(what) from error
        self._server = server
        listener: Any = server.transport
        self._port = listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Closes the clients' connections and stops listening."""
        server, self._server = self._server, None
        if server is not None:
            await server.shutdown()  # type: ignore[no-untyped-call]

    def _machine(self, unit: int, registers: Sequence[Register]) -> SimDevice:
        async def fill_in(
            function: int, _start: int, address: int, _count: int, current: list[int], written: list[Any] | None
        ) -> ExcCodes | None:
            if written is not None:
                return self._write(unit, function, address, written)
            table = _TABLES[function]
            if table in ("coil", "discrete"):
                # pymodbus keeps sixteen bits in a word, the lowest address in the lowest bit
                bits = pack_bits(registers, table, self._state())
                image = [sum(1 << place for place, bit in enumerate(bits) if bit)]
            else:
                image = pack_words(registers, table, self._state())
            current[: len(image)] = image
            return None

        def block(table: Table) -> list[SimData]:
            size = words(registers, table)
            if table in ("coil", "discrete"):
                return [SimData(0, values=[False] * size, datatype=DataType.BITS)]
            return [SimData(0, values=[0] * size, datatype=DataType.REGISTERS)]

        return SimDevice(unit, (block("coil"), block("discrete"), block("holding"), block("input")), action=fill_in)

    def _write(self, unit: int, function: int, address: int, written: list[Any]) -> ExcCodes | None:
        one_register = function in (6, 16) and len(written) == 1
        if unit != TANK_UNIT or not one_register or address != TANK_TARGET_ADDRESS:
            return ExcCodes.ILLEGAL_ADDRESS
        if not 0 <= written[0] <= _HIGHEST_TARGET_PCT:
            return ExcCodes.ILLEGAL_VALUE
        self._set_target_pct(written[0])
        return None

    def _load(self) -> SimDevice:
        size = self._load_tags

        async def fill_in(
            _function: int, _start: int, _address: int, _count: int, current: list[int], written: list[Any] | None
        ) -> ExcCodes | None:
            if written is not None:
                return ExcCodes.ILLEGAL_ADDRESS
            current[:size] = [self._state().tick & 0xFFFF] * size
            return None

        return SimDevice(
            LOAD_UNIT,
            SimData(LOAD_REGISTER_ADDRESS, values=[0] * size, datatype=DataType.REGISTERS),
            action=fill_in,
        )
