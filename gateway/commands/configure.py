"""The other thing that a policy decides on and the audit keeps: a change of the configuration.

entry = await may_configure(policy, audit, user=…, gateway=…, change="devices: press added", now_ns=now_ns())
if not entry.allowed: refuse, with entry.reason
… apply …
await configured(audit, entry, failure="" or why it could not be applied, now_ns=now_ns())
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from gateway.policy import Policy, Request, User
from gateway.spool import Audit, AuditEntry

__all__ = ["configured", "may_configure"]


async def may_configure(
    policy: Policy, audit: Audit, *, user: User, gateway: str, change: str, now_ns: int
) -> AuditEntry:
    """Asks the policy whether the configuration may be changed, and records its answer.

    Args:
        policy: who decides; the one that stands, not the one in the draft.
        audit: where it is recorded, before anything is changed.
        user: who asks.
        gateway: id of this gateway.
        change: what is to be changed, in words.
        now_ns: UTC nanoseconds since 1970.

    Returns:
        The entry; `allowed` and `reason` are the answer. `configured` must follow where it is allowed.

    Raises:
        SpoolError: it could not be recorded; nothing may be changed.
    """
    decision = policy.decide(Request(action="configure", gateway=gateway, user=user))
    entry = AuditEntry(
        # The space keeps it apart from the ids of commands, which have none.
        id=f"configure {now_ns}",
        at_ns=now_ns,
        user=user.name,
        role=user.role,
        action="configure",
        value=msgspec.json.encode(change).decode(),
        allowed=decision.allowed,
        reason=decision.reason,
        status="in progress" if decision.allowed else "denied",
        finished_ns=None if decision.allowed else now_ns,
    )
    await audit.begin(entry)
    return entry


async def configured(audit: Audit, entry: AuditEntry, *, failure: str, now_ns: int) -> None:
    """Records what came of a change.

    Args:
        audit: the same as before.
        entry: what `may_configure` gave.
        failure: why it was not made; empty where it was.
        now_ns: UTC nanoseconds since 1970.

    Raises:
        SpoolError: the disk refuses; it may be called again.
    """
    await audit.finish(replace(entry, status="failed" if failure else "accepted", result=failure, finished_ns=now_ns))
