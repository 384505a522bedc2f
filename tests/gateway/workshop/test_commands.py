"""`tidegate module ...`: what somebody who writes a module sees, above all where it is wrong."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import pytest

from gateway.batch import Batch, Flag, Kind, Reading
from gateway.cli import main
from gateway.wasm.failure import GuestFailure
from gateway.wasm.instance import Instance
from gateway.wasm.library import built_in, resolve
from gateway.workshop.trial import golden_cases, golden_result, table_text, trial_host
from modules.build import MODULES


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    assert main(["module", "new", str(tmp_path / "mine")]) == 0
    return tmp_path / "mine"


def a_folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def describe(folder: Path, manifest: str) -> None:
    (folder / "manifest.toml").write_text(manifest)


def test_the_library_is_listed_and_each_can_be_inspected(capsys) -> None:
    assert main(["module", "list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == built_in()
    for name in built_in():
        assert main(["module", "inspect", name, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["sha256"] == hashlib.sha256(resolve(name, Path()).read_bytes()).hexdigest()
        assert told["abi"] == 1
        assert main(["module", "inspect", name]) == 0
        text = capsys.readouterr().out
        assert f'[[filters]]\nmodule = "{name}"\n' in text
        assert all(param["help"] in text for param in told["params"])


def test_a_module_of_ones_own_is_shown_with_its_pin(mine: Path, capsys) -> None:
    assert main(["module", "build", str(mine)]) == 0
    pin = hashlib.sha256((mine / "mine.wasm").read_bytes()).hexdigest()
    assert f'sha256 = "{pin}"' in capsys.readouterr().out


def test_an_answer_that_is_not_as_expected_is_shown_and_may_be_written(mine: Path, capsys) -> None:
    answer = mine / "golden" / "first.out.csv"
    right = answer.read_text()
    answer.write_text(right.replace("20.5", "99.5"))
    assert main(["module", "test", str(mine)]) == 1
    told = capsys.readouterr()
    assert "-0,temperature,99.5\n+0,temperature,20.5\n" in told.out
    assert "1 of 1 cases are not as expected" in told.err
    assert main(["module", "test", str(mine), "--update"]) == 0
    assert answer.read_text() == right


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda mine: (mine / "mine.c").write_text("int x = ;\n"), "mine.c does not compile"),
        (lambda mine: (mine / "mine.c").unlink(), "there is no mine.c in it"),
        (lambda mine: describe(mine, "name ="), "is no TOML"),
        (
            lambda mine: (mine / "manifest.toml").write_text('name = "other"\nversion = "1"\nabi = 1\n'),
            "name both alike",
        ),
        (lambda mine: (mine / "manifest.toml").write_text('name = "mine"\nversion = "1"\nabi = 2\n'), "speaks ABI 2"),
        (lambda mine: (mine / "golden" / "first.in.csv").write_text("time\n"), "expected the columns"),
        (lambda mine: (mine / "golden" / "first.in.csv").unlink(), "has no golden tests"),
        (
            lambda mine: (mine / "golden" / "first.in.csv").write_text("°", "latin-1"),
            "first.in.csv is no text in UTF-8",
        ),
        (lambda mine: a_folder(mine / "golden" / "first.out.csv"), "first.out.csv cannot be read: Is a directory"),
        (lambda mine: a_folder(mine / "mine.wasm"), "mine.wasm cannot be made"),
    ],
)
def test_what_is_wrong_in_a_folder_is_told(mine: Path, damage, words: str, capsys) -> None:
    damage(mine)
    assert main(["module", "test", str(mine)]) == 1
    assert words in capsys.readouterr().err


def test_a_table_as_a_spreadsheet_writes_it_is_read(tmp_path: Path) -> None:
    table = tmp_path / "first.in.csv"
    table.write_bytes("\ufefftime,tag,value\r\n0,t,1\r\n".encode())
    assert table_text(table) == "time,tag,value\n0,t,1\n"


def test_a_name_that_is_none_and_one_that_is_taken(mine: Path, capsys) -> None:
    assert main(["module", "new", str(mine)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert main(["module", "new", str(mine.parent / "My-Filter")]) == 1
    assert "is no name of a module" in capsys.readouterr().err
    assert main(["module", "build", str(mine.parent / "none")]) == 1
    assert "is no folder" in capsys.readouterr().err


def test_a_chain_is_measured(capsys) -> None:
    assert main(["module", "bench", "convert", "window", "bits", "--readings", "20", "--rounds", "10"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:7:2]] == ["convert", "window", "bits"]
    assert lines[-1].startswith("one reading, us")


def of(points: list[int], turn: int) -> Batch:
    return Batch.of(Reading(turn * 1_000_000_000, float(turn * (point % 7)), point) for point in points)


@pytest.fixture
def zig(tmp_path: Path) -> Path:
    assert main(["module", "new", str(tmp_path / "my_zig"), "--lang", "zig"]) == 0
    assert main(["module", "test", str(tmp_path / "my_zig")]) == 0
    return tmp_path / "my_zig" / "my_zig.wasm"


def test_a_module_in_zig_does_what_one_in_c_does(zig: Path) -> None:
    """Points in any order, strangers, room for more answers than readings, and a state."""
    points = random.Random(7).sample(range(1, 10_000), 2_000)
    outputs = [[0 if point % 3 == 0 else 20_000 + point for point in points]]
    with trial_host() as host:
        loaded = host.load_bytes(zig.read_bytes(), zig)
        assert (loaded.manifest.name, loaded.manifest.state) == ("my_zig", 1)
        first = Instance(host, loaded, points, [(60.0,)] * 2_000, outputs=outputs)
        stranger = Batch.of([Reading(5, "as it is", 10_001, kind=Kind.STR)])
        assert first.process(stranger) is stranger
        later = list(points)
        random.Random(8).shuffle(later)
        for turn, order in enumerate([points, later], 1):
            out = list(first.process(of(order, turn)))
            made = [reading for reading in out if reading.flags & Flag.DERIVED]
            assert [r.value for r in out if not r.flags] == [float(turn * (point % 7)) for point in order]
            assert [(r.point, r.value) for r in made] == [
                (20_000 + point, float(turn * (point % 7))) for point in order if point % 3
            ]
        state = first.save()
        first.close()
        second = Instance(host, loaded, later, [(60.0,)] * 2_000, outputs=[[20_000 + point for point in later]])
        second.load(state)
        low = Batch.of(Reading(3_000_000_000, 0.0, point) for point in later)
        held = [reading.value for reading in second.process(low) if reading.flags]
        assert held == [float(2 * (point % 7)) for point in later]
        second.close()
        with pytest.raises(GuestFailure, match="do not go together"):
            Instance(host, loaded, [1, 1], [(60.0,), (60.0,)])
        with pytest.raises(GuestFailure, match="do not go together"):
            Instance(host, loaded, [1], [(0.0,)])


def test_a_module_in_assemblyscript_keeps_the_abi_without_any_sdk(tmp_path: Path) -> None:
    folder = MODULES / "examples" / "median3"
    built = folder / "median3.wasm"
    (case,) = golden_cases(folder)
    with trial_host() as host:
        assert golden_result(host, str(built), case) == case.with_name("spike.out.csv").read_text()
        instance = Instance(host, host.load_bytes(built.read_bytes(), built), range(1, 5_001), [()] * 5_000)
        for turn in range(4):  # many rows, and a room that grows
            big = Batch.of(Reading(turn, float(turn), point) for point in range(1, 5_001) for _ in range(turn + 1))
            assert len(instance.process(big)) == len(big)
        instance.close()
    # The manifest in it is what stands beside it.
    bare = tmp_path / "bare.wasm"
    bare.write_bytes(built.read_bytes())
    copy = tmp_path / "median3"
    copy.mkdir()
    (copy / "manifest.toml").write_text((folder / "manifest.toml").read_text())
    assert main(["module", "build", str(copy), "--wasm", str(bare)]) == 0
    assert (copy / "median3.wasm").read_bytes() == built.read_bytes()
