"""Every way an exchange with a device can fail, and what each Modbus exception means to the gateway.

`transport` turns whatever goes wrong into one of the exceptions below; nothing else leaves it.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from gateway.batch import BAD_COMMUNICATION

__all__ = [
    "EXCEPTIONS",
    "MALFORMED",
    "NOT_BCD",
    "NOT_FINITE",
    "Busy",
    "ExchangeFailed",
    "Fault",
    "Reaction",
    "Refused",
    "Silent",
    "Unreachable",
    "fault_of",
]


class Reaction(Enum):
    """What to do about a request that was answered, but not with values."""

    SPLIT = "ask for less at once; when nothing can be left out, ask seldom"
    SELDOM = "ask seldom: the device will not change its mind soon"
    NEXT_TIME = "ask again in the next cycle: the cause may pass"
    LOOK_CLOSER = "ask again in the next cycle; now and then find out whether parts of it are answered"
    UNIT_AWAY = "the unit behind the gateway does not answer"


class Fault(NamedTuple):
    """What a refused request means.

    Attributes:
        cause: label of `Metrics.source_errors`.
        status: upper half of the StatusCode that its tags' readings carry (OPC 10000-6, A.2).
        reaction: what the gateway does about it.
        untouched: whether a write that is refused like this has certainly not been carried out.
    """

    cause: str
    status: int
    reaction: Reaction
    untouched: bool = False


EXCEPTIONS: Final[dict[int, Fault]] = {
    # MODBUS Application Protocol V1.1b3, 7                                     OPC UA StatusCode
    0x01: Fault("illegal_function", 0x803D, Reaction.SELDOM, untouched=True),  # BadNotSupported
    0x02: Fault("illegal_address", 0x8034, Reaction.SPLIT, untouched=True),  # BadNodeIdUnknown
    0x03: Fault("illegal_value", 0x803C, Reaction.SPLIT, untouched=True),  # BadOutOfRange: or too many registers
    0x04: Fault("device_failure", 0x808B, Reaction.LOOK_CLOSER),  # BadDeviceFailure: or one register's sensor
    0x05: Fault("acknowledge", 0x80B2, Reaction.NEXT_TIME),  # BadWaitingForResponse: still at it
    0x06: Fault("device_busy", 0x8004, Reaction.NEXT_TIME, untouched=True),  # BadResourceUnavailable
    0x08: Fault("memory_parity", 0x808B, Reaction.NEXT_TIME),  # BadDeviceFailure
    0x0A: Fault("gateway_path", BAD_COMMUNICATION, Reaction.UNIT_AWAY, untouched=True),  # BadCommunicationError
    0x0B: Fault("gateway_target", BAD_COMMUNICATION, Reaction.UNIT_AWAY),  # BadCommunicationError
}
"""Exception codes of the standard. Any other is `unknown_exception`, BadUnexpectedError, treated like 04.

After 0B a unit may have carried out what it was told, and only its answer got lost.
"""

MALFORMED: Final = Fault("malformed_answer", 0x8007, Reaction.SPLIT)
"""BadDecodingError: the right frame with the wrong content, such as fewer registers than were asked for."""

NOT_FINITE: Final = Fault("not_finite", 0x808C, Reaction.NEXT_TIME)
"""BadSensorFailure: the device's float is NaN or infinite, which is how meters say that they have no measurement."""

NOT_BCD: Final = Fault("not_bcd", 0x8007, Reaction.NEXT_TIME)
"""BadDecodingError: a digit beyond 9 in a tag that is said to be BCD."""

_UNKNOWN: Final = Fault("unknown_exception", 0x8001, Reaction.LOOK_CLOSER)


def fault_of(exception_code: int) -> Fault:
    """What this Modbus exception code means."""
    return EXCEPTIONS.get(exception_code, _UNKNOWN)


class ExchangeFailed(Exception):
    """Base of the ways an exchange can fail. They stay inside this package.

    `cause` is the label of `Metrics.source_errors`.
    """

    def __init__(self, cause: str, text: str) -> None:
        self.cause = cause
        super().__init__(text)


class Unreachable(ExchangeFailed):
    """No connection could be made. The text is the reason, in words."""

    def __init__(self, text: str) -> None:
        super().__init__("unreachable", text)


class Busy(ExchangeFailed):
    """The turn on the connection did not come in time; nothing was sent."""

    def __init__(self, text: str) -> None:
        super().__init__("busy", text)


class Silent(ExchangeFailed):
    """No usable answer came.

    `timeout`, `connection_broken`, `undecodable_answer`; on RTU also `garbled_answer` (cut, or its CRC is wrong) and
    `late_answer`. The connection is not used again as it is, so a late answer finds nobody.

    `outstanding` says whether the answer may still come.
    """

    def __init__(self, cause: str, text: str, *, outstanding: bool = True) -> None:
        self.outstanding = outstanding
        super().__init__(cause, text)


class Refused(ExchangeFailed):
    """The device answered, but not with the values."""

    def __init__(self, fault: Fault, text: str) -> None:
        self.fault = fault
        super().__init__(fault.cause, text)

    @property
    def is_malformed(self) -> bool:
        """Whether it is no exception of the device's but an answer to something else."""
        return self.fault is MALFORMED
