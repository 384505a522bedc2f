"""The way of a command: message, line of its device, audit, write, audit, reply."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

from gateway.commands.judge import Asked, failed, is_the_same, judge, written
from gateway.commands.payload import BadCommand, Command, parse
from gateway.commands.reply import UNKNOWN_RESULT, reply
from gateway.commands.target import Target
from gateway.commands.timing import deadline_ns
from gateway.config.models import CommandSettings
from gateway.errors import SpoolError, TidegateError
from gateway.metrics import Metrics
from gateway.policy import Policy
from gateway.spool import Audit, AuditEntry

__all__ = ["Commands", "Send"]

_NO_DEVICE: Final = ""
"""The line of all commands for devices that do not exist: a name cannot be empty, and made-up names take no memory."""


Send: TypeAlias = Callable[[str, str, bytes], None]
"""Sends a reply: device, tag, payload. Never blocks; may lose it, for a repeated command is given it again."""


class Commands:
    """Takes command messages and carries them out. `run` must run.

    Args:
        settings: limits.
        gateway: id of this gateway.
        policy: who decides.
        audit: where decisions and results are recorded.
        target: the device of this name as it runs now; None where there is none.
        send: sends a reply.
        metrics: `commands` is counted.
        now_ns: UTC nanoseconds since 1970.
        audit_retry_s: pause until a result that the disk refused is recorded again.
    """

    def __init__(
        self,
        settings: CommandSettings,
        *,
        gateway: str,
        policy: Policy,
        audit: Audit,
        target: Callable[[str], Target | None],
        send: Send,
        metrics: Metrics,
        now_ns: Callable[[], int] = time.time_ns,
        audit_retry_s: float = 1.0,
    ) -> None:
        self.policy = policy
        """May be replaced while commands run; each decision is made by the one that stands here then."""
        self._settings = settings
        self._gateway = gateway
        self._audit = audit
        self._target = target
        self._send = send
        self._metrics = metrics
        self._now_ns = now_ns
        self._audit_retry_s = audit_retry_s
        self._lines: dict[str, deque[Asked]] = {}
        self._under_way: dict[str, Asked] = {}
        self._wake = asyncio.Event()

    def handle(
        self, device: str, tag: str, payload: bytes, *, retained: bool = False, expiry_s: int | None = None
    ) -> None:
        """Takes one message. Never blocks and never raises for what is in it.

        Args:
            device: the device in its topic.
            tag: the tag in its topic.
            payload: as it came.
            retained: whether the broker had kept it.
            expiry_s: what is left of its message expiry, in seconds, where it has one.
        """
        try:
            command = parse(payload)
        except BadCommand as bad:
            if bad.command_id is None:
                self._count("unreadable")
            else:
                self._refuse(device, tag, bad.command_id, str(bad))
            return
        deadline = deadline_ns(
            command.expires_ms,
            received_ns=self._now_ns(),
            expiry_s=expiry_s,
            max_age_s=self._settings.max_age_s,
        )
        self._enter(Asked(device=device, tag=tag, command=command, retained=retained, deadline_ns=deadline))

    async def run(self) -> None:
        """Carries out commands until cancelled. What an earlier run left open is answered as failed first.

        Raises:
            SpoolError: the audit cannot be read or written.
        """
        for entry in await self._audit.give_up_open(at_ns=self._now_ns(), result=UNKNOWN_RESULT):
            if entry.action == "write":
                self._answer(entry)
        working: set[str] = set()

        async def work(name: str) -> None:
            line = self._lines[name]
            try:
                while line:
                    await self._serve(line.popleft())
            finally:
                working.discard(name)

        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                for name in [name for name, line in self._lines.items() if line and name not in working]:
                    working.add(name)
                    group.create_task(work(name), name=f"commands {name}")
                await self._wake.wait()

    def _enter(self, asked: Asked) -> None:
        command = asked.command
        earlier = self._under_way.get(command.id)
        if earlier is not None:
            if (earlier.device, earlier.tag, _content(earlier.command)) == (asked.device, asked.tag, _content(command)):
                self._count("repeated")  # The one reply that is due answers both.
            else:
                self._refuse(asked.device, asked.tag, command.id, _used_before(command.id))
            return
        line = self._lines.setdefault(_NO_DEVICE if self._target(asked.device) is None else asked.device, deque())
        if len(line) >= self._settings.max_waiting:
            why = f"{len(line)} commands wait for this device already; this message was not taken, send it again later"
            self._refuse(asked.device, asked.tag, command.id, why)
            return
        self._under_way[command.id] = asked
        line.append(asked)
        self._wake.set()

    async def _serve(self, asked: Asked) -> None:
        try:
            await self._carry_out(asked)
        finally:
            del self._under_way[asked.command.id]

    async def _carry_out(self, asked: Asked) -> None:
        target = self._target(asked.device)
        entry = judge(asked, target, policy=self.policy, gateway=self._gateway, now_ns=self._now_ns())
        try:
            recorded = await self._audit.begin(entry)
        except SpoolError as error:
            why = f"it could not be recorded, so nothing was written: {error}"
            self._refuse(asked.device, asked.tag, asked.command.id, why)
            return
        if recorded is not None:
            self._repeat(recorded, asked)
            return
        if entry.status == "in progress":
            assert target is not None
            entry = await self._write(asked, target, entry)
            await self._finish(entry)
        self._answer(entry)

    async def _write(self, asked: Asked, target: Target, entry: AuditEntry) -> AuditEntry:
        assert entry.allowed
        assert target.write is not None
        timeout_s = self._settings.write_timeout_s
        if self._now_ns() > asked.deadline_ns:
            why = "it expired while its decision was recorded; nothing was written"
            return failed(entry, why, at_ns=self._now_ns())
        try:
            async with asyncio.timeout(timeout_s):
                reading = await target.write(asked.tag, asked.command.value)
        except TimeoutError:
            why = (
                f'device "{asked.device}" did not answer within {timeout_s:g} s; whether it took the value is not known'
            )
            return failed(entry, why, at_ns=self._now_ns())
        except TidegateError as error:
            return failed(entry, str(error), at_ns=self._now_ns())
        return written(entry, asked, reading, at_ns=self._now_ns())

    async def _finish(self, entry: AuditEntry) -> None:
        """Records a result, however long that takes: until then its device gets no other command."""
        while True:
            try:
                await self._audit.finish(entry)
            except SpoolError:
                await asyncio.sleep(self._audit_retry_s)
            else:
                return

    def _repeat(self, recorded: AuditEntry, asked: Asked) -> None:
        if is_the_same(recorded, asked):
            self._count("repeated")
            self._send(asked.device, asked.tag, reply(recorded))
        else:
            self._refuse(asked.device, asked.tag, asked.command.id, _used_before(asked.command.id))

    def _refuse(self, device: str, tag: str, command_id: str, why: str) -> None:
        """Answers a message that leaves no row: nothing was decided on it."""
        now_ns = self._now_ns()
        self._answer(
            AuditEntry(
                id=command_id,
                at_ns=now_ns,
                user="",
                role="",
                action="write",
                device=device,
                tag=tag,
                allowed=False,
                reason="",
                status="failed",
                result=why,
                finished_ns=now_ns,
            )
        )

    def _answer(self, entry: AuditEntry) -> None:
        self._count(entry.status)
        self._send(entry.device, entry.tag, reply(entry))

    def _count(self, status: str) -> None:
        self._metrics.commands.labels(status).inc()


def _content(command: Command) -> tuple[object, ...]:
    return command.value_json, command.user


def _used_before(command_id: str) -> str:
    return f'the id "{command_id}" belongs to another command; give each command an id of its own'
