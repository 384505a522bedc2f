"""What is in the image, and what must not be."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image_build.archive import Archive
from tests.image_build.container import ARCHIVE

MOST_BYTES = 50_000_000
TARGET_BYTES = 31_000_000


@pytest.fixture(scope="module")
def archive() -> Iterator[Archive]:
    with Archive(ARCHIVE) as opened:
        yield opened


@pytest.fixture(scope="module")
def manifest(archive: Archive) -> dict:
    [descriptor] = archive.manifests()
    return archive.manifest(descriptor)


@pytest.fixture(scope="module")
def configuration(archive: Archive, manifest: dict) -> dict:
    return json.loads(archive.blob(manifest["config"]))


@pytest.fixture(scope="module")
def layer(archive: Archive, manifest: dict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive.unpack_layer(manifest, tmp_path_factory.mktemp("layer"))


@pytest.fixture(scope="module")
def entries(layer: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(layer) as files:
        return {entry.name.removeprefix("./"): entry for entry in files}


def content(files: tarfile.TarFile, name: str) -> bytes:
    source = files.extractfile(name)
    assert source is not None
    return source.read()


def test_it_is_small() -> None:
    assert ARCHIVE.stat().st_size <= TARGET_BYTES < MOST_BYTES


def test_every_blob_is_used(archive: Archive) -> None:
    assert len([name for name in archive.names() if name.startswith("blobs/sha256/")]) == 3


def test_it_does_not_run_as_root(configuration: dict) -> None:
    user, _, group = configuration["config"]["User"].partition(":")
    assert int(user) > 0
    assert int(group) > 0


def test_the_only_programs_are_python_and_the_gateway(entries: dict[str, tarfile.TarInfo]) -> None:
    programs = {name for name in entries if "/bin/" in name or "/sbin/" in name}
    assert programs == {"usr/bin/python3.13", "usr/bin/tidegate"}
    runnable = {name for name, entry in entries.items() if entry.isfile() and entry.mode & 0o111}
    assert {name for name in runnable - programs if ".so" not in name} == set()


def test_no_file_gives_rights_and_none_but_data_belongs_to_its_user(entries: dict[str, tarfile.TarInfo]) -> None:
    assert [name for name, entry in entries.items() if entry.mode & 0o6000] == []
    assert [name for name, entry in entries.items() if entry.mode & 0o022 and not entry.issym()] == ["tmp"]
    assert [name for name, entry in entries.items() if (entry.uid, entry.gid) != (0, 0)] == ["data"]
    assert {entry.type for entry in entries.values()} <= {tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE}


def test_python_code_is_byte_code_only(entries: dict[str, tarfile.TarInfo]) -> None:
    assert [name for name in entries if name.endswith((".py", ".pyi", ".c", ".h", ".a"))] == []
    assert "usr/local/lib/python3.13/dist-packages/gateway/app.pyc" in entries
    assert not any("__pycache__" in name for name in entries)


def test_the_modules_are_the_built_ones(layer: Path) -> None:
    dist = Path(__file__).parents[2] / "modules" / "dist"
    with tarfile.open(layer) as files:
        for module in dist.glob("*.wasm"):
            name = f"./usr/local/lib/python3.13/dist-packages/modules/dist/{module.name}"
            assert content(files, name) == module.read_bytes()


def test_no_path_of_the_build_machine_is_left_in_the_byte_code(layer: Path) -> None:
    here = str(Path(__file__).parents[2]).encode()
    with tarfile.open(layer) as files:
        for entry in files:
            if entry.isfile() and entry.name.endswith(".pyc"):
                assert here not in content(files, entry.name), entry.name


def test_licences_travel_with_it(entries: dict[str, tarfile.TarInfo]) -> None:
    assert "usr/share/doc/libc6/copyright" in entries
    assert any(name.startswith("usr/local") and "/wasmtime-" in name and "LICENSE" in name for name in entries)
