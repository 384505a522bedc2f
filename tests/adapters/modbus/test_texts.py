"""Why no connection could be made, in words that are not Python's."""

import errno
import socket

import pytest

from adapters.modbus.texts import reason_of


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('10.0.0.6', 502)"), "nothing listens there"),
        (TimeoutError(errno.ETIMEDOUT, "Connect call failed ('10.0.0.6', 502)"), "no answer came"),
        (OSError(errno.EHOSTUNREACH, "Connect call failed ('10.0.0.6', 502)"), "no device is found at that address"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "this machine has no route to that network"),
        (OSError(errno.EACCES, "Connect call failed ('10.0.0.6', 502)"), "Permission denied"),
        (
            OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 502), [Errno 111] Connect call"),
            "nothing listens there",
        ),
        (socket.gaierror(-2, "Name or service not known"), "the name 'plc' is not known: Name or service not known"),
        (OSError("odd"), "odd"),
        (OSError(), "OSError"),
    ],
)
def test_reasons(error, words) -> None:
    assert reason_of(error, host="plc") == words
