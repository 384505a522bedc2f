import asyncio
import socket
import stat
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.control import client
from gateway.control.server import ControlServer
from gateway.errors import TidegateError


@asynccontextmanager
async def serving(path: Path):
    task = asyncio.create_task(ControlServer(path, status=lambda: {"state": "up", "n": 3}).run())
    async with asyncio.timeout(10):
        while not path.exists():
            assert not task.done(), task.exception()
            await asyncio.sleep(0.01)
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_status_over_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "run" / "control.sock"
    async with serving(path):
        assert await asyncio.to_thread(client.status, path) == {"state": "up", "n": 3}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(TidegateError, match="refused GET /nothing"):
            await asyncio.to_thread(client.call, path, "GET", "/nothing")
    assert not path.exists()


async def test_a_socket_left_by_a_crash_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(TidegateError, match="has ended"):
        client.status(path)
    async with serving(path):
        async with asyncio.timeout(10):
            while True:
                try:
                    assert (await asyncio.to_thread(client.status, path))["state"] == "up"
                    break
                except TidegateError:
                    await asyncio.sleep(0.01)


async def test_a_living_gateway_keeps_its_socket(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with serving(path):
        with pytest.raises(TidegateError, match="another gateway answers"):
            await ControlServer(path, status=dict).run()
        assert (await asyncio.to_thread(client.status, path))["state"] == "up"


async def test_a_path_that_no_socket_can_have(tmp_path: Path) -> None:
    with pytest.raises(TidegateError, match="longer than"):
        await ControlServer(tmp_path / ("x" * 120), status=dict).run()
    (tmp_path / "file").write_text("")
    with pytest.raises(TidegateError, match="cannot be made"):
        await ControlServer(tmp_path / "file" / "control.sock", status=dict).run()


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(TidegateError, match="tidegate run"):
        client.status(tmp_path / "control.sock")
