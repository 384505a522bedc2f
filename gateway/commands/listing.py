"""`tidegate audit`: the audit as a page for people, or as JSON."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict

import msgspec

from gateway.spool import AuditEntry

__all__ = ["audit_json", "audit_text"]


def audit_text(entries: Sequence[AuditEntry]) -> str:
    """Two lines an entry: when, what came of it, who asked for what; then why."""
    return "\n".join(_lines(entry) for entry in entries) or "nothing has been asked for yet"


def audit_json(entries: Sequence[AuditEntry]) -> str:
    """A JSON list; `value` and `read_back` are JSON text, times are UTC ns since 1970."""
    return msgspec.json.format(msgspec.json.encode([asdict(entry) for entry in entries])).decode()


def _lines(entry: AuditEntry) -> str:
    at = dt.datetime.fromtimestamp(entry.at_ns // 1_000_000_000, tz=dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    who = f"{entry.user or 'somebody'} ({entry.role or 'no role'})"
    what = f"{entry.device}/{entry.tag} = {entry.value}" if entry.action == "write" else entry.value
    lines = [f"{at}  {entry.status:11}  {who}  {entry.action} {what}"]
    lines += [f"    policy: {entry.reason}"] if entry.reason else []
    lines += [f"    result: {entry.result}"] if entry.result else []
    lines += [f"    read back: {entry.read_back}"] if entry.read_back else []
    # What a sender put into a text must not steer the terminal.
    return "\n".join(
        "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line) for line in lines
    )
