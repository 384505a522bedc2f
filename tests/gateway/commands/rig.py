"""A command path on a real spool, with a device that records what reaches it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.batch import Kind, Reading
from gateway.commands import Commands, Target
from gateway.config.models import CommandSettings
from gateway.metrics import Metrics
from gateway.policy import BuiltinPolicy, Decision, Device, Policy, Request
from gateway.spool import Audit, Spool
from tests.gateway.spool.harness import open_spool
from tests.waiting import until

__all__ = ["NOW_MS", "Allow", "Deny", "FakeDevice", "Rig", "payload", "until"]

NOW_MS = 1_763_900_000_000


def payload(command_id: str = "a1", value: Any = 5, **more: Any) -> bytes:
    return json.dumps({"id": command_id, "value": value, **more}).encode()


class Allow:
    """Allows everything, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def decide(self, request: Request) -> Decision:
        self.asked.append(request)
        return Decision(True, "everything is allowed")


class Deny:
    def decide(self, request: Request) -> Decision:
        return Decision(False, f"{request.user.name or 'nobody'} may not")


class FakeDevice:
    """What a device's adapter offers to the command path; a test may wait or fail `before` and `after` the write."""

    def __init__(self) -> None:
        self.written: list[tuple[str, Any]] = []
        self.before: Callable[[], Awaitable[None]] = self._nothing
        self.after: Callable[[], Awaitable[None]] = self._nothing
        self.read_back: Callable[[Any], Reading] = lambda value: Reading(NOW_MS * 1_000_000, value, 1, 0, Kind.F64)

    async def _nothing(self) -> None:
        await asyncio.sleep(0)

    async def write(self, tag: str, value: Any) -> Reading:
        await self.before()
        self.written.append((tag, value))
        await self.after()
        return self.read_back(value)


class Rig:
    """A gateway's command path. `running` opens it on a file; a second one on the same file is a restart."""

    def __init__(self, spool: Spool, policy: Policy, device: FakeDevice, settings: dict[str, Any]) -> None:
        self.now_ms = float(NOW_MS)
        self.device = device
        self.metrics = Metrics()
        self.sent: list[tuple[str, str, dict[str, Any]]] = []
        self.raw: list[bytes] = []
        chosen = CommandSettings(**settings)
        self.audit: Audit = spool.audit(max_rows=chosen.audit_rows)
        self.targets = {
            "press": Target(
                device=Device(name="press", protocol="modbus"), tags={"force", "speed"}, write=self.device.write
            ),
            "meter": Target(device=Device(name="meter"), tags={"volts"}, write=None, why_not="it is only read"),
        }
        self.commands = Commands(
            chosen,
            gateway="gw",
            policy=policy,
            audit=self.audit,
            target=self.targets.get,
            send=self._send,
            metrics=self.metrics,
            now_ns=lambda: int(self.now_ms * 1_000_000),
            audit_retry_s=0.001,
        )
        self.task: asyncio.Task[None] | None = None

    def _send(self, device: str, tag: str, payload_: bytes) -> None:
        self.raw.append(payload_)
        self.sent.append((device, tag, json.loads(payload_)))

    @property
    def replies(self) -> list[dict[str, Any]]:
        return [reply for _, _, reply in self.sent]

    def handle(self, payload_: bytes | None = None, *, device: str = "press", tag: str = "force", **more: Any) -> None:
        self.commands.handle(device, tag, payload() if payload_ is None else payload_, **more)

    async def ask(self, payload_: bytes | None = None, **more: Any) -> dict[str, Any]:
        """One command, and its reply."""
        before = len(self.sent)
        self.handle(payload_, **more)
        await until(lambda: len(self.sent) > before)
        return self.replies[-1]

    def count(self, status: str) -> float:
        return self.metrics.snapshot()["tidegate_commands_total"].get(status, 0.0)

    async def crash(self) -> None:
        """Ends the path at once, in the middle of whatever it does."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    @classmethod
    @asynccontextmanager
    async def running(
        cls, path: Path, *, policy: Policy | None = None, device: FakeDevice | None = None, **settings: Any
    ) -> AsyncIterator[Rig]:
        spool = await open_spool(path)
        committing = asyncio.create_task(spool.run(), name="spool")
        rig = cls(spool, policy or BuiltinPolicy(["write"]), device or FakeDevice(), settings)
        rig.task = asyncio.create_task(rig.commands.run(), name="commands")
        try:
            yield rig
        finally:
            await rig.crash()
            await spool.close()
            await committing
