"""Child processes that never outlive us.

Owns how the demo starts and ends other programs. Each child runs in a session of its own, so that Ctrl-C reaches us
alone and we end the children in order; on Linux the kernel kills it when we die without a chance to do so. A child is
only ever ended by the process object we hold, never by name.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from gateway.systemd import VARIABLES

__all__ = ["end", "kill", "last_lines", "python_command", "spawn"]

_PR_SET_PDEATHSIG: Final = 1
GRACE_S: Final = 10.0


def _die_with_parent() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    # Looked up before the fork: the child may only make the call, not import or allocate much.
    prctl = ctypes.CDLL(None).prctl

    def ask_the_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return ask_the_kernel


def python_command(module: str, *arguments: str) -> list[str]:
    """The command that runs one of our modules in this very interpreter."""
    return [sys.executable, "-m", module, *arguments]


def _inherited() -> dict[str, str]:
    """Our environment, without the line to a service manager that waits for us and not for our children."""
    return {name: value for name, value in os.environ.items() if name not in VARIABLES}


async def spawn(
    command: Sequence[str], *, log: Path, pipes: bool = False, environment: Mapping[str, str] | None = None
) -> asyncio.subprocess.Process:
    """Starts a child.

    Args:
        command: program and arguments.
        log: file its standard error is appended to; its standard output too unless `pipes`.
        pipes: connect its standard input and output to us.
        environment: variables on top of ours.

    Raises:
        OSError: the program cannot be started.
    """
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE if pipes else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if pipes else output,
            stderr=output,
            env={**_inherited(), **(environment or {})},
            start_new_session=True,
            preexec_fn=_die_with_parent(),
        )


async def end(process: asyncio.subprocess.Process, *, grace_s: float = GRACE_S) -> int:
    """Asks the child to stop (SIGTERM), kills it when it has not within `grace_s`; returns its exit code."""
    if process.returncode is None:
        _signal(process, signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                return await process.wait()
        except TimeoutError:
            pass
        finally:
            _signal(process, signal.SIGKILL)
    return await process.wait()


async def kill(process: asyncio.subprocess.Process) -> int:
    """Kills the child without warning (SIGKILL) and waits until it is gone."""
    _signal(process, signal.SIGKILL)
    return await process.wait()


def last_lines(log: Path, count: int = 5) -> str:
    """The end of a child's log, in one line."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return " | ".join(lines[-count:]) or "(empty)"


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    if process.returncode is None:
        try:
            process.send_signal(number)
        except ProcessLookupError:
            return
