"""containerd 1.7, what K3s 1.30 runs images with: it takes both archives as they are, and runs them."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.image_build.container import ARCHIVE, MODULES_ARCHIVE
from tests.image_build.tools import Tools
from tests.waiting import until

# Its plug-ins for Kubernetes want a network of pods, the others file systems that are not here.
_SETTINGS: Final = """version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = [
  "io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
address = "{folder}/sock"
"""


class Containerd:
    """A running containerd, by its own command line."""

    def __init__(self, tools: Tools, folder: Path) -> None:
        self.tools = tools
        self.folder = folder

    async def __call__(self, *arguments: str) -> str:
        """What `ctr` prints; fails the check when it fails."""
        return await self.tools("ctr", "--address", str(self.folder / "sock"), *arguments)

    async def answers(self) -> bool:
        """Whether it takes commands."""
        status, _, _ = await self.tools.attempt("ctr", "--address", str(self.folder / "sock"), "version")
        return status == 0


@pytest.fixture
async def containerd() -> AsyncIterator[Containerd]:
    folder = Path(tempfile.mkdtemp(prefix="tidegate-"))  # a socket's path must be short
    (folder / "config.toml").write_text(_SETTINGS.format(folder=folder))
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        tools = await stack.enter_async_context(Tools())
        serving = asyncio.create_task(tools.attempt("containerd", "--config", str(folder / "config.toml")))
        ctr = Containerd(tools, folder)
        try:
            await until(ctr.answers, every_s=0.1, what="containerd answers")
            yield ctr
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


@pytest.mark.timeout(300)
async def test_it_takes_the_gateway_s_archive_and_runs_it(containerd: Containerd) -> None:
    await containerd("images", "import", str(shutil.copy(ARCHIVE, containerd.folder)))
    [image] = (await containerd("images", "list", "--quiet")).split()
    assert image.startswith("localhost/tidegate:")
    out = await containerd(
        *("run", "--rm", "--snapshotter=native", "--read-only", "--cap-drop=CAP_CHOWN"),
        *(image, "gateway", "/usr/bin/tidegate", "--version"),
    )
    assert out.startswith("tidegate ")


@pytest.mark.timeout(300)
async def test_it_takes_the_modules_archive_and_runs_it_under_wasmedge(containerd: Containerd) -> None:
    await containerd("images", "import", str(shutil.copy(MODULES_ARCHIVE, containerd.folder)))
    [image] = (await containerd("images", "list", "--quiet")).split()
    assert image.startswith("localhost/tidegate-modules:")
    out = await containerd(
        *("run", "--rm", "--null-io", "--snapshotter=native", "--read-only", "--runc-binary=crun"),
        *("--annotation=run.oci.handler=wasm", image, "module"),
    )
    assert out == ""
