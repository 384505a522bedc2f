"""Each module as a WASI command, under wasmtime's own WASI. WasmEdge's turn is in tests/image_build."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from wasmtime import Engine, ExitTrap, Linker, Module, Store, WasiConfig

from gateway.batch import Batch, Reading
from gateway.wasm.library import built_in, resolve
from tests.modules import HERE
from tests.modules.stream import HEAD, MAGIC, SCENES, Scene, by_the_gateway, frames, read_frames


def command(module: str, stdin: bytes, folder: Path) -> tuple[int, bytes]:
    """Runs a module with nothing but standard input and output; gives its exit status and what it wrote."""
    (folder / "in").write_bytes(stdin)
    engine = Engine()
    linker = Linker(engine)
    linker.define_wasi()
    store = Store(engine)
    wasi = WasiConfig()
    wasi.stdin_file = str(folder / "in")
    wasi.stdout_file = str(folder / "out")
    store.set_wasi(wasi)
    instance = linker.instantiate(store, Module.from_file(engine, str(resolve(module, HERE))))
    status = 0
    try:
        instance.exports(store)["_start"](store)
    except ExitTrap as end:
        status = end.code
    store.close()
    return status, (folder / "out").read_bytes()


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.module)
def test_a_command_writes_the_bytes_that_the_gateway_gets(scene: Scene, tmp_path: Path) -> None:
    status, out = command(scene.module, scene.stdin, tmp_path)
    assert status == 0
    assert out == by_the_gateway(scene)
    assert list(read_frames(out)) != list(scene.batches)  # it did something
    assert sum(map(len, read_frames(out))) > 0


@pytest.mark.parametrize("module", built_in())
def test_nothing_to_do_is_no_mistake(module: str, tmp_path: Path) -> None:
    assert command(module, b"", tmp_path) == (0, b"")


TABLE = HEAD.pack(MAGIC, 1, 7, 0) + struct.pack("<II7d", 1, 0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
BROKEN = {
    "another magic": (2, b"TGS2" + TABLE[4:]),
    "a head cut short": (2, TABLE[:9]),
    "a table cut short": (2, TABLE[:-1]),
    "a table beyond memory": (2, HEAD.pack(MAGIC, 0xFFFFFFFF, 64, 0)),
    "more parameters than any module has": (2, HEAD.pack(MAGIC, 1, 65, 0)),
    "more outputs than any module has": (2, HEAD.pack(MAGIC, 1, 64, 65)),
    "a frame's head cut short": (2, TABLE + b"\1\0\0\0\0"),
    "a frame cut short": (2, TABLE + frames([Batch.of([Reading(1, 1.0, 1)])])[:-1]),
    "a frame beyond memory": (2, TABLE + struct.pack("<II", 0xFFFFFFFF, 0xFFFFFFFF)),
    "parameters it does not have": (1, HEAD.pack(MAGIC, 0, 3, 0)),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_stream_that_is_none_ends_it_with_a_status(case: str, tmp_path: Path) -> None:
    status, stdin = BROKEN[case]
    assert command("scale", stdin, tmp_path) == (status, b"")


def test_what_came_before_a_break_was_written(tmp_path: Path) -> None:
    batch = Batch.of([Reading(1, 21.0, 1)])
    status, out = command("scale", TABLE + frames([batch]) + b"\1", tmp_path)
    assert status == 2
    assert [reading.value for read in read_frames(out) for reading in read] == [42.0]
