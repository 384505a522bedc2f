import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from wasmtime import Config, Engine, Module, wat2wasm

from gateway.errors import ModuleError
from gateway.wasm.cache import KEEP_FILES, ModuleCache, machine_id

WASM = bytes(wat2wasm('(module (func (export "f") (result i32) (i32.const 41)))'))
DIGEST = hashlib.sha256(WASM).hexdigest()
OTHER = bytes(wat2wasm('(module (func (export "g") (result i32) (i32.const 42)))'))


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


class Counted:
    """A check that counts how often something was compiled."""

    def __init__(self) -> None:
        self.compiled = 0

    def __call__(self, module: Module) -> None:
        self.compiled += 1


def cache(engine: Engine, folder: Path | None, *, settings: str = "s", machine: str = "m") -> ModuleCache:
    return ModuleCache(engine, folder, settings=settings, machine=machine)


def exports(module: Module) -> list[str]:
    return [export.name for export in module.exports]


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_a_module_is_compiled_once_and_then_loaded(engine, tmp_path):
    folder, check = tmp_path / "a" / "b", Counted()
    for _ in range(3):
        assert exports(cache(engine, folder).module(WASM, DIGEST, check)) == ["f"]
    assert check.compiled == 1
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(only_file(folder).stat().st_mode) == 0o600


def test_nothing_is_kept_without_a_folder(engine):
    check = Counted()
    store = cache(engine, None)
    for _ in range(2):
        assert exports(store.module(WASM, DIGEST, check)) == ["f"]
    assert (check.compiled, store.problem) == (2, "")


@pytest.mark.parametrize("keep", [0, 5, 39, 40, 41, 200, -1])
def test_a_file_that_is_cut_short_is_compiled_anew(engine, tmp_path, keep):
    check = Counted()
    cache(engine, tmp_path).module(WASM, DIGEST, check)
    path = only_file(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    assert exports(cache(engine, tmp_path).module(WASM, DIGEST, check)) == ["f"]
    assert check.compiled == 2
    assert path.read_bytes() == whole


@pytest.mark.parametrize("at", [0, 8, 20, 40, 1_000, -1])
def test_a_file_with_a_wrong_bit_is_compiled_anew(engine, tmp_path, at):
    check = Counted()
    cache(engine, tmp_path).module(WASM, DIGEST, check)
    path = only_file(tmp_path)
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(content)
    assert exports(cache(engine, tmp_path).module(WASM, DIGEST, check)) == ["f"]
    assert check.compiled == 2


def test_code_of_another_engine_is_refused_by_wasmtime_and_compiled_anew(engine, tmp_path):
    check = Counted()
    config = Config()
    config.epoch_interruption = True
    cache(Engine(config), tmp_path).module(WASM, DIGEST, check)  # under the same name: versions lied
    assert exports(cache(engine, tmp_path).module(WASM, DIGEST, check)) == ["f"]
    assert check.compiled == 2


@pytest.mark.parametrize("change", [{"machine": "wasmtime 51"}, {"settings": "more memory"}])
def test_another_version_or_setting_does_not_see_the_file(engine, tmp_path, change):
    check = Counted()
    cache(engine, tmp_path).module(WASM, DIGEST, check)
    cache(engine, tmp_path, **change).module(WASM, DIGEST, check)
    assert check.compiled == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_two_modules_do_not_share_a_file(engine, tmp_path):
    check = Counted()
    for _ in range(2):
        assert exports(cache(engine, tmp_path).module(WASM, DIGEST, check)) == ["f"]
        assert exports(cache(engine, tmp_path).module(OTHER, "of another", check)) == ["g"]
    assert check.compiled == 2


def test_a_refused_module_is_not_kept(engine, tmp_path):
    def refuse(module: Module) -> None:
        raise ModuleError("no")

    for _ in range(2):
        with pytest.raises(ModuleError, match="no"):
            cache(engine, tmp_path).module(WASM, DIGEST, refuse)
    assert list(tmp_path.iterdir()) == []


def test_bytes_that_are_no_module_are_refused(engine, tmp_path):
    with pytest.raises(ModuleError, match="no valid WebAssembly"):
        cache(engine, tmp_path).module(WASM[:-3], "of a cut one", Counted())


@pytest.mark.parametrize("below", [True, False])
def test_a_folder_that_cannot_be_made_costs_speed_only(engine, tmp_path, below):
    file = tmp_path / "file"
    file.write_text("in the way")
    store = cache(engine, file / "cache" if below else file)
    assert "compiled modules are not kept" in store.problem
    assert exports(store.module(WASM, DIGEST, Counted())) == ["f"]


def test_a_folder_that_vanishes_costs_speed_only(engine, tmp_path):
    folder = tmp_path / "cache"
    store = cache(engine, folder)
    folder.rmdir()
    assert exports(store.module(WASM, DIGEST, Counted())) == ["f"]
    assert "cannot be kept" in store.problem
    folder.mkdir()
    store.module(WASM, DIGEST, Counted())
    assert store.problem == ""


def test_a_folder_open_to_others_is_closed_and_a_writable_file_is_not_trusted(engine, tmp_path):
    folder, check = tmp_path / "cache", Counted()
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    cache(engine, folder).module(WASM, DIGEST, check)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    only_file(folder).chmod(0o666)
    cache(engine, folder).module(WASM, DIGEST, check)
    assert check.compiled == 2


def test_a_link_is_not_followed(engine, tmp_path):
    folder, check = tmp_path / "cache", Counted()
    cache(engine, folder).module(WASM, DIGEST, check)
    path = only_file(folder)
    elsewhere = path.rename(tmp_path / "elsewhere")
    path.symlink_to(elsewhere)
    cache(engine, folder).module(WASM, DIGEST, check)
    assert check.compiled == 2
    assert not path.is_symlink()


def test_many_at_once_leave_one_whole_file(engine, tmp_path):
    def use(_: int) -> list[str]:
        return exports(cache(engine, tmp_path).module(WASM, DIGEST, Counted()))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(use, range(32))) == [["f"]] * 32
    content = only_file(tmp_path).read_bytes()
    assert content[8:40] == hashlib.sha256(content[40:]).digest()


def test_old_files_are_removed(engine, tmp_path):
    for age in range(KEEP_FILES + 5):
        path = tmp_path / (f"{age}.cwasm" if age % 2 else f"{age}.tmp")
        path.write_bytes(b"")
        os.utime(path, (1_000 - age, 1_000 - age))
    cache(engine, tmp_path).module(WASM, DIGEST, Counted())
    left = sorted(path.stem for path in tmp_path.iterdir())
    assert len(left) == KEEP_FILES
    assert "0" in left
    assert str(KEEP_FILES) not in left


def test_the_machine_is_named_by_version_and_processor():
    lines = machine_id().splitlines()
    assert lines[0].split(".")[0] == "50"
    assert lines[2] == os.uname().machine
