"""Waiting for a condition, with a generous bound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["until"]


async def until(condition: Callable[[], object], *, within_s: float = 30.0) -> None:
    """Returns once the condition holds; TimeoutError when it never does."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)
