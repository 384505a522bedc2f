"""The words of `tidegate probe modbus` as what `probe` takes: which device, which registers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    baudrate: int | None,
    parity: str | None,
    stop_bits: str | None,
    devices: Sequence[DeviceSettings] | None,
    device: str | None,
    unit_id: int | None,
    address: str,
    table: str | None,
    count: int,
    times: int,
    every: float,
    timeout: float | None,
    low: float | None,
    high: float | None,
) -> dict[str, Any]:
    """The arguments of `probe`.

    Args as the command's options, None where they are not given; `devices`: those of the configuration, where one is.

    Raises:
        OptionError: they do not go together.
    """
    if sum(one is not None for one in (host, serial, devices)) != 1:
        raise OptionError("which device? Give either HOST, or --serial PORT, or --config FILE with --device NAME")
    if low is not None and high is not None and low > high:
        raise OptionError(f"--min {low:g} is more than --max {high:g}: nothing lies in between")
    network = {"--port": port, "--rtu-over-tcp": rtu_over_tcp or None}
    line = {"--baudrate": baudrate, "--parity": parity, "--stop-bits": stop_bits}
    common: dict[str, object] = {"timeout_s": timeout, "unit_id": unit_id}
    if devices is not None:
        _refuse("--config", network | line | {"--timeout": timeout})
        settings = _configured(devices, device)
    elif serial is not None:
        _refuse("--serial", network | {"--device": device})
        stops = None if stop_bits is None else int(stop_bits)
        told = _given({"port": str(serial), "baudrate": baudrate, "parity": parity, "stop_bits": stops})
        settings = _made(common | {"transport": "rtu", "serial": told})
    else:
        _refuse("HOST", line | {"--device": device})
        transport = "rtu_over_tcp" if rtu_over_tcp else "tcp"
        settings = _made(common | {"transport": transport, "host": host, "port": port})
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


def _refuse(way: str, others: Mapping[str, object]) -> None:
    """Options that would not be used must not look as if they were.

    Args:
        way: how the device is named.
        others: options that do not go with it; None where one is not given.
    """
    extra = _given(others)
    if extra:
        raise OptionError(f"{', '.join(extra)}: not used with {way}; leave it out, or name the device in another way")


def _given(keys: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in keys.items() if value is not None}


def _made(keys: Mapping[str, object]) -> ModbusSettings:
    section = {"name": "device", "type": "modbus", "tags": [{"name": "probe", "address": 0}]}
    try:
        settings = msgspec.convert(section | _given(keys), ModbusSettings)
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
