"""The one retry policy. Whatever talks to the outside world runs under `supervise` and never retries by itself.

Invariants
- A component that fails, in whatever way, is counted, its state says why in words, and it is started again after a
  pause that grows, is capped, and is jittered, so that a hundred gateways do not knock at one broker together.
- The failure of one component never reaches another: this is the only place that catches `Exception`.
- A component that worked for a while starts anew at the shortest pause.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.errors import TidegateError
from gateway.health import Health, State
from gateway.metrics import Metrics

__all__ = ["Backoff", "pause_s", "supervise"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait between attempts.

    Attributes:
        first_s: pause after the first failure, in seconds.
        most_s: no pause is longer.
        factor: each pause is this many times the one before it.
        steady_s: a run that lasted this long counts as having worked: the next pause is `first_s` again.
    """

    first_s: float = 0.5
    most_s: float = 60.0
    factor: float = 2.0
    steady_s: float = 30.0


def pause_s(backoff: Backoff, failures: int, draw: float) -> float:
    """The pause after this many failures in a row.

    Args:
        backoff: the policy.
        failures: failed runs in a row, 1 or more.
        draw: a random number from 0 to 1; the pause is between half of the full pause and all of it.

    Returns:
        Seconds, never above `backoff.most_s`.
    """
    full_s = min(backoff.most_s, backoff.first_s * backoff.factor ** min(failures - 1, 64))
    return full_s * (0.5 + 0.5 * draw)


async def supervise(
    name: str,
    run: Callable[[], Awaitable[None]],
    *,
    health: Health,
    metrics: Metrics,
    backoff: Backoff = Backoff(),
    draw: Callable[[], float] = random.random,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Runs a component again and again until cancelled.

    Args:
        name: what the component is called in states, logs and metrics, such as `device press`.
        run: one life of the component. It may set the component's state itself (`health.set`) once it works.
        health: where the component's state is kept.
        metrics: `restarts` is counted by component.
        backoff: the pauses.
        draw: source of jitter, from 0 to 1.
        monotonic: seconds, for the length of a run.
        sleep: waits so many seconds.
    """
    failures = 0
    restarts = metrics.restarts.labels(name)
    health.set(name, State.STARTING, "starting")
    while True:
        began_s = monotonic()
        try:
            await run()
            why = "ended by itself"
        except asyncio.CancelledError:
            if _asked_to_stop():
                raise
            why = "a library cancelled it from within"
        except TidegateError as error:
            why = str(error)
        except Exception as error:
            # A defect of ours or of a library must cost this component only. The traceback goes to the log.
            log.exception("%s failed in an unexpected way", name)
            why = f"unexpected {type(error).__name__}: {error}"
        if _asked_to_stop():
            # What ran has lost the request on its way: wait_for and TaskGroup of Python 3.11 can.
            raise asyncio.CancelledError
        failures = 1 if monotonic() - began_s >= backoff.steady_s else failures + 1
        restarts.inc()
        wait_s = pause_s(backoff, failures, draw())
        health.set(name, State.WAITING, f"{why} (next attempt in {wait_s:.1f} s)")
        await sleep(wait_s)
        # What went wrong stays to be read while the next attempt runs, which may take seconds.
        health.set(name, State.WAITING, f"{why} (next attempt: now)")


def _asked_to_stop() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
