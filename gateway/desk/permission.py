"""Whether the person at the control socket may change the configuration: asked of the policy, kept in the audit."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from gateway.commands import configured, may_configure
from gateway.errors import SpoolError
from gateway.policy import Policy, User
from gateway.spool import Audit, AuditEntry

__all__ = ["AuditedPermit", "Permission"]

_WHO = "control socket"


class Permission:
    """One answer of the policy, and what came of it.

    Args:
        audit: where it is recorded.
        entry: the answer as it was recorded.
        now_ns: UTC nanoseconds since 1970.
    """

    def __init__(self, audit: Audit, entry: AuditEntry, *, now_ns: Callable[[], int]) -> None:
        self.allowed = entry.allowed
        self.reason = entry.reason
        self._audit = audit
        self._entry = entry
        self._now_ns = now_ns

    async def used(self, failure: str) -> None:
        """Records what came of it.

        Args:
            failure: why the change was not made; empty where it was.
        """
        # The change is made, or is not; a disk that refuses its record does not alter that. The row stays open, and
        # the next start closes it as unknown.
        with contextlib.suppress(SpoolError):
            await configured(self._audit, self._entry, failure=failure, now_ns=self._now_ns())


class AuditedPermit:
    """Asks the policy that the gateway runs with, never the one in a draft.

    Args:
        policy: who decides.
        audit: where each answer is recorded before anything is changed.
        gateway_id: name of this gateway.
        role: `[policy] role`, the role of whoever uses the socket.
        now_ns: UTC nanoseconds since 1970.
    """

    def __init__(self, policy: Policy, audit: Audit, *, gateway_id: str, role: str, now_ns: Callable[[], int]) -> None:
        self._policy = policy
        self._audit = audit
        self._gateway_id = gateway_id
        self._user = User(name=_WHO, role=role)
        self._now_ns = now_ns

    async def __call__(self, change: str) -> Permission:
        """The answer on this change.

        Args:
            change: what is to be changed, in words.

        Raises:
            SpoolError: it could not be recorded; nothing may be changed.
        """
        entry = await may_configure(
            self._policy,
            self._audit,
            user=self._user,
            gateway=self._gateway_id,
            change=change,
            now_ns=self._now_ns(),
        )
        return Permission(self._audit, entry, now_ns=self._now_ns)
