"""Images in containers of podman's, for the checks.

Owns a storage of its own in a folder that is removed afterwards, so that nothing of the machine's podman is touched.
A container is ended by its name, which no other run has. Wants root: else the /data it makes is not its user's.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from tests.image_build.tools import Tools

__all__ = ["ARCHIVE", "MODULES_ARCHIVE", "Container", "Podman", "Running"]

_BUILT: Final = Path(__file__).parents[2] / "build" / "image"
ARCHIVE: Final = _BUILT / "tidegate.oci.tar"
MODULES_ARCHIVE: Final = _BUILT / "tidegate-modules.oci.tar"
_LIMITS: Final = ("--memory=128m", "--memory-swap=128m", "--cpus=1")
_USER: Final = 65532
# podman asks for more open files than a machine may be able to give; the machine's own limits are enough.
_SETTINGS: Final = """[containers]
default_ulimits = []
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


class Podman:
    """podman with a storage of its own, as an asynchronous context; an image is loaded in it.

    Attributes:
        folder: for files that the tools are to see.
        image: the loaded image's name.
    """

    def __init__(self, archive: Path = ARCHIVE) -> None:
        # Not pytest's folder: podman takes no path of more than 50 characters here.
        self.folder = Path(tempfile.mkdtemp(prefix="tidegate-"))
        self.tools = Tools()
        self.image = ""
        self._archive = archive
        self._stack = AsyncExitStack()
        self._base = ("podman", f"--root={self.folder / 'storage'}", f"--runroot={self.folder / 'run'}")

    async def __aenter__(self) -> Podman:
        async with AsyncExitStack() as stack:
            stack.callback(shutil.rmtree, self.folder)
            settings = self.folder / "containers.conf"
            settings.write_text(_SETTINGS)
            self.tools.environment["CONTAINERS_CONF"] = str(settings)
            await stack.enter_async_context(self.tools)
            stack.push_async_callback(self._clean)
            archive = shutil.copy(self._archive, self.folder / "archive.oci.tar")
            told = await self("load", "--quiet", f"--input={archive}")
            self.image = told.rpartition(": ")[2].strip()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _clean(self) -> None:
        """Takes down what the kernel would keep: control groups. Each step is tried."""
        for step in (("pod", "rm", "--all", "--force", "--time=0"), ("rm", "--all", "--force", "--time=0")):
            await self.attempt(*step)

    async def __call__(self, *arguments: str) -> str:
        """Runs one command and gives its standard output; fails the check when podman does."""
        return await self.tools(*self._base, *arguments)

    async def attempt(self, *arguments: str) -> tuple[int, str, str]:
        """Runs one command; gives its exit status, standard output and standard error."""
        status, out, err = await self.attempt_bytes(*arguments)
        return status, out.decode(), err.decode()

    async def attempt_bytes(self, *arguments: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        """The same with bytes."""
        return await self.tools.attempt(*self._base, *arguments, stdin=stdin)


class Running:
    """A gateway in a container of podman's.

    Args:
        podman: with the image.
        name: the container's.
    """

    def __init__(self, podman: Podman, name: str) -> None:
        self.podman = podman
        self.name = name

    async def execute(self, *command: str) -> tuple[int, str, str]:
        """Runs a command in it, as an exec probe does; gives exit status, standard output and standard error."""
        return await self.podman.attempt("exec", self.name, *command)

    async def status(self) -> dict[str, Any] | None:
        """What `tidegate status` tells; None while it does not answer."""
        code, out, _ = await self.execute("/usr/bin/tidegate", "status", "--json")
        told: dict[str, Any] | None = json.loads(out) if code == 0 else None
        return told

    async def pss_bytes(self) -> int:
        """Memory of its process; what it shares with others counts in part."""
        return await self.podman.tools.pss_bytes(int(await self.inspect("{{.State.Pid}}")))

    async def logs(self) -> str:
        """What it wrote, for a failed check."""
        _, out, err = await self.podman.attempt("logs", "--tail=20", self.name)
        return out + err

    async def inspect(self, template: str) -> str:
        """A field of what podman knows of the container."""
        return (await self.podman("inspect", f"--format={template}", self.name)).strip()


class Container(Running):
    """One gateway in a container, hardened as the manifests ask for it; the folder is its /data over all restarts.

    Args:
        podman: with the image.
        folder: gets `data` and `etc`.
        config: the gateway's configuration; paths as the container sees them.
    """

    def __init__(self, podman: Podman, *, folder: Path, config: dict[str, Any]) -> None:
        super().__init__(podman, f"tidegate-{uuid.uuid4().hex}")
        self._data = folder / "data"
        self._etc = folder / "etc"
        self._data.mkdir()
        self._etc.mkdir()
        os.chown(self._data, _USER, _USER)
        (self._etc / "config.json").write_text(json.dumps(config))

    @property
    def database(self) -> Path:
        """The spool's file, where the configuration says /data/spool.db."""
        return self._data / "spool.db"

    async def start(self) -> None:
        """Creates and starts it."""
        await self.podman(
            "run",
            "--detach",
            f"--name={self.name}",
            "--network=host",
            "--read-only",
            "--read-only-tmpfs=false",
            "--cap-drop=all",
            "--security-opt=no-new-privileges",
            f"--volume={self._data}:/data",
            f"--volume={self._etc}:/etc/tidegate:ro",
            *_LIMITS,
            self.podman.image,
        )

    async def kill(self) -> None:
        """Ends it without warning (SIGKILL) and removes it."""
        await self.podman("kill", "--signal=KILL", self.name)
        await self.remove()

    async def stop(self) -> int:
        """Asks it to stop (SIGTERM) as a kubelet does; gives its exit status."""
        await self.podman("stop", "--time=30", self.name)
        return int(await self.inspect("{{.State.ExitCode}}"))

    async def remove(self) -> None:
        """Removes it, running or not; its folder stays."""
        await self.podman("rm", "--force", "--ignore", self.name)
