"""A real gateway in this process, with its real control socket and file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.check import load
from gateway.control import client
from gateway.errors import TidegateError

ALLOWED = '[policy]\nallow = ["collect", "configure"]\n'


class Site:
    """One running gateway, its file and its socket."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "gateway.toml"
        self.socket = folder / "control.sock"

    async def call(self, method: str, target: str, body: object = None) -> dict[str, Any]:
        return await asyncio.to_thread(client.call, self.socket, method, target, body, timeout_s=30)

    async def apply(self, text: str, **more: object) -> dict[str, Any]:
        base = (await self.call("GET", "/config"))["sha256"]
        return await self.call("POST", "/config/apply", {"text": text, "base": base} | more)

    async def status(self) -> dict[str, Any]:
        return await self.call("GET", "/status")


@asynccontextmanager
async def running(folder: Path, text: str) -> AsyncIterator[Site]:
    """A gateway that runs with this configuration, until the block ends."""
    site = Site(folder)
    site.file.write_text(text)
    stop = asyncio.Event()
    task = asyncio.create_task(Gateway(load(site.file), file=site.file).run(stop))
    try:
        async with asyncio.timeout(20):
            while True:
                assert not task.done(), task.exception()
                with suppress(TidegateError):
                    if "states" in (await site.status())["components"]:  # the last that is begun
                        break
                await asyncio.sleep(0.01)
        yield site
    finally:
        stop.set()
        await task


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Callable[[str], Awaitable[Site]]]:
    """Starts a gateway from the text of its configuration."""
    async with AsyncExitStack() as stack:

        async def start(text: str = ALLOWED) -> Site:
            return await stack.enter_async_context(running(tmp_path, text))

        yield start
