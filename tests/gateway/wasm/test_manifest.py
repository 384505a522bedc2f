import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ModuleError
from gateway.wasm.library import built_in, resolve
from gateway.wasm.manifest import (
    SECTION,
    check_params,
    parse_manifest,
    read_manifest,
    resolve_params,
)
from gateway.wasm.sections import MAX_WASM_BYTES, custom_section, sections, with_custom_section
from tests.gateway.wasm.guests import manifest

EMPTY_MODULE = b"\x00asm\x01\x00\x00\x00"
PARAMS = [
    {"name": "factor", "default": 1.0},
    {"name": "count", "type": "integer", "min": 1, "max": 10, "unit": "s"},
    {"name": "invert", "type": "boolean", "default": False},
    {"name": "percent", "default": 0.0, "needs": "span"},
    {"name": "span", "default": 0.0},
]


def wasm_with(section: bytes) -> bytes:
    return with_custom_section(EMPTY_MODULE, SECTION, section)


def parsed(**changes):
    return parse_manifest(wasm_with(json.dumps(manifest(**changes)).encode()), "m.wasm")


def test_a_manifest_is_read_with_its_defaults(tmp_path):
    path = tmp_path / "m.wasm"
    path.write_bytes(wasm_with(json.dumps(manifest(params=PARAMS, from_the_future=[1])).encode()))
    read = read_manifest(path)
    assert (read.name, read.version, read.abi, read.stateful, read.outputs) == ("guest", "1.0.0", 1, False, ())
    assert [param.name for param in read.params] == ["factor", "count", "invert", "percent", "span"]


@pytest.mark.parametrize(
    ("wasm", "words"),
    [
        (b"", "no WebAssembly"),
        (b"\x7fELF", "no WebAssembly"),
        (b"\x00asm", "version"),
        (b"\x00asm\x02\x00\x00\x00", "version"),
        (b"\x00asm\x0d\x00\x01\x00", "component"),
        (EMPTY_MODULE, "no section 'tidegate'"),
        (EMPTY_MODULE + b"\x00\xff\xff\xff\xff\x0f", "cut short"),
        (EMPTY_MODULE + b"\x00\xff\xff\xff\xff\xff\x01", "32 bits"),
        (EMPTY_MODULE + b"\x00\xff\xff\xff\xff\x7f", "32 bits"),
        (EMPTY_MODULE + b"\x00\x80", "cut short"),
        (EMPTY_MODULE + b"\x00\x02\x08a", "beyond its section"),
        (EMPTY_MODULE + b"\x00\x02\x01\xff", "UTF-8"),
        (EMPTY_MODULE + b"\x01\x00" * 1_001, "more than 1000"),
        (wasm_with(b"{}") + wasm_with(b"{}")[8:], "2 sections"),
        (wasm_with(b""), "cannot be used"),
        (wasm_with(b"\xff\xfe"), "cannot be used"),
        (wasm_with(b"[" * 60_000), "cannot be used"),
        (wasm_with(b'{"abi":1,"deep":' + b"[" * 60_000), "cannot be used"),
        (wasm_with(b" " * 70_000), "larger than"),
        (wasm_with(b'{"abi":2}'), "speaks ABI 2, this gateway speaks ABI 1: update the gateway"),
        (wasm_with(b'{"abi":0}'), "build the module anew"),
        (wasm_with(b'{"abi":"1"}'), "cannot be used"),
        (wasm_with(b'{"abi":1}'), "name"),
    ],
)
def test_what_is_no_module_of_ours_is_refused_with_a_reason(wasm, words):
    with pytest.raises(ModuleError, match=words):
        parse_manifest(wasm, "m.wasm")


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Not a name"},
        {"name": "line_end\n"},
        {"version": ""},
        {"summary": "x" * 1_000},
        {"params": [{"name": f"p{n}"} for n in range(65)]},
        {"params": [{"name": "a"}, {"name": "a"}]},
        {"params": [{"name": "a", "needs": "b"}]},
        {"params": [{"name": "a", "min": 1.0, "default": 0.0}]},
        {"params": [{"name": "a", "default": True}]},
        {"params": [{"name": "a", "type": "boolean", "default": 1.0}]},
        {"params": [{"name": "a", "type": "text"}]},
        {"params": [{"name": "a", "type": "choice"}]},
        {"params": [{"name": "a", "choices": ["x"]}]},
        {"params": [{"name": "a", "type": "choice", "choices": ["x"], "default": "y"}]},
        {"params": [{"name": "a", "type": "choice", "choices": ["x", "y"], "groups": ["g"]}]},
        {"params": [{"name": "a", "type": "choice", "choices": ["x"], "groups": ["g"], "same_group_as": "b"}]},
        {"outputs": [{"name": "a"}, {"name": "a"}]},
        {"outputs": [{"name": "a", "kind": "f32"}]},
        {"accepts": []},
        {"gives": "number"},
        {"state": -1},
    ],
)
def test_a_manifest_that_breaks_a_bound_is_refused_whole(changes):
    with pytest.raises(ModuleError, match=r"m\.wasm: its manifest"):
        parsed(**changes)


@given(st.binary(max_size=300), st.integers(0, 8))
def test_any_bytes_are_a_module_or_a_module_error(noise, keep):
    with contextlib.suppress(ModuleError):
        list(sections(EMPTY_MODULE[:keep] + noise))


@given(st.data())
def test_a_manifest_with_any_byte_changed_is_read_or_refused(data):
    whole = resolve("deadband", Path()).read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :]
    with contextlib.suppress(ModuleError):
        parse_manifest(changed, "m.wasm")


def test_other_custom_sections_are_taken_out():
    once = with_custom_section(EMPTY_MODULE, "producers", b"some compiler in /home/somebody")
    twice = with_custom_section(once, SECTION, b"x" * 300)
    assert custom_section(twice, "producers") is None
    assert custom_section(twice, SECTION) == b"x" * 300


def test_a_file_that_is_missing_or_too_large_is_refused(tmp_path):
    with pytest.raises(ModuleError, match="cannot be read: No such file"):
        read_manifest(tmp_path / "none.wasm")
    with pytest.raises(ModuleError, match="cannot be read"):
        read_manifest(tmp_path)
    large = tmp_path / "large.wasm"
    with large.open("wb") as file:
        file.truncate(MAX_WASM_BYTES + 1)
    with pytest.raises(ModuleError, match="larger than"):
        read_manifest(large)


@pytest.mark.parametrize(
    ("params", "wrong"),
    [
        ({"count": 1}, {}),
        ({"count": 10.0, "factor": -3, "invert": True}, {}),
        ({}, {"count": "is missing"}),
        ({"count": 0}, {"count": "at least 1 s"}),
        ({"count": 11}, {"count": "at most 10 s"}),
        ({"count": 1.5}, {"count": "expected an integer"}),
        ({"count": True}, {"count": "expected an integer"}),
        ({"count": 1, "factor": "2"}, {"factor": "expected a number"}),
        ({"count": 1, "factor": None}, {"factor": "expected a number"}),
        ({"count": 1, "factor": float("nan")}, {"factor": "finite"}),
        ({"count": 1, "factor": 10**400}, {"factor": "finite"}),
        ({"count": 1, "invert": 1}, {"invert": "true or false"}),
        ({"count": 1, "facter": 1.0}, {"facter": "did you mean factor?"}),
        ({"count": 1, "zzz": 1.0}, {"zzz": "it has factor, count, invert, percent, span"}),
        ({"count": 1, "percent": 5.0}, {"percent": "needs span"}),
        ({"count": 1, "percent": 5.0, "span": 100}, {}),
        ({"count": 1, "percent": 0.0}, {}),
    ],
)
def test_parameters_are_held_against_the_manifest(params, wrong):
    described = parsed(params=PARAMS)
    found = dict(check_params(described, params))
    assert found.keys() == wrong.keys()
    for name, words in wrong.items():
        assert words in found[name]
    if wrong:
        with pytest.raises(ModuleError, match=f"guest: {next(iter(wrong))} "):
            resolve_params(described, params)
    else:
        assert len(resolve_params(described, params)) == len(PARAMS)


def test_parameters_are_resolved_in_the_manifests_order():
    assert resolve_params(parsed(params=PARAMS), {"invert": True, "count": 3}) == (1.0, 3.0, 1.0, 0.0, 0.0)


def test_modules_are_found_by_name_or_path(tmp_path):
    assert {"deadband", "scale"} <= set(built_in())
    assert resolve("scale", tmp_path).name == "scale.wasm"
    own = tmp_path / "own.wasm"
    own.write_bytes(b"")
    assert resolve("own.wasm", tmp_path) == own
    assert resolve(str(own), Path("/nowhere")) == own


@pytest.mark.parametrize("module", ["scales", "", "own.wasm", "./scale", "../dist/scale", "/scale.wasm"])
def test_an_unknown_module_is_refused(module, tmp_path):
    with pytest.raises(ModuleError, match=r"deadband, .*scale, |there is no file"):
        resolve(module, tmp_path)


def test_checking_a_configuration_needs_no_wasmtime():
    code = "import sys, gateway.wasm.manifest, gateway.wasm.library; sys.exit('wasmtime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
