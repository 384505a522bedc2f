"""Policy: who may read a device, write to it, and change the configuration.

Invariants
- What is not allowed is denied: an undefined result, one that is not a boolean, an error, an action nobody thought of.
- Each denial says why, in words for whoever asked.
- `regopy` is loaded only where a policy file is configured.

It decides and does nothing else: who asks (the command path, the control socket, the wiring) acts on the answer and
records it. It does not authenticate: a user's name and role are taken as they are given.
"""

from gateway.policy.builtin import BuiltinPolicy
from gateway.policy.collect import collect_refusal
from gateway.policy.contract import Decision, Device, Policy, Request, User, document
from gateway.policy.load import load_policy, policy_problems

__all__ = [
    "BuiltinPolicy",
    "Decision",
    "Device",
    "Policy",
    "Request",
    "User",
    "collect_refusal",
    "document",
    "load_policy",
    "policy_problems",
]
