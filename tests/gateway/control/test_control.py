import asyncio
import socket
import stat
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from gateway.control import client
from gateway.control.refusal import Refused
from gateway.control.server import ControlServer
from gateway.errors import ConfigError, Problem, SourceLost, TidegateError


async def status(_asked):
    return {"state": "up", "n": 3}


ROUTES = {("GET", "/status"): status}


@asynccontextmanager
async def serving(path: Path, routes=ROUTES, **limits):
    task = asyncio.create_task(ControlServer(path, routes=routes, **limits).run())
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
        with pytest.raises(TidegateError, match="no GET /nothing on this socket"):
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
            await ControlServer(path, routes=ROUTES).run()
        assert (await asyncio.to_thread(client.status, path))["state"] == "up"


async def test_a_path_that_no_socket_can_have(tmp_path: Path) -> None:
    with pytest.raises(TidegateError, match="longer than"):
        await ControlServer(tmp_path / ("x" * 120), routes=ROUTES).run()
    (tmp_path / "file").write_text("")
    with pytest.raises(TidegateError, match="cannot be made"):
        await ControlServer(tmp_path / "file" / "control.sock", routes=ROUTES).run()


async def test_what_a_call_refuses_reaches_the_caller_with_its_status_and_problems(tmp_path: Path) -> None:
    problem = Problem("devices[0].port", "found 0")

    def refusing(error: Exception):
        async def call(_asked):
            raise error

        return call

    errors = {
        "/refused": (Refused("no", status=403), 403, "no"),
        "/config": (ConfigError("a.toml", [problem]), 422, "a.toml cannot be used\n  devices[0].port: found 0"),
        "/lost": (SourceLost("press went away"), 424, "press went away"),
        "/wrong": (TidegateError("not like this"), 400, "not like this"),
        "/defect": (KeyError("x"), 500, "Its log says more"),
    }
    routes = {("POST", path): refusing(error) for path, (error, _, _) in errors.items()}
    socket_path = tmp_path / "control.sock"
    async with serving(socket_path, routes):
        for path, (_, status, text) in errors.items():
            with pytest.raises(client.Refused) as refused:
                await asyncio.to_thread(client.call, socket_path, "POST", path, {})
            assert refused.value.status == status
            assert text in str(refused.value)
            assert refused.value.problems == ((problem,) if path == "/config" else ())


async def test_the_query_of_a_get_and_the_body_of_a_post_are_what_a_call_is_given(tmp_path: Path) -> None:
    async def echo(asked):
        return asked

    path = tmp_path / "control.sock"
    async with serving(path, {("GET", "/echo"): echo, ("POST", "/echo"): echo}, max_body_bytes=100):
        ask = partial(asyncio.to_thread, client.call, path)
        assert await ask("GET", "/echo?device=Presse%201") == {"device": "Presse 1"}
        assert await ask("POST", "/echo", {"a": [1, None, "ä"]}) == {"a": [1, None, "ä"]}
        assert await ask("POST", "/echo") == {}
        for method, target, body, status in (
            ("POST", "/echo", [1], 400),
            ("POST", "/echo", {"a": "x" * 100}, 413),
            ("DELETE", "/echo", None, 405),
        ):
            with pytest.raises(client.Refused) as refused:
                await ask(method, target, body)
            assert refused.value.status == status


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(TidegateError, match="tidegate run"):
        client.status(tmp_path / "control.sock")
