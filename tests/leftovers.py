"""What an adapter has left running: the tests of "it leaves nothing behind"."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["leftovers"]

_OURS = ("/adapters/", "/asyncua/client/")


def leftovers() -> list[asyncio.Task[Any]]:
    """Tasks that run code of an adapter, or of a protocol's client. A server's own, and a test's, do not count."""
    return [
        task
        for task in asyncio.all_tasks()
        if (code := getattr(task.get_coro(), "cr_code", None)) is not None
        and "/tests/" not in code.co_filename
        and any(part in code.co_filename for part in _OURS)
    ]
