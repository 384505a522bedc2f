"""Where a Modbus device is: what its form shows of each transport, and the section that this makes. Pure.

What a transport does not use is left alone, unless somebody has just chosen it: then the rest of the other one goes,
which the check would refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tui.inputs import assign, number, text

__all__ = ["BAUD_RATES", "PARITIES", "STOP_BITS", "TRANSPORTS", "filled", "placed"]

TRANSPORTS: Final = ("", "rtu", "rtu_over_tcp", "tls")
"""The first is the default, Modbus TCP."""
BAUD_RATES: Final = ("", "1200", "2400", "4800", "9600", "19200", "38400", "57600", "115200")
PARITIES: Final = ("", "even", "odd", "none")
STOP_BITS: Final = ("", "1", "2")

_INNER: Final = {
    "serial": {"line": "port", "baudrate": "baudrate", "parity": "parity", "stop_bits": "stop_bits"},
    "tls": {key: key for key in ("ca_file", "server_name", "cert_file", "key_file")},
}
"""The sections in the device's own: keys of the form, and what they are in there."""
_USED: Final = {"rtu": ("serial",), "tls": ("host", "port", "tls")}
_NUMBERS: Final = ("baudrate", "stop_bits")
_NETWORK: Final = ("host", "port")


def filled(section: Mapping[str, Any]) -> dict[str, str]:
    """What the form shows of a section, by the form's keys."""
    shown = {key: text(section.get(key)) for key in ("transport", *_NETWORK)}
    for name, keys in _INNER.items():
        inner = section.get(name)
        shown |= {key: text(inner.get(known)) if isinstance(inner, dict) else "" for key, known in keys.items()}
    return shown


def placed(section: dict[str, Any], typed: Mapping[str, str]) -> dict[str, Any]:
    """The section with what stands in the form.

    Args:
        section: as it stands in the draft.
        typed: by the keys of `filled`.
    """
    transport = typed["transport"]
    used = _USED.get(transport, _NETWORK)
    result = assign(section, {"transport": transport})
    if "host" in used:
        result = assign(result, {"host": typed["host"], "port": number(typed["port"])})
    for name, keys in _INNER.items():
        if name not in used:
            continue
        before = section.get(name)
        values: dict[str, Any] = {
            known: number(typed[key]) if key in _NUMBERS else typed[key] for key, known in keys.items()
        }
        inner = assign(before if isinstance(before, dict) else {}, values)
        if inner or isinstance(before, dict):
            result[name] = inner
    if transport != text(section.get("transport")):
        for name in {*_NETWORK, *_INNER} - {*used}:
            result.pop(name, None)
    return result
