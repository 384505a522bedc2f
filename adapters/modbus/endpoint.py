"""Where a device is reached: what its connection is made from, and the mistakes in that. Pure.

Devices with equal endpoints that are shared use one connection: `Endpoint` is its key.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, NamedTuple

from adapters.modbus.settings import ModbusSettings, SerialSettings, TlsClientSettings, TransportName
from gateway.config.rules import tls_problems

__all__ = ["Endpoint", "char_s", "check", "check_together", "differences", "endpoint_of", "gap_s", "line_of"]

_PORTS: Final = {"tcp": 502, "tls": 802, "rtu_over_tcp": 502}
_LEAST_GAP_S: Final = 0.00175
"""Above 19,200 baud 3.5 characters are taken to last this long (MODBUS over Serial Line V1.02, 2.5.1.1)."""
_GAP_CHARS: Final = 3.5
_SPOKEN: Final = ("baudrate", "parity", "stop_bits", "gap_ms")
"""What all devices of one line have in common."""
_SERIAL_UNITS: Final = range(1, 248)


class Endpoint(NamedTuple):
    """Where a device is reached."""

    transport: TransportName
    host: str = ""
    port: int = 0
    tls: TlsClientSettings | None = None
    serial: SerialSettings | None = None

    @property
    def is_rtu(self) -> bool:
        """Whether frames are those of a serial line."""
        return self.transport in ("rtu", "rtu_over_tcp")

    def __str__(self) -> str:
        return self.serial.port if self.serial else f"{self.host}:{self.port}"


def endpoint_of(settings: ModbusSettings) -> Endpoint:
    """Where the device is, for settings in which `check` finds nothing."""
    transport = settings.transport
    if transport == "rtu":
        return Endpoint(transport, serial=settings.serial)
    tls = (settings.tls or TlsClientSettings()) if transport == "tls" else None
    return Endpoint(transport, settings.host or "", settings.port or _PORTS[transport], tls)


def char_s(serial: SerialSettings) -> float:
    """How long one character takes: start bit, 8 data bits, parity, stop bits."""
    return (9 + (serial.parity != "none") + serial.stop_bits) / serial.baudrate


def gap_s(serial: SerialSettings) -> float:
    """Least silence between two frames, in seconds."""
    if serial.gap_ms is not None:
        return serial.gap_ms / 1000
    return max(_LEAST_GAP_S, _GAP_CHARS * char_s(serial))


def line_of(serial: SerialSettings) -> str:
    """The line itself, which may be known by several names."""
    return os.path.realpath(serial.port)


def differences(ours: SerialSettings, theirs: SerialSettings) -> list[tuple[str, str, str]]:
    """Where two devices of one line do not speak alike, as (key, what ours says, what theirs says)."""
    pairs = ((key, getattr(ours, key), getattr(theirs, key)) for key in _SPOKEN)
    return [(key, _told(one), _told(other)) for key, one, other in pairs if one != other]


def check(settings: ModbusSettings) -> list[tuple[str, str]]:
    """What does not go together in one device, as (key path below the device, what to do)."""
    transport = settings.transport
    if transport == "rtu":
        problems = _check_serial(settings)
    elif settings.serial is not None:
        what = f'a serial line is used with transport = "rtu" only, and this is "{transport}"'
        problems = [("serial", f"{what}; leave one of them out")]
    elif settings.host is None:
        problems = [("host", f'missing: with transport = "{transport}" the name or address of the device is needed')]
    else:
        problems = []
    if settings.tls is not None and transport != "tls":
        problems.append(("tls", f'certificates are used with transport = "tls" only, and this is "{transport}"'))
    if settings.tls is not None:
        problems += tls_problems(settings.tls, "tls")
    return problems


def check_together(devices: Sequence[ModbusSettings]) -> list[tuple[int, str, str]]:
    """What does not go together in several devices, as (place in the list, key path below it, what to do)."""
    problems = []
    first: dict[str, ModbusSettings] = {}
    for place, device in enumerate(devices):
        if device.transport != "rtu" or device.serial is None:
            continue
        known = first.setdefault(line_of(device.serial), device)
        assert known.serial is not None
        for key, ours, theirs in differences(device.serial, known.serial):
            what = f"{ours}, but '{known.name}' on the same line says {theirs}; all devices of one line speak alike"
            problems.append((place, f"serial.{key}", what))
    return problems


def _told(value: object) -> str:
    return "the default" if value is None else str(value)


def _check_serial(settings: ModbusSettings) -> list[tuple[str, str]]:
    problems = []
    if settings.serial is None:
        what = 'missing: transport = "rtu" needs a section with the port, such as serial = { port = "/dev/ttyUSB0" }'
        problems.append(("serial", what))
    for key in ("host", "port"):
        if getattr(settings, key) is not None:
            what = 'not used with transport = "rtu"; leave it out, or choose "rtu_over_tcp" for a serial device server'
            problems.append((key, what))
    if settings.pause_ms:
        problems.append(("pause_ms", 'not used with transport = "rtu"; leave it out, and give serial.gap_ms'))
    if settings.unit_id not in _SERIAL_UNITS:
        problems.append(("unit_id", f"{settings.unit_id} is no unit on a serial line; those are 1 to 247"))
    for index, tag in enumerate(settings.tags):
        if tag.unit_id is not None and tag.unit_id not in _SERIAL_UNITS:
            what = f"{tag.unit_id} is no unit on a serial line; those are 1 to 247"
            problems.append((f"tags[{index}].unit_id", what))
    return problems
