"""Whether a gateway can do its work. Pure.

It can as long as it can store what comes in. A PLC or a broker that is away is what the gateway was built for: that is
told, and changes nothing about its being ready. A configuration that cannot be used ends the process before anybody
can ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.health import State
from gateway.spool import SpoolStats

__all__ = ["Readiness", "readiness"]

_DEGRADED: Final = frozenset({State.DEGRADED, State.WAITING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """An answer to a probe.

    Attributes:
        ready: whether it can do its work.
        state: of the whole gateway: `starting`, `up`, or `degraded` where anything is.
        reasons: why it is not ready, in words.
        degraded: state of each component that does not work now.
    """

    ready: bool
    state: str
    reasons: tuple[str, ...]
    degraded: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as it stands in JSON."""
        return {
            "ready": self.ready,
            "state": self.state,
            "reasons": list(self.reasons),
            "degraded": dict(self.degraded),
        }


def readiness(*, overall: State, components: Mapping[str, State], spool: SpoolStats) -> Readiness:
    """The answer to a probe.

    Args:
        overall: state of the whole.
        components: state of each component.
        spool: whether the disk takes what comes in.
    """
    # What the disk said names paths of this machine; a probe's port is open to anybody.
    failing = spool.state == "failing"
    reasons = ("the spool does not take what comes in; `tidegate status` tells why",) if failing else ()
    return Readiness(
        ready=not reasons,
        state=State.DEGRADED if reasons else overall,
        reasons=reasons,
        degraded={name: str(state) for name, state in components.items() if state in _DEGRADED},
    )
