import os
import stat
from pathlib import Path

import pytest

from gateway.config import versions as module
from gateway.config.versions import fingerprint, read_version, unwritable, versions, write_versioned
from gateway.errors import TidegateError


def test_a_new_file_is_made_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    write_versioned(file, "a = 1\n")
    assert file.read_bytes() == b"a = 1\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert versions(file) == []


def test_earlier_texts_are_kept_newest_first_with_their_times(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    for number in range(1, 5):
        write_versioned(file, f"a = {number}\n" * number, keep=2)
        os.utime(file, (1_000.0 * number, 1_000.0 * number))
    assert [(version.name, version.at, version.bytes) for version in versions(file)] == [
        ("000003.toml", 3_000.0, 18),
        ("000002.toml", 2_000.0, 12),
    ]
    assert read_version(file, "000002.toml") == "a = 2\n" * 2
    with pytest.raises(TidegateError, match="no earlier version"):
        read_version(file, "../gateway.toml")


@pytest.mark.parametrize("writes", range(14))
def test_the_newest_ten_are_kept(tmp_path: Path, writes: int) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text("0")
    for number in range(1, writes + 1):
        write_versioned(file, str(number))
    kept = [read_version(file, version.name) for version in versions(file)]
    assert kept == [str(number) for number in range(writes - 1, -1, -1)][:10]


def test_nothing_is_kept_where_nothing_is_to_be_kept(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    write_versioned(file, "a")
    write_versioned(file, "b", keep=0)
    assert file.read_text() == "b"
    assert [entry.name for entry in tmp_path.iterdir()] == ["gateway.toml"]


def test_mode_owner_and_line_ends_stay(tmp_path: Path) -> None:
    file = tmp_path / "gateway.json"
    file.write_bytes(b"{}\r\n")
    file.chmod(0o640)
    owner = (file.stat().st_uid, file.stat().st_gid)
    write_versioned(file, '{"a": "Ä"}\r\n')
    assert file.read_bytes() == '{"a": "Ä"}\r\n'.encode()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert (file.stat().st_uid, file.stat().st_gid) == owner


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "data" / "real.toml"
    real.parent.mkdir()
    real.write_text("old")
    link = tmp_path / "gateway.toml"
    link.symlink_to(real)
    write_versioned(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert [version.name for version in versions(link)] == ["000001.toml"]


def test_strangers_in_the_history_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    write_versioned(file, "1")
    write_versioned(file, "2")
    (tmp_path / "gateway.toml.history" / "notes.txt").write_text("mine")
    for text in ("3", "4"):
        write_versioned(file, text, keep=1)
    assert sorted(entry.name for entry in (tmp_path / "gateway.toml.history").iterdir()) == ["000003.toml", "notes.txt"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((module.os, "fsync") if call == "fsync" else (module.Path, "replace")), fail)
    with pytest.raises(TidegateError, match="disk is full"):
        write_versioned(file, "new")
    monkeypatch.undo()
    assert file.read_text() == "old"
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(".")]


def test_a_file_that_may_not_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text("old")
    assert unwritable(file) == ""
    assert "no folder" in unwritable(tmp_path / "nowhere" / "gateway.toml")
    # The tests may run as root, to whom no file is read-only: the system's answer is what is made up here.
    monkeypatch.setattr(module.os, "access", lambda *_: False)
    with pytest.raises(TidegateError, match="ConfigMap"):
        write_versioned(file, "new")
    assert file.read_text() == "old"


def test_the_fingerprint_is_the_sha256_of_the_text() -> None:
    assert fingerprint("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
