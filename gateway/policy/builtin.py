"""The policy of a gateway that has no policy file: a list of actions that are allowed to everybody."""

from __future__ import annotations

from collections.abc import Collection

from gateway.config.models import Action
from gateway.policy.contract import Decision, Request

__all__ = ["BuiltinPolicy"]

_DOING = {
    "collect": "Reading devices",
    "write": "Writing to devices",
    "configure": "Changing the configuration",
}


class BuiltinPolicy:
    """Allows the listed actions and denies all others.

    Args:
        allow: `[policy] allow`.
    """

    def __init__(self, allow: Collection[Action]) -> None:
        self._allow = frozenset(allow)

    def decide(self, request: Request) -> Decision:
        """The decision on this request; only its action counts."""
        action = request.action
        if action in self._allow:
            return Decision(True, "[policy] allow lists it")
        return Decision(
            False,
            f'{_DOING[action]} is not allowed here: add "{action}" to [policy] allow, '
            "or give a [policy] file that allows it",
        )
