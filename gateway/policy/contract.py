"""What a policy is asked and what it answers. Pure data; the input document of OPA is made here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from gateway.config.models import Action, DeviceSettings

__all__ = ["Decision", "Device", "Policy", "Request", "User", "document"]


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who asks: as the sender says, which nobody has checked."""

    name: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The device that is asked about.

    Attributes:
        name: its name in the configuration.
        kind: what the policy knows it as; `input.device.type`.
        protocol: what it speaks, such as modbus.
    """

    name: str
    kind: str = "sensor"
    protocol: str = ""

    @classmethod
    def of(cls, settings: DeviceSettings) -> Device:
        """The device of these settings."""
        return cls(name=settings.name, kind=settings.kind, protocol=settings.type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One question. What does not belong to the action is None, and is left out of the input document.

    Attributes:
        action: collect, write or configure.
        gateway: id of this gateway.
        user: who asks.
        device: which device is read or written to.
        tag: which of its tags is written.
        value: what is written there.
    """

    action: Action
    gateway: str
    user: User
    device: Device | None = None
    tag: str | None = None
    value: bool | int | float | str | None = None


class Decision(NamedTuple):
    """The answer, and why."""

    allowed: bool
    reason: str


class Policy(Protocol):
    """Decides. Takes about a millisecond at most, so it is called on the event loop."""

    def decide(self, request: Request) -> Decision:
        """The decision on this request. Never raises: what cannot be decided is denied."""


def document(request: Request) -> dict[str, Any]:
    """The input document of a request, as a policy file sees it under `input`."""
    made: dict[str, Any] = {
        "action": request.action,
        "gateway": request.gateway,
        "user": {"name": request.user.name, "role": request.user.role},
    }
    if request.device is not None:
        device = request.device
        made["device"] = {"name": device.name, "type": device.kind, "protocol": device.protocol}
    if request.tag is not None:
        made["tag"] = request.tag
    if request.value is not None:
        made["value"] = request.value
    return made
