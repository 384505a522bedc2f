"""What `tidegate check` says of a Modbus device.

Its connection, each request, what they put on the wire, and whether they fit into their intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from adapters.modbus.address import Table, parse_address
from adapters.modbus.endpoint import Endpoint, endpoint_of, gap_s, line_of
from adapters.modbus.items import Item, resolve
from adapters.modbus.load import USUAL_ANSWER_S, bytes_a_second, cycle_s, utilisation
from adapters.modbus.planner import Request, plan_requests
from adapters.modbus.settings import ModbusSettings, ModbusTag
from gateway.config.words import many

__all__ = ["plan", "plan_together"]

_MOST_LINES: Final = 40
_MOST_NAMES: Final = 8
_MOST_SLIPS: Final = 8
_REFERENCE_RANGES: Final = {
    Table.DISCRETE: range(10_001, 20_000),
    Table.INPUT: range(30_001, 40_000),
    Table.HOLDING: range(40_001, 50_000),
}


def plan(settings: ModbusSettings) -> list[str]:
    """Lines for people: what looks like a slip, the connection, the requests, and an estimate of load and time."""
    items = resolve(settings)
    endpoint = endpoint_of(settings)
    requests = plan_requests(items, max_registers=settings.max_registers, max_gap=settings.max_gap)
    slips = [_slip(tag.name, item) for tag, item in zip(settings.tags, items, strict=True) if _is_suspect(tag, item)]
    lines = slips[:_MOST_SLIPS]
    if len(slips) > _MOST_SLIPS:
        lines.append(f"note: and so {many(len(slips) - _MOST_SLIPS, 'tag')} more")
    lines.append(_connection(settings, endpoint))
    lines += [_line(request) for request in requests[:_MOST_LINES]]
    if len(requests) > _MOST_LINES:
        lines.append(f"and {many(len(requests) - _MOST_LINES, 'request')} more")
    by_class = sorted(requests, key=lambda request: request.interval_s)
    for interval_s, group in groupby(by_class, key=lambda request: request.interval_s):
        lines += _scan_class(interval_s, [*group], endpoint, pause_s=settings.pause_ms / 1000)
    return lines + _load(requests, endpoint)


def plan_together(devices: Sequence[ModbusSettings]) -> list[str]:
    """The load of each serial line that several devices share."""
    lines = []
    on_line = [device for device in devices if device.serial is not None and device.enabled]
    on_line.sort(key=_port)
    for port, group in groupby(on_line, key=_port):
        sharing = [*group]
        if len(sharing) < 2:
            continue
        requests = [
            request
            for device in sharing
            for request in plan_requests(resolve(device), max_registers=device.max_registers, max_gap=device.max_gap)
        ]
        names = ", ".join(device.name for device in sharing[:_MOST_NAMES])
        more = f" and {len(sharing) - _MOST_NAMES} more" if len(sharing) > _MOST_NAMES else ""
        lines.append(f"serial line {port}: {many(len(sharing), 'device')} ({names}{more})")
        lines += _load(requests, endpoint_of(sharing[0]))
    return lines


def _port(device: ModbusSettings) -> str:
    assert device.serial is not None
    return line_of(device.serial)


def _connection(settings: ModbusSettings, endpoint: Endpoint) -> str:
    serial, tls = endpoint.serial, endpoint.tls
    if serial is not None:
        form = f"8{serial.parity[0].upper()}{serial.stop_bits}"
        return (
            f"Modbus RTU on {endpoint}, {serial.baudrate} baud, {form}, at least {1000 * gap_s(serial):.3g} ms between "
            "frames; one request at a time, with all devices of this line"
        )
    names = {"tcp": "Modbus TCP", "rtu_over_tcp": "Modbus RTU over TCP", "tls": "Modbus over TLS"}
    text = f"{names[endpoint.transport]} to {endpoint}"
    if tls is not None:
        roots = f"roots from {tls.ca_file}" if tls.ca_file else "the system's roots"
        text += f" ({roots})" if tls.verify else " WITHOUT CHECKING THE DEVICE'S CERTIFICATE"
        text += ", own certificate" if tls.cert_file else ""
    if settings.pause_ms:
        text += f", a pause of {settings.pause_ms:g} ms before each request"
    others = ", with all devices there that share the connection" if settings.share_connection else ""
    return f"{text}; one request at a time{others}"


def _scan_class(interval_s: float, requests: Sequence[Request], endpoint: Endpoint, *, pause_s: float) -> list[str]:
    tags = sum(len(request.items) for request in requests)
    registers = sum(request.count for request in requests if not request.table.is_bits)
    bits = sum(request.count for request in requests if request.table.is_bits)
    amounts = [many(registers, "register")] * bool(registers) + [many(bits, "bit")] * bool(bits)
    took_s = cycle_s(requests, endpoint, pause_s=pause_s)
    text = (
        f"every {interval_s:g} s: {many(tags, 'tag')} in {many(len(requests), 'request')} ({', '.join(amounts)}); "
        f"about {1000 * took_s:.0f} ms a cycle if the device answers within {1000 * USUAL_ANSWER_S:g} ms"
    )
    lines = [text]
    if took_s > interval_s:
        lines.append("that is more than the interval: polls will be left out; raise interval_s or max_gap")
    return lines


def _load(requests: Sequence[Request], endpoint: Endpoint) -> list[str]:
    rate = bytes_a_second(requests, endpoint)
    if endpoint.serial is None:
        return [f"load: {rate:.0f} bytes a second, requests and answers together"]
    share = utilisation(requests, endpoint)
    text = f"{100 * share:.0f} % at {endpoint.serial.baudrate} baud"
    lines = [f"bus load: {text} ({rate:.0f} bytes a second, and the silence between frames)"]
    if share > 1:
        lines.append("that is more than the line can carry: raise interval_s, or the baud rate of all its devices")
    return lines


def _is_suspect(tag: ModbusTag, item: Item) -> bool:
    """Whether a number looks like a manual's reference: for its own registers, or for any where none are named."""
    ranges = _REFERENCE_RANGES.values() if tag.register is None else (_REFERENCE_RANGES.get(item.table, range(0)),)
    return isinstance(tag.address, int) and any(tag.address in one for one in ranges)


def _slip(name: str, item: Item) -> str:
    number = item.address
    meant = parse_address(str(number))
    assert meant.table is not None
    return (
        f"note: tag '{name}' is {item.table.word} {number}, counted from 0 (if the manual says {number}, write "
        f'address = "{number}": that is {meant.table.word} {meant.number})'
    )


def _line(request: Request) -> str:
    first, last = request.items[0].name, request.items[-1].name
    names = first if len(request.items) == 1 else f"{first} to {last}"
    asked = many(request.count, "bit" if request.table.is_bits else "register")
    return f"unit {request.unit_id}, {request}: {asked} for {many(len(request.items), 'tag')} ({names})"
