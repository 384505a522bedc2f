"""What a person on site is told when a device is lost or a write is not done: what was tried, what came, what next.

Pure; the words only. Who raises them decides what kind of error it is.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from collections.abc import Iterable, Sequence
from typing import Final

from adapters.modbus.encode import Function, Write
from adapters.modbus.endpoint import endpoint_of
from adapters.modbus.errors import ExchangeFailed, Refused
from adapters.modbus.planner import Request
from adapters.modbus.settings import ModbusSettings

__all__ = [
    "MOST_LISTED",
    "no_answer",
    "no_connection",
    "no_tree",
    "not_done",
    "not_read_first",
    "not_running",
    "reason_of",
    "refused",
    "unit_away",
    "unknown_outcome",
    "unknown_tag",
    "unwritable",
]

MOST_LISTED: Final = 20
_SUGGESTED_TAGS: Final = 8
_ADVICE: Final = {
    "illegal_address": "There is no such address, or it can only be read: compare with the register table of the "
    "device's manual",
    "illegal_value": "The device does not take this value there: look in its manual for the range it allows",
    "device_busy": "Try again later",
    "gateway_path": "Check unit_id and how the gateway reaches the unit",
}
_REASONS: Final = {
    errno.ECONNREFUSED: "nothing listens there",
    errno.ECONNRESET: "it closed the connection at once",
    errno.ETIMEDOUT: "no answer came",
    errno.EHOSTUNREACH: "no device is found at that address",
    errno.ENETUNREACH: "this machine has no route to that network",
}
_SILENCES: Final = {
    "connection_broken": "it closes the connection when asked",
    "undecodable_answer": "what comes back is no answer of Modbus",
    "garbled_answer": "what comes back is cut or garbled",
    "late_answer": "answers come later than timeout_s",
    "gateway_path": "the gateway there has no way to them",
    "gateway_target": "the gateway there gets no answer from them",
}
_ERRNO: Final = re.compile(r"\[Errno (\d+)\]")
_NO_MASK_WRITE: Final = (
    "The device cannot write a part of a register, and to read the register and write it back would undo what "
    "the device changes in between; write the whole register through a tag of its own, or a coil. Where nobody else "
    'writes the register, bit_writes = "read_modify_write" does it all the same'
)


def _where(settings: ModbusSettings) -> str:
    """The device's address, as host:port, or the serial port."""
    return str(endpoint_of(settings))


def reason_of(error: OSError, *, host: str) -> str:
    """Why a connection could not be made, in words of ours: asyncio's name the call and the address once more."""
    if isinstance(error, socket.gaierror):
        return f"the name {host!r} is not known: {error.strerror}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted: {error.verify_message}. Check tls.ca_file, and that the certificate is "
            f"made out to {host!r} or to tls.server_name"
        )
    if isinstance(error, ssl.SSLError):
        return (
            f"no TLS with it: {(error.reason or str(error)).replace('_', ' ').lower()}; does it speak TLS on this port?"
        )
    number = error.errno
    if number is None and (first := _ERRNO.search(str(error))):
        # A name with several addresses: asyncio tells of all of them in one text.
        number = int(first[1])
    if number is None:
        return str(error) or type(error).__name__
    return _REASONS.get(number) or os.strerror(number)


def no_connection(settings: ModbusSettings, failure: ExchangeFailed) -> str:
    """No connection could be made. The device's name is left to who tells of its state."""
    head = f"no Modbus connection to {_where(settings)}: {failure}"
    if settings.serial is not None:
        return f"{head}. Check serial.port, and that the adapter is plugged in and free"
    return (
        f"{head}. Check the address, "
        "that the device is powered and in the network, and that it has a connection to spare"
    )


def no_answer(settings: ModbusSettings, unit_ids: Sequence[int], *, causes: Iterable[str]) -> str:
    """The connection is there, but none of its units answers.

    Args:
        settings: the device.
        unit_ids: the units that were asked.
        causes: what their silence was like, as labels of `Metrics.source_errors`.
    """
    waited = f"waited {settings.timeout_s:g} s for each"
    silences = dict.fromkeys(_SILENCES.get(cause, waited) for cause in causes) or {waited: None}
    unit_ids = sorted(unit_ids)
    more = f" and {len(unit_ids) - MOST_LISTED} more" if len(unit_ids) > MOST_LISTED else ""
    serial = settings.serial is not None
    advice = (
        "Check unit_id, baudrate, parity and stop_bits, the wires (A and B swapped?), and timeout_s"
        if serial
        else "Check unit_id, timeout_s, and the serial line if this is a gateway"
    )
    return (
        f"{_where(settings)} {'is open' if serial else 'takes the connection'}, but no unit answers "
        f"(asked: {', '.join(map(str, unit_ids[:MOST_LISTED]))}{more}; {', or '.join(silences)}). {advice}"
    )


def refused(settings: ModbusSettings, request: Request, failure: Refused) -> str:
    """Somebody looks at registers that the device does not give."""
    advice = {
        "illegal_function": f"The device has no {request.table.word} registers: try the other ones with --register",
        "illegal_address": "There is no such address, or not all of them: compare with the register table of the "
        "device's manual, and mind whether it counts from 0 or from 1",
    }
    more = advice.get(failure.cause) or _ADVICE.get(failure.cause) or "Try again later"
    return f"unit {request.unit_id} at {_where(settings)} refuses {request}: {failure}. {more}"


def no_tree(settings: ModbusSettings) -> str:
    """Somebody wants to browse."""
    return (
        f"{settings.name}: Modbus has no tree to browse or search: a device does not say what its registers mean. "
        "Take the register table of the device's manual, and enter each tag with its address and type"
    )


def unknown_tag(settings: ModbusSettings, tag: str) -> str:
    """Somebody wants to write a tag that there is not."""
    names = [known.name for known in settings.tags]
    more = ", ..." if len(names) > _SUGGESTED_TAGS else ""
    return f"{settings.name} has no tag '{tag}'; it has {', '.join(names[:_SUGGESTED_TAGS])}{more}"


def unwritable(settings: ModbusSettings, tag: str, reason: object) -> str:
    """The tag or the value does not allow the write."""
    return f"{settings.name}: '{tag}' was not written: {reason}. Nothing was sent to the device"


def not_running(settings: ModbusSettings, tag: str) -> str:
    """There is no connection at present."""
    return (
        f"{settings.name}: '{tag}' was not written: {_where(settings)} is not connected at present. Nothing was sent; "
        "look at the device's state, and try again once it is read"
    )


def unit_away(settings: ModbusSettings, tag: str, unit_id: int) -> str:
    """The connection is there, but the tag's unit is not."""
    return (
        f"{settings.name}: '{tag}' was not written: unit {unit_id} at {_where(settings)} does not answer at present. "
        "Nothing was sent; try again once its tags are good"
    )


def not_done(settings: ModbusSettings, tag: str, write: Write, failure: ExchangeFailed) -> str:
    """A write that has certainly not been carried out."""
    head = f"{settings.name}: '{tag}' was not written ({write}, at {_where(settings)}): {failure}"
    if not isinstance(failure, Refused):
        return f"{head}. Nothing was sent; try again"
    if failure.cause == "illegal_function":
        if write.function is Function.MASK:
            return f"{head}. {_NO_MASK_WRITE}"
        if write.function in (Function.COIL, Function.REGISTER):
            return f"{head}. The device does not offer function {write.function.value}; try single_writes = false"
        return f"{head}. The device does not offer function {write.function.value}: its manual says what can be written"
    return f"{head}. {_ADVICE[failure.cause]}"


def not_read_first(settings: ModbusSettings, tag: str, failure: ExchangeFailed) -> str:
    """A bit could not be written because its register could not be read before."""
    return (
        f"{settings.name}: '{tag}' was not written: its register at {_where(settings)} could not be read first: "
        f"{failure}. Nothing was written; try again once the tag is good"
    )


def unknown_outcome(settings: ModbusSettings, tag: str, write: Write, failure: ExchangeFailed) -> str:
    """A write that was sent, and of which nobody knows whether it was carried out."""
    return (
        f"{settings.name}: it is unknown whether '{tag}' was written ({write}, at {_where(settings)}): {failure}. "
        "It was sent once and is not repeated; look at the tag's next reading before you write again"
    )
