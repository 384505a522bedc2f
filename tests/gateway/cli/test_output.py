"""Where the output goes nowhere: one line, never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli import main

TIDEGATE = Path(sys.executable).with_name("tidegate")


@pytest.mark.parametrize("args", [["schema"], ["--help"]])
def test_a_full_disk(args):
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run([TIDEGATE, *args], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.startswith("tidegate: standard output cannot be written: No space left on device.")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", ["schema", "pki list --pki ."])
def test_a_closed_output(arguments):
    command = ["sh", "-c", f'"{TIDEGATE}" {arguments} >&-']
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (
        1,
        "tidegate: standard output is closed: there is nowhere to print to\n",
    )


def test_an_error_that_is_not_the_outputs_is_not_taken_for_one(monkeypatch):
    def fails(*_args, **_kwargs):
        raise OSError("a defect")

    monkeypatch.setattr("gateway.check.load", fails)
    with pytest.raises(OSError, match="a defect"):
        main(["check", "config.toml"])


def test_our_reader_tells_of_a_file_that_may_not_be_read(tmp_path, monkeypatch, capsys):
    # Root may read everything: a question to the system that says no is how click finds out.
    path = tmp_path / "config.toml"
    path.write_text('[gateway]\nid = "edge-7"\n')
    monkeypatch.setattr(os, "access", lambda *_args, **_kwargs: False)
    assert main(["check", str(path)]) == 0
    assert "edge-7" in capsys.readouterr().out
