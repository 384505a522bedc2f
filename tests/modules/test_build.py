import hashlib
import shutil

import pytest

from gateway.errors import ModuleError
from gateway.wasm.library import built_in
from gateway.wasm.manifest import SECTION, read_manifest
from gateway.wasm.sections import sections
from modules import build


def test_the_committed_modules_are_what_the_sources_give():
    assert build.main(["--check"]) == 0


def test_a_difference_fails_the_check(tmp_path, monkeypatch, capsys):
    real = build.DIST
    for path in real.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    scale = tmp_path / "scale.wasm"
    scale.write_bytes(scale.read_bytes() + b"\x00")
    (tmp_path / "left_over.wasm").write_bytes(b"")
    monkeypatch.setattr(build, "build_all", lambda out: shutil.copytree(real, out, dirs_exist_ok=True))
    monkeypatch.setattr(build, "DIST", tmp_path)
    assert build.main(["--check"]) == 1
    assert "left_over.wasm, scale.wasm. Run: make modules" in capsys.readouterr().err


@pytest.mark.parametrize("name", built_in())
def test_a_built_module_describes_itself_and_nothing_of_its_making(name):
    path = build.DIST / f"{name}.wasm"
    manifest = read_manifest(path)
    assert (manifest.name, manifest.abi, manifest.licence) == (name, 1, "Apache-2.0")
    wasm = path.read_bytes()
    assert [section.name for section in sections(wasm) if section.number == 0] == [SECTION]
    assert str(build.MODULES).encode() not in wasm
    assert f"{hashlib.sha256(wasm).hexdigest()}  {name}.wasm\n" in (build.DIST / build.SUMS).read_text()


def test_the_library_is_small():
    assert sum(path.stat().st_size for path in build.DIST.glob("*.wasm")) < 200_000


def test_a_source_that_does_not_compile_is_shown_with_the_compilers_words(tmp_path):
    source = tmp_path / "broken.c"
    source.write_text("int x = ;\n")
    with pytest.raises(ModuleError, match="expected expression"):
        build.compile_c(source, tmp_path / "broken.wasm", tmp_path)
