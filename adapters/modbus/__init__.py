"""Modbus TCP, on pymodbus's client.

Importing this package imports settings and pure planning only; pymodbus comes in with `create` and `explore`, so that a
gateway without a Modbus device never loads it.

    settings.py   the device and tag models
    address.py    the ways to write an address
    items.py      a tag with every default filled in; semantic checks
    planner.py    tags -> requests, and how a refused request is split
    decode.py     one answer -> records, prepared once per request
    encode.py     a tag's value -> the request that writes it, or why it cannot be written
    errors.py     every way an exchange can fail, and what each Modbus exception means to us
    texts.py      what a person on site is told
    schedule.py   the polling grid and the waiting of silent units
    units.py      what one run has learned about each unit
    client.py     pymodbus's client, made to keep our promises
    transport.py  the one TCP connection
    line.py       turns on the connection: polls and writes
    sweep.py      reading all units once
    write.py      writing one tag and reading it back
    explore.py    reading a draft's tags once over a connection of its own
    adapter.py    the poll loop
    report.py     the lines of `tidegate check`
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from adapters.base import NOWHERE, Adapter, Context, Explorer, Protocol, Site
from adapters.modbus.items import check, points
from adapters.modbus.report import plan
from adapters.modbus.settings import ModbusSettings

__all__ = ["PROTOCOL"]


def _create(settings: ModbusSettings, context: Context) -> Adapter:
    from adapters.modbus.adapter import ModbusAdapter

    return ModbusAdapter(settings, context)


def _explore(settings: ModbusSettings, _site: Site = NOWHERE, /) -> AbstractAsyncContextManager[Explorer]:
    from adapters.modbus.explore import explore

    return explore(settings)


PROTOCOL = Protocol(
    name="modbus",
    settings=ModbusSettings,
    check=check,
    points=points,
    plan=plan,
    create=_create,
    explore=_explore,
)
