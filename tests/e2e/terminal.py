"""A real terminal of 80 by 24 cells, from a tmux server of our own: keys go in, what stands on the screen comes out."""

from __future__ import annotations

import asyncio
import os
import shlex
import time
from pathlib import Path

import pytest

WITHIN_S = 60
_PAUSE_S = 0.1


class Terminal:
    """One program on one terminal.

    Args:
        folder: where the server's socket is.
        command: the program.
    """

    def __init__(self, folder: Path, command: list[str]) -> None:
        self._socket = folder / "tmux"
        self._command = command

    async def __aenter__(self) -> Terminal:
        size = ("-x", "80", "-y", "24")
        # The program's output and exit status stay in sight until we have looked.
        program = f"{shlex.join(self._command)}; echo left with $?; exec sleep 600"
        await self._tmux("-f", "/dev/null", "new-session", "-d", *size, "-s", "tidegate", program)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tmux("kill-server")

    async def keys(self, *keys: str) -> None:
        """Presses keys by tmux's names for them."""
        await self._tmux("send-keys", *keys)

    async def type(self, text: str) -> None:
        """Types a text; a field that was just entered is typed over."""
        await self._tmux("send-keys", "-l", text)

    async def screen(self) -> str:
        """What stands on the screen."""
        return await self._tmux("capture-pane", "-p")

    async def sees(self, text: str) -> None:
        """Waits until the text stands on the screen."""
        await self.until(lambda screen: text in screen, text)

    async def until(self, condition, what: str) -> None:
        """Waits until the screen is as the condition wants it."""
        began = time.monotonic()
        while not condition(screen := await self.screen()):
            if time.monotonic() - began > WITHIN_S:
                pytest.fail(f"not on the screen within {WITHIN_S} s: {what}\n{screen}")
            await asyncio.sleep(_PAUSE_S)

    async def _tmux(self, *arguments: str) -> str:
        environment = {key: value for key, value in os.environ.items() if key != "TMUX"}
        environment |= {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        process = await asyncio.create_subprocess_exec(
            *("tmux", "-u", "-S", str(self._socket), *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
        )
        output, error = await process.communicate()
        assert process.returncode == 0, error.decode()
        return output.decode()
