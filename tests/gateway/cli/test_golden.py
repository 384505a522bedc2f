"""Bad configurations and bad usage, each with the text that a person is given for it.

A case is a folder below tests/golden/config: a configuration, what else it needs, and `expected.txt`: the exit status,
then standard error. `args.txt` holds the command's words, one a line, where they are not `check config.toml`.
`UPDATE_GOLDEN=1` writes the texts anew; read the difference before you keep it.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli import main

CASES = Path(__file__).parents[2] / "golden" / "config"
NAMES = sorted(path.name for path in CASES.iterdir() if path.is_dir())
IN_A_PROCESS = ("file_missing", "many_at_once", "module_parameter_unknown", "status_no_gateway", "usage_no_command")
SECRETS = ("hunter2", "31415926", "from-outside")


def arguments(case: Path) -> list[str]:
    file = case / "args.txt"
    return file.read_text().splitlines() if file.exists() else ["check", "config.toml"]


def golden(case: Path, status: int, stderr: str) -> str:
    return f"exit {status}\n{stderr}".replace(str(case), "HERE")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_wrong_is_told(name, monkeypatch, capsys):
    case = CASES / name
    monkeypatch.chdir(case)
    monkeypatch.setenv("TIDEGATE_TEST_SECRET", "from-outside")
    monkeypatch.delenv("TIDEGATE_TEST_NOT_SET", raising=False)
    monkeypatch.delenv("TIDEGATE_CONFIG", raising=False)

    status = main(arguments(case))

    told = capsys.readouterr()
    text = golden(case, status, told.err)
    if os.environ.get("UPDATE_GOLDEN"):
        (case / "expected.txt").write_text(text)
    assert text == (case / "expected.txt").read_text()
    assert told.out == ""
    assert "Traceback" not in text
    assert not any(secret in text for secret in SECRETS)


@pytest.mark.parametrize("name", IN_A_PROCESS)
def test_the_real_command_tells_the_same(name):
    case = CASES / name
    env = {key: value for key, value in os.environ.items() if not key.startswith("TIDEGATE_")}

    ended = subprocess.run(
        [Path(sys.executable).with_name("tidegate"), *arguments(case)],
        cwd=case,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert golden(case, ended.returncode, ended.stderr) == (case / "expected.txt").read_text()
    assert ended.stdout == ""


def test_each_kind_of_mistake_has_its_case():
    assert len(NAMES) >= 60
    assert set(IN_A_PROCESS) <= set(NAMES)
