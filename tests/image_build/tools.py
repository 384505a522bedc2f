"""Programs of the tools' folder (tools.sh), in a mount namespace of their own. Wants root and Linux.

Nothing of the machine is mounted over or left behind: process 1 of the namespace is ours, and all others end with it,
also when we are killed.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Final

import pytest

from gateway.demo import child

__all__ = ["ROOT", "Tools"]

_HERE: Final = Path(__file__).parent
ROOT: Final = _HERE.parents[1] / "build" / "tools"
"""Where `make tools` puts them."""


class Tools:
    """Runs the tools, as an asynchronous context. They see the machine's temporary files, processes and network.

    Attributes:
        environment: all that a tool gets of it.
    """

    def __init__(self) -> None:
        self.environment = {"PATH": "/usr/sbin:/usr/bin", "HOME": "/root", "PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}
        self._holder: asyncio.subprocess.Process | None = None
        self._left: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> Tools:
        log = Path(tempfile.gettempdir()) / f"tidegate-tools-{os.getpid()}.log"
        self._holder = holder = await child.spawn(
            [
                *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"),
                *("sh", str(_HERE / "hold.sh"), str(ROOT), tempfile.gettempdir()),
            ],
            log=log,
            pipes=True,
        )
        assert holder.stdout is not None
        line = await holder.stdout.readline()
        said = child.last_lines(log)
        log.unlink()
        if line != b"ready\n":
            await child.kill(holder)
            pytest.fail(f"the tools' root cannot be mounted: {said}")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._holder is not None
        assert self._holder.stdin is not None
        self._holder.stdin.close()  # process 1 ends, and the kernel ends all others
        async with asyncio.timeout(30):
            await asyncio.gather(*(process.wait() for process in (self._holder, *self._left)))

    async def __call__(self, *command: str) -> str:
        """Runs one command and gives its standard output; fails the check when it fails."""
        status, out, err = await self.attempt(*command)
        assert status == 0, f"{' '.join(command)}: {out.decode()}{err.decode()}"
        return out.decode()

    async def pss_bytes(self, pid: int) -> int:
        """Memory of a process, by the number it has in here; what it shares with others counts in part."""
        rollup = await self("cat", f"/proc/{pid}/smaps_rollup")
        [line] = [line for line in rollup.splitlines() if line.startswith("Pss:")]
        return int(line.split()[1]) * 1024

    async def attempt(self, *command: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        """Runs one command; gives its exit status, standard output and standard error."""
        assert self._holder is not None
        process = await asyncio.create_subprocess_exec(
            "nsenter",
            f"--mount=/proc/{self._holder.pid}/ns/mnt",
            f"--pid=/proc/{self._holder.pid}/ns/pid_for_children",
            *command,
            env=self.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await process.communicate(stdin)
        finally:
            if process.returncode is None:
                # nsenter has a child in the namespace, which has our pipes and outlives it.
                process.kill()
                self._left.append(process)
        assert process.returncode is not None
        return process.returncode, out, err
