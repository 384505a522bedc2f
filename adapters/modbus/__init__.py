"""Modbus TCP, TLS, RTU and RTU over TCP, on sockets and termios: no library.

Importing this package imports settings and pure planning only; what reads and writes comes in with `create` and
`explore`.

    settings.py   the device and tag models
    endpoint.py   where a device is, and which devices share a connection
    address.py    the ways to write an address
    items.py      a tag with every default filled in; semantic checks
    planner.py    tags -> requests, and how a refused request is split
    load.py       what a request puts on the wire
    decode.py     one answer -> records, prepared once per request
    encode.py     a tag's value -> the request that writes it, or why it cannot be written
    errors.py     every way an exchange can fail, and what each Modbus exception means to us
    texts.py      what a person on site is told
    pdu.py        requests and answers as bytes
    frames.py     what is around them: MBAP, or unit id and CRC
    channel.py    TCP and TLS as bytes in and out; serialport.py: a serial line
    transport.py  one connection, one request at a time, no answer taken for another's
    line.py       turns on it: polls, writes, and other devices on the same bus
    schedule.py   the polling grids, and how long a unit that may be dead is waited for
    units.py      what one run has learned about each unit
    sweep.py      reading all units once
    ages.py       when each tag was last good; scan.py: what the cycles took
    adapter.py    the poll loop
    write.py      writing one tag and reading it back
    explore.py    reading a draft's tags once
    report.py     the lines of `tidegate check`
    detective.py  registers under every type and byte order, ranked; probe.py: the command that reads them
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from adapters.base import NOWHERE, Adapter, Context, Explorer, Protocol, Site
from adapters.modbus.endpoint import check_together
from adapters.modbus.items import check, points
from adapters.modbus.report import plan, plan_together
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
    check_together=check_together,
    plan_together=plan_together,
    points=points,
    plan=plan,
    create=_create,
    explore=_explore,
)
