"""The reply to a command: one JSON object, made from its row in the audit. Pure.

    {"id", "device", "tag", "status": "accepted" | "denied" | "failed", "reason", "value", "ts"}

`value` is what the device showed after the write, null where nothing was read. `ts` is when the result was known, in
ms since 1970. The same row always makes the same bytes, so a repeated command gets the reply of its first message.
"""

from __future__ import annotations

import msgspec

from gateway.spool import AuditEntry

__all__ = ["UNKNOWN_RESULT", "reply"]

UNKNOWN_RESULT = (
    "the gateway stopped or failed while this was done, so what came of it is not known; "
    "look before you try again, with a new id"
)


def reply(entry: AuditEntry) -> bytes:
    """The reply that says what came of an entry."""
    known_ns = entry.at_ns if entry.finished_ns is None else entry.finished_ns
    return msgspec.json.encode(
        {
            "id": entry.id,
            "device": entry.device,
            "tag": entry.tag,
            "status": "failed" if entry.status == "in progress" else entry.status,
            "reason": UNKNOWN_RESULT if entry.status == "in progress" else entry.result or entry.reason,
            "value": msgspec.Raw(entry.read_back.encode() or b"null"),
            "ts": known_ns // 1_000_000,
        }
    )
