"""Programs of the tools' folder (tools.sh), in a mount namespace of their own. Wants root and Linux.

Nothing of the machine is mounted over or left behind: the namespace ends with the last process in it.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Final

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

    async def __aenter__(self) -> Tools:
        log = Path(tempfile.gettempdir()) / f"tidegate-tools-{os.getpid()}.log"
        self._holder = holder = await child.spawn(
            [
                *("unshare", "--mount", "--propagation", "private"),
                *("sh", str(_HERE / "hold.sh"), str(ROOT), tempfile.gettempdir()),
            ],
            log=log,
            pipes=True,
        )
        assert holder.stdout is not None
        line = await holder.stdout.readline()
        assert line == b"ready\n", f"the tools' root cannot be mounted: {child.last_lines(log)}"
        log.unlink()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._holder is not None
        await child.end(self._holder)

    async def __call__(self, *command: str) -> str:
        """Runs one command and gives its standard output; fails the check when it fails."""
        status, out, err = await self.attempt(*command)
        assert status == 0, f"{' '.join(command)}: {out.decode()}{err.decode()}"
        return out.decode()

    async def attempt(self, *command: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        """Runs one command; gives its exit status, standard output and standard error. Ends it when cancelled."""
        assert self._holder is not None
        process = await asyncio.create_subprocess_exec(
            "nsenter",
            f"--mount=/proc/{self._holder.pid}/ns/mnt",
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
                process.terminate()
                await process.wait()
        assert process.returncode is not None
        return process.returncode, out, err
