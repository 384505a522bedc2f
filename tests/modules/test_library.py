"""Every module of the library, by what lies in its folder: golden tables, and an oracle for any readings.

A new module needs no line here: put NAME.c, manifest.toml, README.md, oracle.py and golden/*.in.csv into a folder of
modules/filters, and `UPDATE_GOLDEN=1` writes the .out.csv: look at them before you commit.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.batch import Reading
from gateway.wasm.host import Host
from gateway.wasm.library import built_in, resolve
from gateway.wasm.manifest import Manifest, read_manifest
from gateway.workshop.cases import Case, Row
from gateway.workshop.trial import Rig, golden_cases, golden_result, settings_of, trial_host
from modules.build import MODULES
from modules.oracle import Made
from tests.modules.drawn import batches

FILTERS = MODULES / "filters"
CASES = [(folder.name, case) for folder in sorted(FILTERS.iterdir()) for case in golden_cases(folder)]
EXAMPLES = int(os.environ.get("TIDEGATE_EXAMPLES", "20"))
"""Of each module; the long form is `make modules-long`."""
MINE = ("one", "two")
TAGS = (*MINE, "stranger")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with trial_host(tmp_path_factory.mktemp("cache")) as host:
        yield host


def oracle_of(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"oracle_of_{name}", FILTERS / name / "oracle.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}-{case.name.split('.')[0]}" for name, case in CASES])
def test_golden(name: str, case: Path, host: Host) -> None:
    expected = case.with_name(case.name.replace(".in.csv", ".out.csv"))
    found = golden_result(host, name, case)
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(found)
    assert found == expected.read_text()


@pytest.mark.parametrize("name", built_in())
def test_a_module_has_all_that_belongs_to_it(name: str) -> None:
    assert golden_cases(FILTERS / name)
    manifest = read_manifest(resolve(name, Path()))
    readme = (FILTERS / name / "README.md").read_text()
    for one in (*manifest.params, *manifest.outputs):
        assert one.help
        # Thirty-two bits are not listed one by one.
        assert f"`{one.name}`" in readme or one.name.startswith("bit")
    assert f'module = "{name}"' in readme
    assert f"[{name}](filters/{name}/README.md)" in (MODULES / "README.md").read_text()


def whole_params(manifest: Manifest, given_ones: dict[str, object]) -> dict[str, object]:
    return {param.name: given_ones.get(param.name, param.default) for param in manifest.params}


def expected_rows(oracle: type, params: dict[str, object], rows: Iterable[Row], outputs: dict[str, str]) -> list[Row]:
    points = {tag: oracle(params) for tag in MINE}
    found = []
    for tag, reading in rows:
        for one in points[tag].reading(reading) if tag in points else [reading]:
            if not isinstance(one, Made):
                found.append(Row(tag, one))
            elif one.output in outputs:
                found.append(Row(f"{tag}.{outputs[one.output]}", one.reading))
    return found


def comparable(rows: Iterable[Row]) -> list[str]:
    """NaN equals NaN, and 1 is not 1.0."""
    return [f"{tag} {reading._replace(point=0, flags=int(reading.flags))!r}" for tag, reading in rows]


@pytest.mark.parametrize("name", built_in())
def test_it_does_what_its_oracle_does(name: str, host: Host) -> None:
    oracle, manifest = oracle_of(name), read_manifest(resolve(name, Path()))
    outputs = {output.name: f"my_{output.name}" for output in manifest.outputs} or None

    @settings(max_examples=EXAMPLES, deadline=None)
    @given(st.sampled_from(oracle.CASES), batches(TAGS))
    def run(params: dict[str, object], drawn: list[list[tuple[str, Reading]]]) -> None:
        told = settings_of(name, Case([], params, outputs, list(MINE)))
        with Rig(host, [told], TAGS) as rig:
            got = [row for rows in drawn for row in rig.feed([Row(*row) for row in rows])]
        all_rows = [Row(*row) for rows in drawn for row in rows]
        expected = expected_rows(oracle.Oracle, whole_params(manifest, params), all_rows, outputs or {})
        assert comparable(got) == comparable(expected)

    run()
