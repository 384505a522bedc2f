"""Modbus TCP, on pymodbus's client.

Importing this package imports settings and pure planning only; pymodbus comes in with `create`, so that a gateway
without a Modbus device never loads it.

    settings.py   the device and tag models
    address.py    the ways to write an address
    items.py      a tag with every default filled in; semantic checks
    planner.py    tags -> requests, and how a refused request is split
    decode.py     one answer -> records, prepared once per request
    errors.py     every way an exchange can fail, and what each Modbus exception means to us
    schedule.py   the polling grid and the waiting of silent units
    units.py      what one run has learned about each unit
    transport.py  the one TCP connection
    sweep.py      reading all units once
    adapter.py    the poll loop
    report.py     the lines of `tidegate check`
"""

from __future__ import annotations

from adapters.base import Adapter, Context, Protocol
from adapters.modbus.items import check, points
from adapters.modbus.report import plan
from adapters.modbus.settings import ModbusSettings

__all__ = ["PROTOCOL"]


def _create(settings: ModbusSettings, context: Context) -> Adapter:
    from adapters.modbus.adapter import ModbusAdapter

    return ModbusAdapter(settings, context)


PROTOCOL = Protocol(
    name="modbus",
    settings=ModbusSettings,
    check=check,
    points=points,
    plan=plan,
    create=_create,
)
