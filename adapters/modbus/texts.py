"""What a person on site is told when a device is lost or a write is not done: what was tried, what came, what next.

Pure; the words only. Who raises them decides what kind of error it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from adapters.modbus.encode import Function, Write
from adapters.modbus.errors import ExchangeFailed, Refused
from adapters.modbus.settings import ModbusSettings

__all__ = [
    "MOST_LISTED",
    "no_answer",
    "no_connection",
    "no_tree",
    "not_done",
    "not_running",
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
_NO_MASK_WRITE: Final = (
    "The device cannot write a single bit of a register, and to read the register and write it back would undo what "
    "the device changes in between; write the whole register through a tag without bit, or a coil"
)


def _where(settings: ModbusSettings) -> str:
    """The device's address, as host:port."""
    return f"{settings.host}:{settings.port}"


def no_connection(settings: ModbusSettings, failure: ExchangeFailed) -> str:
    """No TCP connection could be made."""
    return (
        f"{settings.name}: no Modbus connection to {_where(settings)}: {failure}. Check the address, "
        "that the device is powered and in the network, and that it has a connection to spare"
    )


def no_answer(settings: ModbusSettings, unit_ids: Sequence[int]) -> str:
    """The connection is there, but none of its units answers."""
    unit_ids = sorted(unit_ids)
    more = f" and {len(unit_ids) - MOST_LISTED} more" if len(unit_ids) > MOST_LISTED else ""
    return (
        f"{settings.name}: {_where(settings)} takes the connection, but no unit answers "
        f"(asked: {', '.join(map(str, unit_ids[:MOST_LISTED]))}{more}; waited {settings.timeout_s:g} s for each). "
        "Check unit_id, timeout_s, and the serial line if this is a gateway"
    )


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
        return f"{head}. The device does not offer function {write.function.value}: its manual says what can be written"
    return f"{head}. {_ADVICE[failure.cause]}"


def unknown_outcome(settings: ModbusSettings, tag: str, write: Write, failure: ExchangeFailed) -> str:
    """A write that was sent, and of which nobody knows whether it was carried out."""
    return (
        f"{settings.name}: it is unknown whether '{tag}' was written ({write}, at {_where(settings)}): {failure}. "
        "It was sent once and is not repeated; look at the tag's next reading before you write again"
    )
