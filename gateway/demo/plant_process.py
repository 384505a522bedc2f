"""The plant as a child process: started, asked for its ports, ended."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final

from gateway.demo import child
from gateway.errors import TidegateError

__all__ = ["PlantProcess"]

START_S: Final = 60.0


class PlantProcess:
    """One simulated plant, as an asynchronous context.

    Args:
        log: file that takes what it writes to standard error.
        tags: counters on each of its servers, beside the machines' own tags.
        rate_hz: changes a second.
    """

    def __init__(self, *, log: Path, tags: int, rate_hz: float) -> None:
        self._log = log
        self._command = child.python_command("adapters.plant", "--tags", str(tags), "--rate", str(rate_hz))
        self._process: asyncio.subprocess.Process | None = None
        self.opcua_url = ""
        self.modbus_port = 0

    async def __aenter__(self) -> PlantProcess:
        self._process = await child.spawn(self._command, log=self._log, pipes=True)
        try:
            ready = await self._ready(self._process)
        except BaseException:
            await child.kill(self._process)
            raise
        self.opcua_url = ready["opcua"]
        self.modbus_port = ready["modbus_port"]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        await child.end(self._process)

    async def _ready(self, process: asyncio.subprocess.Process) -> dict[str, Any]:
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_S):
                line = await process.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            raise TidegateError(f"the simulated plant did not start; its log: {child.last_lines(self._log)}")
        ready: dict[str, Any] = json.loads(line)
        return ready
