"""A serial line of this machine, by POSIX alone (termios): no library, no thread.

Invariants
- The port is this process's alone: a second program on it, which would take our answers, is refused by the lock.
- Raw: no byte is translated, echoed or held back; what arrived before the port was opened is thrown away.
"""

from __future__ import annotations

import errno
import fcntl
import os
import termios
from typing import Final

from adapters.modbus.channel import Channel
from adapters.modbus.errors import Unreachable
from adapters.modbus.settings import SerialSettings

__all__ = ["SerialChannel", "control_flags", "reason"]

_READ_BYTES: Final = 1_024
_GIVEN: Final = "A service or a container must be given it (image/README.md)"
_REASONS: Final = {
    errno.ENOENT: f"there is no such port; is the adapter plugged in? {_GIVEN}",
    errno.EACCES: "this user may not use it; add it to the port's group, which is usually dialout",
    errno.EPERM: f"this process may not use it. {_GIVEN}",
    errno.EBUSY: "another program uses it",
    errno.ENXIO: "there is no device behind it",
    errno.ENODEV: "there is no device behind it",
}


class SerialChannel(Channel):
    """An open serial port.

    Args:
        settings: the line.

    Raises:
        Unreachable: it cannot be opened.
    """

    def __init__(self, settings: SerialSettings) -> None:
        super().__init__()
        self._fd = _open(settings)
        self._loop.add_reader(self._fd, self._readable)

    def send(self, data: bytes) -> None:
        """See `Channel`. The kernel's buffer takes a whole request: one that does not fit is a line that is stuck."""
        if self._lost:
            return
        self.at_s = self._loop.time()
        try:
            sent = os.write(self._fd, data)
        except OSError:
            sent = 0
        if sent < len(data):
            self.close()

    def close(self) -> None:
        """See `Channel`."""
        if not self._lost:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
        super().close()

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:  # the adapter was pulled out
            data = b""
        if data:
            self._came(data)
        else:
            self.close()


def _open(settings: SerialSettings) -> int:
    try:
        fd = os.open(settings.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Unreachable(reason(error)) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _configure(fd, settings)
        termios.tcflush(fd, termios.TCIOFLUSH)
    except BlockingIOError:
        os.close(fd)
        raise Unreachable(_REASONS[errno.EBUSY]) from None
    except termios.error as error:
        os.close(fd)
        is_other = error.args and error.args[0] in (errno.ENOTTY, errno.EINVAL)
        raise Unreachable("it is no serial port that can be set like this" if is_other else str(error)) from None
    except OSError as error:
        os.close(fd)
        raise Unreachable(reason(error)) from None
    return fd


def control_flags(control: int, settings: SerialSettings) -> int:
    """The terminal's control flags with the settings in them.

    Args:
        control: as they are.
        settings: the line.
    """
    control &= ~(termios.CSIZE | termios.PARENB | termios.PARODD | termios.CSTOPB | termios.CRTSCTS)
    control |= termios.CS8 | termios.CREAD | termios.CLOCAL
    if settings.parity != "none":
        control |= termios.PARENB
    if settings.parity == "odd":
        control |= termios.PARODD
    if settings.stop_bits == 2:
        control |= termios.CSTOPB
    return control


def _configure(fd: int, settings: SerialSettings) -> None:
    _, _, control, _, _, _, chars = termios.tcgetattr(fd)
    # A character with a parity error reads as 0: the CRC finds it.
    incoming = termios.INPCK if settings.parity != "none" else 0
    chars[termios.VMIN], chars[termios.VTIME] = 0, 0
    speed = getattr(termios, f"B{settings.baudrate}")
    wanted = control_flags(control, settings)
    termios.tcsetattr(fd, termios.TCSANOW, [incoming, 0, wanted, 0, speed, speed, chars])


def reason(error: OSError) -> str:
    """Why a port could not be opened, for a person."""
    return _REASONS.get(error.errno or 0) or error.strerror or str(error)
