"""Small helpers of the story: waiting with a bound, and tasks that end with their block."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

from gateway.errors import TidegateError

__all__ = ["running", "until"]

_LOOK_S = 0.1


async def until(condition: Callable[[], object], *, within_s: float, otherwise: str) -> None:
    """Looks until the condition holds.

    Raises:
        TidegateError: it does not within `within_s`; the text is `otherwise`.
    """
    deadline_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise TidegateError(f"{otherwise} within {within_s:.0f} s")
        await asyncio.sleep(_LOOK_S)


@asynccontextmanager
async def running(work: Coroutine[object, object, None], *, name: str) -> AsyncIterator[asyncio.Task[None]]:
    """Runs the work beside the block, and ends it with the block.

    Not a TaskGroup: that would wrap the block's own error into a group, and ours has to reach the person as its text.

    Raises:
        Exception: what the work itself failed with.
    """
    task = asyncio.create_task(work, name=name)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
