"""The outlet: the way to the broker, which may be taken away, put back or replaced while the flow runs.

Invariants
- The flow offers to the outlet and knows no uplink. What is offered while there is none stays in the spool, and the
  next uplink sends it.
- There is one connection at most: the next uplink starts when the one before has finished what was in flight.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.batch import Batch
from gateway.config.models import Config
from gateway.crew import Crew, Task, end
from gateway.metrics import Metrics
from gateway.spool import Spool
from gateway.supervise import Backoff
from gateway.uplink import Uplink
from gateway.uplink.commands import TakeCommand

__all__ = ["Outlet"]

_STEADY_S = 5.0


class Outlet:
    """Runs the uplink that the configuration asks for.

    Args:
        spool: where rows wait.
        crew: runs the uplink's task.
        metrics: for the uplink.
        now_ns: UTC nanoseconds since 1970.
    """

    def __init__(self, spool: Spool, *, crew: Crew, metrics: Metrics, now_ns: Callable[[], int]) -> None:
        self.on_command: TakeCommand | None = None
        """Takes the command messages of each uplink that is started from now on; None: none are subscribed to."""
        self._spool = spool
        spool.on_late(self.came_late)
        self._crew = crew
        self._metrics = metrics
        self._now_ns = now_ns
        self._uplink: Uplink | None = None
        self._task: Task | None = None

    def offer(self, seq: int, device: str, batch: Batch) -> None:
        """Hands a batch that was just committed to the uplink, where there is one. Never blocks."""
        if self._uplink is not None:
            self._uplink.offer(seq, device, batch)

    def offer_early(self, seq: int, device: str, batch: Batch) -> bool:
        """Offers a batch that is not committed yet; whether the uplink sends it at once. Never blocks."""
        return self._uplink is not None and self._uplink.offer_early(seq, device, batch)

    def reply(self, device: str, tag: str, payload: bytes) -> None:
        """Hands the reply to a command to the uplink. Never blocks; lost where there is none."""
        if self._uplink is not None:
            self._uplink.reply(device, tag, payload)

    def look_again(self, seq: int) -> None:
        """Says that rows up to this number may have been committed and never offered."""
        if self._uplink is not None:
            self._uplink.look_again(seq)

    def came_late(self, first: int, last: int) -> None:
        """Says that rows of these numbers came in below those that were read."""
        if self._uplink is not None:
            self._uplink.came_late(first, last)

    @property
    def configured(self) -> bool:
        """Whether there is a broker to send to."""
        return self._uplink is not None

    @property
    def status(self) -> dict[str, Any]:
        """What the control socket shows of it."""
        return {"state": "no broker is configured"} if self._uplink is None else self._uplink.status

    def start(self, config: Config) -> None:
        """Begins to send, where the configuration names a broker."""
        if config.uplink is None:
            return
        self._uplink = Uplink(
            config.uplink,
            config.offline,
            gateway_id=config.gateway.id,
            spool=self._spool,
            points=self._spool.points,
            metrics=self._metrics,
            now_ns=self._now_ns,
            live=self._crew.state_of("uplink", up="connected", down="not connected"),
            on_command=self.on_command,
        )
        backoff = Backoff(most_s=config.offline.sync_interval, steady_s=_STEADY_S)
        self._task = self._crew.start("uplink", self._uplink.run, backoff)

    async def stop(self) -> None:
        """Finishes what is in flight and disconnects."""
        task, self._task = self._task, None
        if task is not None:
            await end(task)
        self._uplink = None

    async def change(self, config: Config) -> None:
        """Sends as this configuration says from now on."""
        await self.stop()
        if config.uplink is None:
            self._crew.gone("uplink")
        self.start(config)
