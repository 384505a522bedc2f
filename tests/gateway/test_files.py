"""Files that are there whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from gateway.files import whole_file, write_whole


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_written_whole_with_the_mode_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    write_whole(path, b"first", mode=0o600)
    assert (path.read_bytes(), mode_of(path)) == (b"first", 0o600)
    path.chmod(0o644)
    write_whole(path, b"second", mode=0o600)
    assert (path.read_bytes(), mode_of(path)) == (b"second", 0o600)


def test_a_file_that_is_replaced_may_give_its_mode_and_owner_to_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "tags.csv"
    path.write_bytes(b"old")
    path.chmod(0o664)
    if os.geteuid() == 0:
        os.chown(path, 1234, 1234)
    before = path.stat()
    with whole_file(path, mode=0o600, keep=True) as file:
        file.write(b"new")
    after = path.stat()
    assert (path.read_bytes(), after.st_mode, after.st_uid) == (b"new", before.st_mode, before.st_uid)
    fresh = tmp_path / "fresh.csv"
    with whole_file(fresh, mode=0o640, keep=True) as file:
        file.write(b"new")
    assert mode_of(fresh) == 0o640


def test_nothing_changes_where_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"old")

    def write_half() -> None:
        with whole_file(path, mode=0o600) as file:
            file.write(b"half of")
            file.flush()
            # Nobody else can read it, and nobody takes it for the file.
            (hidden,) = [one for one in tmp_path.iterdir() if one != path]
            assert hidden.name.startswith(".config.toml.")
            assert mode_of(hidden) == 0o600
            raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        write_half()
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_bytes() == b"old"
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "nowhere" / "file", b"", mode=0o600)
