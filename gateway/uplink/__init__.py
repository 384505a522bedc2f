"""The uplink: publishes what the spool holds, live first, and acknowledges it to the spool."""

from __future__ import annotations

from gateway.uplink.uplink import Uplink

__all__ = ["Uplink"]
