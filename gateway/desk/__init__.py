"""The desk: what a person at the control socket can do, beside looking at the status.

    configuring   the configuration file: read it, check a draft, apply it to the running gateway, earlier versions
    exploring     connections to look at devices with, which need not be in any file
    looking       the latest readings, and a broker on trial
    permission    the policy's word on a change, and its place in the audit
    routes        the table of calls that all of these make

It speaks plain data in both directions and knows no HTTP. What it refuses is a `TidegateError`, in words.
"""

from __future__ import annotations

from gateway.desk.configuring import ConfigDesk
from gateway.desk.exploring import Explorers
from gateway.desk.permission import AuditedPermit
from gateway.desk.routes import desk_routes

__all__ = ["AuditedPermit", "ConfigDesk", "Explorers", "desk_routes"]
