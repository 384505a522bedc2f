"""What systemd hears, on a real socket like the one it makes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.systemd import Systemd
from tests.waiting import until


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


def heard(manager: socket.socket) -> list[list[str]]:
    messages = []
    with contextlib.suppress(BlockingIOError):
        while True:
            messages.append(manager.recv(4096).decode().split("\n"))
    return messages


async def test_ready_then_signs_of_life_then_stopping(manager: socket.socket) -> None:
    states = iter(["starting", *["up"] * 1_000])
    systemd = Systemd(manager.getsockname(), watchdog_s=0.02, status=lambda: next(states))
    told: list[list[str]] = []
    task = asyncio.create_task(systemd.run())

    def enough() -> bool:
        told.extend(heard(manager))
        return len(told) >= 3

    await until(enough)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    told += heard(manager)
    systemd.stopping()
    assert told[0] == ["READY=1", "WATCHDOG=1", "STATUS=starting"]
    assert all(message == ["WATCHDOG=1", "STATUS=up"] for message in told[1:])
    assert heard(manager) == [["STOPPING=1", "STATUS=stopping"]]


async def test_a_status_of_several_lines_cannot_say_anything_else(manager: socket.socket) -> None:
    systemd = Systemd(manager.getsockname(), watchdog_s=None, status=lambda: "odd\nMAINPID=1\r\nREADY=0")
    task = asyncio.create_task(systemd.run())
    told: list[list[str]] = []
    await until(lambda: told.extend(heard(manager)) or told)
    task.cancel()
    assert told == [["READY=1", "WATCHDOG=1", "STATUS=odd MAINPID=1 READY=0"]]


async def test_an_address_in_the_abstract_namespace(tmp_path: Path) -> None:
    name = f"tidegate-{tmp_path.name}-{id(tmp_path)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        listening.setblocking(False)
        Systemd(f"@{name}", watchdog_s=None, status=str).stopping()
        assert heard(listening) == [["STOPPING=1", "STATUS=stopping"]]


async def test_a_manager_that_listens_late_hears_all_of_it(tmp_path: Path) -> None:
    systemd = Systemd(str(tmp_path / "notify"), watchdog_s=0.02, status=lambda: "up")
    systemd.stopping()
    task = asyncio.create_task(systemd.run())
    await asyncio.sleep(0.05)
    assert not task.done()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        told: list[list[str]] = []
        await until(lambda: told.extend(heard(listening)) or told)
    task.cancel()
    assert told[0] == ["READY=1", "WATCHDOG=1", "STATUS=up"]


def test_children_do_not_inherit_the_line() -> None:
    environment = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "7", "PATH": "/bin"}
    assert Systemd.from_environment(str, environment=environment, pid=7) is not None
    assert environment == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("environment", "pause_s"),
    [
        ({}, None),
        ({"NOTIFY_SOCKET": ""}, None),
        ({"NOTIFY_SOCKET": "@"}, None),
        ({"NOTIFY_SOCKET": "vsock:2:1"}, None),
        ({"NOTIFY_SOCKET": "/run/notify"}, 60.0),
        ({"NOTIFY_SOCKET": "@notify", "WATCHDOG_USEC": "30000000"}, 15.0),
        ({"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, 60.0),
        ({"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "0"}, 60.0),
        ({"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "-5"}, 60.0),
        ({"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "soon"}, 60.0),
    ],
)
def test_it_speaks_only_where_it_is_asked(environment: dict[str, str], pause_s: float | None) -> None:
    systemd = Systemd.from_environment(str, environment=environment, pid=7)
    assert (None if systemd is None else systemd.pause_s) == pause_s
