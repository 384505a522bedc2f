"""The newcomer's path of modules/README.md, command by command; the last one is the demo, as a stranger runs it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from modules.build import MODULES


def commands() -> list[list[str]]:
    """The block of commands in the README; in words."""
    block = (MODULES / "README.md").read_text().split("```sh\n")[1].split("```")[0]
    return [shlex.split(line, comments=True) for line in block.splitlines()]


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    assert words[0] == "tidegate"
    command = [sys.executable, "-m", "gateway.cli", *words[1:]]
    env = {**os.environ, "PYTHONPATH": str(MODULES.parent)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=170, check=False)


@pytest.mark.timeout(240)
def test_a_newcomer_comes_from_nothing_to_the_demo_which_loses_nothing(tmp_path: Path) -> None:
    *before, demo = commands()
    assert len(before) + 1 < 10
    for words in before:
        done = run(words, tmp_path)
        assert done.returncode == 0, (words, done.stderr)
    done = run([*demo, "--json"], tmp_path)
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout.splitlines()[-1])
    assert verdict["lost"] == 0
    # What came in the moment before the stop may still be in the spool, on a slow machine.
    assert verdict["received"] + verdict["kept"] == verdict["produced"] > 0
    assert verdict["received"] > 0
    assert verdict["backlog_max"] > 0
    assert verdict["duplicates"] >= 0
    assert 0 < verdict["latency_ms"]["p50"] <= verdict["latency_ms"]["p99"]
    left_out, added = verdict["filters"]["my_filter"]
    assert left_out == added > 0  # it says each time how many it has left out
