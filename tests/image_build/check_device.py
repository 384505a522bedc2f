"""A serial port of the machine, for Modbus RTU in a container: given as the manual says, and not given."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.image_build.container import Podman

PORT = "/dev/ttyUSB0"
DIALOUT = 20
OPEN = f"import os; os.open({PORT!r}, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)"


async def run(podman: Podman, *arguments: str, command: str) -> tuple[int, str, str]:
    hardened = ("--network=host", "--read-only", "--cap-drop=all", "--security-opt=no-new-privileges")
    return await podman.attempt("run", "--rm", *hardened, *arguments, f"--entrypoint={command}", podman.image)


@pytest.fixture
def port(podman: Podman) -> Path:
    """A device that belongs to a group, as ports do; nothing is behind it."""
    device = podman.folder / "tty"
    os.mknod(device, 0o660 | stat.S_IFCHR, os.makedev(1, 3))
    os.chown(device, 0, DIALOUT)
    device.chmod(0o660)
    return device


@pytest.mark.asyncio(loop_scope="session")
async def test_a_port_needs_the_device_and_its_group(podman: Podman, port: Path) -> None:
    device, group = f"--device={port}:{PORT}", f"--group-add={DIALOUT}"
    command = f'["/usr/bin/python3.13", "-IBSc", "{OPEN}"]'
    assert "No such file" in (await run(podman, command=command))[2]
    assert "Permission denied" in (await run(podman, device, command=command))[2]
    assert (await run(podman, device, group, command=command))[0] == 0


@pytest.mark.asyncio(loop_scope="session")
async def test_a_port_that_was_not_given_is_told(podman: Podman) -> None:
    command = f'["/usr/bin/tidegate", "probe", "modbus", "--serial", "{PORT}", "--address", "0"]'
    status, _, told = await run(podman, command=command)
    assert status == 1
    assert "A service or a container must be given it (image/README.md)" in told
