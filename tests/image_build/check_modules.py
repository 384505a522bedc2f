"""The Wasm modules without the gateway: under WasmEdge, as files and as an image from scratch in a container."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from gateway.wasm.library import built_in, resolve
from tests.image_build.archive import Archive
from tests.image_build.container import MODULES_ARCHIVE, Podman
from tests.image_build.tools import Tools
from tests.modules.stream import SCENES, Scene, by_the_gateway

MOST_BYTES = 200_000
"""The case study's limit is 2 MB."""
DIST = Path(__file__).parents[2] / "modules" / "dist"
# What the RuntimeClass wasmedge does on a node with the shim, crun does where it is told to.
WITH_WASMEDGE = ("--runtime=crun", "run", "--rm", "--interactive", "--annotation=run.oci.handler=wasm")
CONFINED = ("--network=none", "--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--cgroups=disabled")


async def test_it_is_the_wasmedge_that_is_named() -> None:
    async with Tools() as tools:
        assert "0.14.1" in await tools("wasmedge", "--version")


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.module)
async def test_a_module_answers_wasmedge_with_the_bytes_that_the_gateway_gets(scene: Scene, tmp_path: Path) -> None:
    file = shutil.copy(resolve(scene.module, tmp_path), tmp_path)
    async with Tools() as tools:
        status, out, err = await tools.attempt("wasmedge", file, stdin=scene.stdin)
    assert (status, err) == (0, b"")
    assert out == by_the_gateway(scene)


async def test_a_broken_stream_is_told_by_the_status(tmp_path: Path) -> None:
    file = shutil.copy(resolve("scale", tmp_path), tmp_path)
    async with Tools() as tools:
        status, out, _ = await tools.attempt("wasmedge", file, stdin=b"TGS1")
    assert (status, out) == (2, b"")


@pytest.mark.timeout(300)
async def test_the_image_runs_in_a_container_under_wasmedge() -> None:
    async with Podman(MODULES_ARCHIVE) as podman:
        for scene in SCENES:
            status, out, err = await podman.attempt_bytes(
                *WITH_WASMEDGE,
                *CONFINED,
                f'--entrypoint=["/{scene.module}.wasm"]',
                podman.image,
                stdin=scene.stdin,
            )
            assert (status, err) == (0, b"")
            assert out == by_the_gateway(scene)
        # As the Job of image/k3s/wasmedge-check does.
        status, out, err = await podman.attempt_bytes(*WITH_WASMEDGE, *CONFINED, podman.image)
        assert (status, out, err) == (0, b"", b"")


def test_the_image_is_the_modules_and_nothing_else(tmp_path: Path) -> None:
    assert MODULES_ARCHIVE.stat().st_size <= MOST_BYTES
    with Archive(MODULES_ARCHIVE) as archive:
        manifests = archive.manifests()
        platforms = {(one["platform"]["os"], one["platform"]["architecture"]) for one in manifests}
        assert platforms == {("linux", "amd64"), ("linux", "arm64")}
        layers = {json.dumps(archive.manifest(one)["layers"]) for one in manifests}
        assert len(layers) == 1
        layer = archive.unpack_layer(archive.manifest(manifests[0]), tmp_path)
    with tarfile.open(layer) as files:
        content = {entry.name.removeprefix("./"): files.extractfile(entry) for entry in files if entry.isfile()}
        assert set(content) == {f"{name}.wasm" for name in built_in()} | {"LICENSE"}
        for name in built_in():
            source = content[f"{name}.wasm"]
            assert source is not None
            assert source.read() == (DIST / f"{name}.wasm").read_bytes()
