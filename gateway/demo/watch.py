"""Looks at everything a few times a second, keeps what must be remembered, and shows it.

What is known of a dead gateway is what it told last.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from gateway.demo.cutter import Cutter
from gateway.demo.gateway_process import GatewayProcess
from gateway.demo.ledger import Ledger
from gateway.demo.screen import Screen, Snapshot

__all__ = ["Watch", "machines"]

LOOK_S: Final = 0.25

_SHOWN: Final = (
    ("press", "force", "press {:.0f} kN"),
    ("press", "strokes", "stroke {}"),
    ("tank", "level", "tank {:.1f} %"),
    ("line", "speed", "line {:.0f}/min"),
    ("press", "line-alarm", "{}"),
)


class Watch:
    """The demo's eyes.

    Args:
        gateway: asked for its status.
        cutter: whether the network is cut.
        ledger: what has arrived.
        screen: where it is shown.
    """

    def __init__(self, *, gateway: GatewayProcess, cutter: Cutter, ledger: Ledger, screen: Screen) -> None:
        self._gateway = gateway
        self._cutter = cutter
        self._ledger = ledger
        self._screen = screen
        self._began_s: float | None = None
        self.phase = "starting"
        self.accepted = 0
        """Readings the spool had accepted when the gateway last told."""
        self.waiting = 0
        """Readings in the spool that wait for the broker, when the gateway last told."""
        self.last_seq = 0
        """Number of the newest batch in the spool, when the gateway last told."""
        self.backlog_max = 0
        """Most readings that waited while the network was cut."""

    def begin(self, phase: str) -> None:
        """The story's time begins now; from here on the table is shown."""
        self._began_s = time.monotonic()
        self.phase = phase

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            gateway_up = await self.look()
            if self._began_s is not None:
                self._screen.show(self._snapshot(self._began_s, gateway_up=gateway_up))
            await asyncio.sleep(LOOK_S)

    async def look(self) -> bool:
        """Asks the gateway now; says whether it answered."""
        told = await self._gateway.status()
        if told is not None:
            self._note(told)
        return told is not None

    def _note(self, told: dict[str, Any]) -> None:
        spool = told["spool"]
        self.accepted = spool["accepted_readings"]
        self.waiting = spool["backlog_readings"]
        self.last_seq = spool["last_seq"]
        if self._cutter.is_cut:
            self.backlog_max = max(self.backlog_max, self.waiting)

    def _snapshot(self, began_s: float, *, gateway_up: bool) -> Snapshot:
        p50_ms, p99_ms = self._ledger.latency_ms(0.5, 0.99)
        return Snapshot(
            elapsed_s=time.monotonic() - began_s,
            phase=self.phase,
            gateway_up=gateway_up,
            network_up=not self._cutter.is_cut,
            accepted=self.accepted,
            waiting=self.waiting,
            received=self._ledger.received,
            replayed=self._ledger.replayed,
            duplicates=self._ledger.duplicates,
            p50_ms=p50_ms,
            p99_ms=p99_ms,
            machines=machines(self._ledger),
        )


def machines(ledger: Ledger) -> str:
    """A few of the newest values, in words; those that have not arrived or are bad are left out."""
    texts = []
    for device, tag, text in _SHOWN:
        last = ledger.last.get((device, tag))
        if last is not None and last.quality == "good":
            texts.append(text.format(last.value))
    return ", ".join(text for text in texts if text)
