"""Whether a device may be read at all: asked once for each device, before its adapter is started."""

from __future__ import annotations

from gateway.config.models import DeviceSettings
from gateway.policy.contract import Device, Policy, Request, User

__all__ = ["collect_refusal"]


def collect_refusal(policy: Policy, device: DeviceSettings, *, gateway: str, role: str) -> str | None:
    """Why this device must not be read, as its state in words; None where it may be.

    Args:
        policy: who decides.
        device: the device's settings.
        gateway: id of this gateway; it is the user that reads.
        role: `[policy] role`, the gateway's role.
    """
    user = User(name=gateway, role=role)
    decision = policy.decide(Request(action="collect", gateway=gateway, user=user, device=Device.of(device)))
    return None if decision.allowed else f"not read: the policy denies it ({decision.reason})"
