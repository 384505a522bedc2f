"""Tasks that end together."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

__all__ = ["until_one_ends"]


async def until_one_ends(room: str, **works: Coroutine[Any, Any, object]) -> None:
    """Runs these together until the first ends; then ends the others, and raises what the first raised.

    Several may have failed of one cause: the order of `works` says which one tells it best.

    Args:
        room: whose tasks these are, for their names.
        works: what is run, by name.
    """
    tasks = [asyncio.create_task(work, name=f"{room} {name}") for name, work in works.items()]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        next(task for task in tasks if task in done).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
