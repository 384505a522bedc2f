"""Feeds one target, and says what broke it."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from types import FrameType

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import Target

LONGEST_S = 5.0
"""One input takes microseconds; what computes for this long hangs, and so does what waits for twelve times as long."""


class Hang(Exception):
    """An input did not come back."""


class Broken(Exception):
    """An input broke a target; the text says which, and how to see it again."""


def run(target: Target, *, inputs: int, seed: int) -> None:
    """Feeds a target so many inputs. The same seed gives the same ones.

    Raises:
        Broken: one of them did what it must not.
    """
    for number in range(inputs):
        once(target, seed=seed, number=number)


def once(target: Target, *, seed: int, number: int) -> None:
    """Feeds a target its input of this number."""
    draw = Random(f"{target.name} {seed} {number}")
    data = mutated(target.captures, draw)
    try:
        with _watched():
            target.feed(data, draw)
    except Exception as error:  # noqa: BLE001 - whatever a decoder raises is what is looked for
        again = f"python -m tests.fuzz {target.name} --seed {seed} --only {number}"
        what = "".join(traceback.format_exception(error))
        raise Broken(f"{target.name}, input {number} ({data.hex()}):\n{what}\nsee it again: {again}") from None


@contextmanager
def _watched() -> Iterator[None]:
    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise Hang(f"no end after {LONGEST_S:g} s of work")

    # The process's own time, since a busy machine may stand still for seconds; and the wall's, for what only waits.
    watches = [
        (signal.ITIMER_PROF, signal.SIGPROF, LONGEST_S),
        (signal.ITIMER_REAL, signal.SIGALRM, 12 * LONGEST_S),
    ]
    before = [signal.signal(number, ring) for _, number, _ in watches]
    for timer, _, longest_s in watches:
        signal.setitimer(timer, longest_s)
    try:
        yield
    finally:
        for (timer, number, _), handler in zip(watches, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)
