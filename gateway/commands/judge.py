"""What is to be done about a command: the entry it makes in the audit, before anything is done. No I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import msgspec

from gateway.batch import Reading, Value, is_bad
from gateway.commands.payload import Command
from gateway.commands.target import Target
from gateway.commands.timing import too_late
from gateway.policy import Policy, Request
from gateway.spool import AuditEntry

__all__ = ["Asked", "failed", "is_the_same", "judge", "written"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A command as it came.

    Attributes:
        device: the device in its topic.
        tag: the tag in its topic.
        command: what its payload says.
        retained: whether the broker had kept it.
        deadline_ns: after this it is too late, UTC ns since 1970.
    """

    device: str
    tag: str
    command: Command
    retained: bool
    deadline_ns: int


def judge(asked: Asked, target: Target | None, *, policy: Policy, gateway: str, now_ns: int) -> AuditEntry:
    """The entry for a command: `in progress` where it is to be carried out, else already with its result.

    Args:
        asked: the command.
        target: the device it is for, where there is such a device.
        policy: who decides. Asked last, so its yes stands for a write that is really tried.
        gateway: id of this gateway.
        now_ns: UTC nanoseconds since 1970.
    """
    command = asked.command
    entry = AuditEntry(
        id=command.id,
        at_ns=now_ns,
        user=command.user.name,
        role=command.user.role,
        action="write",
        device=asked.device,
        tag=asked.tag,
        value=command.value_json,
        allowed=False,
        reason="the policy was not asked",
        status="in progress",
    )
    why = _mistake(asked, target, now_ns)
    if why or target is None:
        return failed(entry, why, at_ns=now_ns)
    decision = policy.decide(
        Request(
            action="write",
            gateway=gateway,
            user=command.user,
            device=target.device,
            tag=asked.tag,
            value=command.value,
        )
    )
    if not decision.allowed:
        return replace(entry, status="denied", reason=decision.reason, finished_ns=now_ns)
    return replace(entry, allowed=True, reason=decision.reason)


def _mistake(asked: Asked, target: Target | None, now_ns: int) -> str:
    if asked.retained:
        return "a retained message is not carried out; publish commands without the retain flag"
    late = too_late(asked.deadline_ns, now_ns)
    if late:
        return late
    if target is None:
        return f'this gateway has no device "{asked.device}"'
    if asked.tag not in target.tags:
        return f'device "{asked.device}" has no tag "{asked.tag}"'
    return f'device "{asked.device}": {target.why_not}' if target.write is None else ""


def is_the_same(entry: AuditEntry, asked: Asked) -> bool:
    """Whether a command asks for what an entry of its id says; when it expires does not matter."""
    command = asked.command
    return (entry.action, entry.device, entry.tag, entry.value, entry.user, entry.role) == (
        "write",
        asked.device,
        asked.tag,
        command.value_json,
        command.user.name,
        command.user.role,
    )


def failed(entry: AuditEntry, why: str, *, at_ns: int) -> AuditEntry:
    """The entry of a command that failed."""
    return replace(entry, status="failed", result=why, finished_ns=at_ns)


def written(entry: AuditEntry, asked: Asked, reading: Reading, *, at_ns: int) -> AuditEntry:
    """The entry of a command that the device took, with what the device shows now."""
    if is_bad(reading.status):
        note = f"written, but the device shows no good value after it (status 0x{reading.status:04X})"
    elif _differs(asked.command.value, reading.value):
        note = "written, but the device shows another value after it"
    else:
        note = ""
    read_back = msgspec.json.encode(reading.value).decode()
    return replace(entry, status="accepted", result=note, read_back=read_back, finished_ns=at_ns)


def _differs(asked: Value, shown: Value) -> bool:
    if isinstance(asked, int | float) and isinstance(shown, int | float):
        # Within what a 32-bit float keeps: 0.1 comes back as 0.10000000149.
        return not math.isclose(asked, shown, rel_tol=1e-6)
    return asked != shown
