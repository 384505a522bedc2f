"""Waiting in tests: look until a condition holds, under a generous bound. Never a fixed pause, never a timing test."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

import pytest

__all__ = ["until"]


async def until(
    condition: Callable[[], object | Awaitable[object]],
    *,
    within_s: float = 30.0,
    every_s: float = 0.01,
    what: str | Callable[[], object] = "what was waited for",
) -> None:
    """Returns once the condition holds; the test fails when it never does.

    Args:
        condition: asked again and again; may be a coroutine function.
        within_s: longest wait, in seconds.
        every_s: pause between two looks, in seconds.
        what: what was waited for, or what tells how things stand instead.
    """
    try:
        async with asyncio.timeout(within_s):
            while not await _holds(condition):
                await asyncio.sleep(every_s)
    except TimeoutError:
        pytest.fail(f"not within {within_s} s: {what() if callable(what) else what}")


async def _holds(condition: Callable[[], object | Awaitable[object]]) -> object:
    answer = condition()
    return await answer if inspect.isawaitable(answer) else answer
