"""The words of `tidegate probe modbus` as what `probe` takes: which device, which registers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from adapters.modbus.address import ADDRESSES, AddressError, Table, parse_address
from adapters.modbus.endpoint import check
from adapters.modbus.settings import ModbusSettings
from gateway.config.models import DeviceSettings

__all__ = ["OptionError", "options"]


class OptionError(ValueError):
    """The options do not go together, or name no device or register; the text says what to give."""


def options(
    *,
    host: str | None,
    port: int | None,
    rtu_over_tcp: bool,
    serial: Path | None,
    baudrate: int,
    parity: str,
    stop_bits: str,
    devices: Sequence[DeviceSettings] | None,
    device: str | None,
    unit_id: int | None,
    address: str,
    table: str | None,
    count: int,
    times: int,
    every: float,
    timeout: float,
    low: float | None,
    high: float | None,
) -> dict[str, Any]:
    """The arguments of `probe`.

    Args as the command's options, but `devices`: those of the configuration, where one is given.

    Raises:
        OptionError: they do not go together.
    """
    if sum(one is not None for one in (host, serial, devices)) != 1:
        raise OptionError("which device? Give either HOST, or --serial PORT, or --config FILE with --device NAME")
    if low is not None and high is not None and low > high:
        raise OptionError(f"--min {low:g} is more than --max {high:g}: nothing lies in between")
    if devices is not None:
        settings = _configured(devices, device)
    else:
        section: dict[str, Any] = {"name": "device", "type": "modbus", "timeout_s": timeout, "host": host, "port": port}
        section["transport"] = "rtu_over_tcp" if rtu_over_tcp else "tcp"
        if serial is not None:
            line = {"port": str(serial), "baudrate": baudrate, "parity": parity, "stop_bits": int(stop_bits)}
            section |= {"transport": "rtu", "serial": line}
        settings = _made(section | {"unit_id": 1 if unit_id is None else unit_id})
    where, first = _registers(address, table)
    if first + count > ADDRESSES:
        raise OptionError(f"--address {address} with --count {count} ends after the last register, 65535")
    return {
        "settings": settings,
        "unit_id": settings.unit_id if unit_id is None else unit_id,
        "table": where,
        "address": first,
        "count": count,
        "times": times,
        "every_s": every,
        "low": low,
        "high": high,
    }


def _made(section: dict[str, Any]) -> ModbusSettings:
    try:
        settings = msgspec.convert(section | {"tags": [{"name": "probe", "address": 0}]}, ModbusSettings)
    except msgspec.ValidationError as error:
        raise OptionError(f"there can be no such device: {error}") from None
    problems = check(settings)
    if problems:
        raise OptionError("; ".join(f"{where}: {what}" for where, what in problems))
    return settings


def _configured(devices: Sequence[DeviceSettings], name: str | None) -> ModbusSettings:
    known = {one.name: one for one in devices if isinstance(one, ModbusSettings)}
    if name not in known:
        names = ", ".join(known) or "none"
        raise OptionError(f"which device of the configuration? Give --device NAME; of Modbus it has {names}")
    return known[name]


def _registers(text: str, table: str | None) -> tuple[Table, int]:
    try:
        # A plain number counts from 0, as in the configuration without quotes; five and six digits are a reference.
        address = parse_address(int(text) if text.isdecimal() and len(text) < 5 else text)
    except AddressError as error:
        raise OptionError(f"--address: {error}") from None
    told = None if table is None else Table[table.upper()]
    if address.table is not None and address.table.is_bits:
        raise OptionError(f"--address {text} is a {address.table.word}: a bit has no byte order")
    if told is not None and address.table not in (None, told):
        raise OptionError(f"--address {text} is a reference of other registers than --register {table}")
    return told or address.table or Table.HOLDING, address.number
