"""What systemd is told (sd_notify): that the gateway is ready, how it is, that its event loop turns, that it stops.

Only where systemd asks for it, by NOTIFY_SOCKET; a container or a terminal never does. The protocol is one datagram of
lines `NAME=value` to a Unix socket (sd_notify(3)).

The watchdog vouches for the event loop alone. A PLC, a broker or a disk that is away is no reason to be restarted.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, MutableMapping

__all__ = ["VARIABLES", "Systemd"]

_IDLE_S = 60.0
"""Pause between two reports where no watchdog asks for more."""

_AGAIN_S = 1.0
VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""What the manager leaves in the environment of the process it waits for; not for that one's children."""


class Systemd:
    """The line to the service manager.

    Args:
        address: of its socket, as NOTIFY_SOCKET names it.
        watchdog_s: it restarts the gateway after so many seconds without a sign of life. None: it does not.
        status: how the gateway is, in one line.
    """

    def __init__(self, address: str, *, watchdog_s: float | None, status: Callable[[], str]) -> None:
        # An address in the abstract namespace is written with an @ in place of its first byte.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._status = status
        self.pause_s = _IDLE_S if watchdog_s is None else watchdog_s / 2
        """Seconds between two signs of life: half of what would be too late, as sd_watchdog_enabled(3) advises."""

    @classmethod
    def from_environment(
        cls, status: Callable[[], str], *, environment: MutableMapping[str, str] = os.environ, pid: int | None = None
    ) -> Systemd | None:
        """The line that systemd offers this process; None where it offers none.

        Args:
            status: how the gateway is, in one line.
            environment: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are taken out of it.
            pid: of this process.
        """
        told = {name: environment.pop(name, "") for name in VARIABLES}
        address = told["NOTIFY_SOCKET"]
        if address[:1] not in ("/", "@") or len(address) == 1:
            return None
        microseconds = told["WATCHDOG_USEC"]
        ours = told["WATCHDOG_PID"] in ("", str(os.getpid() if pid is None else pid))
        wanted = ours and microseconds.isascii() and microseconds.isdigit() and int(microseconds) > 0
        return cls(address, watchdog_s=int(microseconds) / 1e6 if wanted else None, status=status)

    async def run(self) -> None:
        """Says that the gateway is ready, and goes on giving signs of life until cancelled."""
        ready = False
        while True:
            # Until it was heard: whoever does not hear that the gateway is ready ends it.
            news = () if ready else ("READY=1",)
            ready = self._say(*news, "WATCHDOG=1", f"STATUS={self._status()}") or ready
            await asyncio.sleep(self.pause_s if ready else min(self.pause_s, _AGAIN_S))

    def stopping(self) -> None:
        """Says that the gateway stops."""
        self._say("STOPPING=1", "STATUS=stopping")

    def _say(self, *lines: str) -> bool:
        """Whether it was heard. A manager that does not listen is no trouble of the gateway's."""
        text = "\n".join(" ".join(line.splitlines()) for line in lines)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.setblocking(False)
            try:
                line.connect(self._address)
                line.send(text.encode(errors="replace"))
            except OSError:
                return False
        return True
