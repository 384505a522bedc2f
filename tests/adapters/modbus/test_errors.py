"""The status numbers are those of the standard's names, as asyncua has them."""

import pytest
from asyncua.ua.status_codes import StatusCodes

from adapters.modbus.errors import EXCEPTIONS, MALFORMED, NOT_FINITE, Fault, Reaction, fault_of
from gateway.batch import is_bad


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (fault_of(1), "BadNotSupported"),
        (fault_of(2), "BadNodeIdUnknown"),
        (fault_of(3), "BadOutOfRange"),
        (fault_of(4), "BadDeviceFailure"),
        (fault_of(5), "BadWaitingForResponse"),
        (fault_of(6), "BadResourceUnavailable"),
        (fault_of(8), "BadDeviceFailure"),
        (fault_of(10), "BadCommunicationError"),
        (fault_of(11), "BadCommunicationError"),
        (fault_of(99), "BadUnexpectedError"),
        (MALFORMED, "BadDecodingError"),
        (NOT_FINITE, "BadSensorFailure"),
    ],
)
def test_statuses(fault: Fault, name: str) -> None:
    assert fault.status == getattr(StatusCodes, name) >> 16


def test_every_code_has_a_fault_with_a_bad_status() -> None:
    assert all(is_bad(fault_of(code).status) for code in range(256))
    assert len({fault.cause for fault in EXCEPTIONS.values()}) == len(EXCEPTIONS)
    assert fault_of(0xFF).reaction is Reaction.LOOK_CLOSER


def test_only_refusals_that_come_before_the_deed_leave_a_write_undone() -> None:
    assert [code for code in range(256) if fault_of(code).untouched] == [1, 2, 3, 6, 0x0A]
    assert not MALFORMED.untouched
