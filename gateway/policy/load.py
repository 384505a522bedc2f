"""From the section `[policy]` to a policy, and what is wrong with the section."""

from __future__ import annotations

from pathlib import Path

from gateway.config.models import PolicySettings
from gateway.errors import ConfigError, Problem
from gateway.policy.builtin import BuiltinPolicy
from gateway.policy.contract import Policy

__all__ = ["load_policy", "policy_problems"]

_DEFAULT_ALLOW = PolicySettings().allow


def load_policy(settings: PolicySettings) -> Policy:
    """The policy that the section asks for. A file is read and compiled now, and not looked at again.

    Raises:
        ConfigError: the file cannot be used; its source is the file, and each problem names the line.
    """
    if settings.file is None:
        return BuiltinPolicy(settings.allow)
    try:
        # Here and not above: regopy is an extra, and takes 14 MB of memory.
        from gateway.policy.rego import RegoPolicy
    except (ImportError, OSError) as error:  # OSError: a shared library that its own needs (Debian: libatomic1)
        what = f"regopy cannot be loaded ({error}); install the extra tidegate[policy] and what that asks for"
        raise ConfigError(settings.file, [Problem("", what)]) from None
    return RegoPolicy.load(Path(settings.file), query=settings.query)


def policy_problems(settings: PolicySettings) -> list[Problem]:
    """What is wrong with the section `[policy]` of a configuration, by key path."""
    if settings.file is None:
        return []
    problems = []
    if settings.allow != _DEFAULT_ALLOW:
        problems.append(
            Problem("policy.allow", "this key does nothing where a policy file decides; remove one of them")
        )
    try:
        load_policy(settings)
    except ConfigError as error:
        problems += [
            Problem(
                "policy.query" if problem.where == "query" else "policy.file",
                ", ".join(part for part in (error.source, "" if problem.where == "query" else problem.where) if part)
                + f": {problem.what}",
            )
            for problem in error.problems
        ]
    return problems
