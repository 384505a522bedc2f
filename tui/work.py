"""Starts what runs beside a screen."""

from __future__ import annotations

from collections.abc import Callable

from textual.dom import DOMNode

__all__ = ["start"]


def start(owner: DOMNode, call: Callable[[], object], *, group: str, exclusive: bool = True) -> None:
    """Runs an asynchronous call in a worker of this screen, which ends with it.

    Args:
        owner: the screen or the application.
        call: what to run.
        group: calls of one group make way for each other.
        exclusive: whether a newer call takes the place of one that runs.
    """
    owner.run_worker(call, group=group, exclusive=exclusive)
