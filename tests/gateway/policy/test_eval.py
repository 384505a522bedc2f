"""`tidegate policy eval`: questions, and the answers that a person is given.

A case is a folder below tests/golden/policy: `args.txt` with the command's words, one a line, the files it needs, and
`expected.txt`: the exit status, then standard output, then standard error. `UPDATE_GOLDEN=1` writes the texts anew;
read the difference before you keep it.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.policy.evaluate import value_of

CASES = Path(__file__).parents[2] / "golden" / "policy"
NAMES = sorted(path.name for path in CASES.iterdir() if path.is_dir())


def golden(case: Path, status: int, out: str, err: str) -> str:
    return f"exit {status}\n{out}{err}".replace(str(case), "HERE")


@pytest.mark.parametrize("name", NAMES)
def test_a_question_and_its_answer(name, monkeypatch, capfd):
    case = CASES / name
    monkeypatch.chdir(case)
    monkeypatch.delenv("TIDEGATE_CONFIG", raising=False)

    status = main((case / "args.txt").read_text().splitlines())

    told = capfd.readouterr()
    text = golden(case, status, told.out, told.err)
    if os.environ.get("UPDATE_GOLDEN"):
        (case / "expected.txt").write_text(text)
    assert text == (case / "expected.txt").read_text()
    assert (status == 0) == told.out.startswith("allowed")
    assert (status == 1) == told.out.startswith("denied")
    assert bool(told.err) == (status == 2)


@pytest.mark.parametrize("name", ["write_allowed", "write_beyond_the_limit", "syntax_error"])
def test_the_real_command_answers_the_same(name):
    case = CASES / name
    ended = subprocess.run(
        [Path(sys.executable).with_name("tidegate"), *(case / "args.txt").read_text().splitlines()],
        cwd=case,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert golden(case, ended.returncode, ended.stdout, ended.stderr) == (case / "expected.txt").read_text()


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("5", 5),
        ("5.0", 5.0),
        ("-1e3", -1000.0),
        ("true", True),
        ("True", "True"),
        ('"5"', "5"),
        ("press", "press"),
        ("", ""),
        ("null", "null"),
        ("NaN", "NaN"),
        ("[1]", "[1]"),
        ("{", "{"),
    ],
)
def test_a_word_of_the_command_line_is_a_value(word, value):
    assert value_of(word) == value
    assert type(value_of(word)) is type(value)
