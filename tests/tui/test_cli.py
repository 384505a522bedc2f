"""`tidegate tui`: what it says where it cannot start."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, sys
sys.modules.update(dict.fromkeys(json.loads(sys.argv[1])))
from gateway.cli import main
sys.exit(main(json.loads(sys.argv[2])))
"""


def run(*args, without=()):
    command = [sys.executable, "-c", PROGRAM, json.dumps(without), json.dumps(["tui", *args])]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("library", ["textual", "tomlkit"])
def test_without_the_extra_it_tells_what_to_install(library):
    ended = run("x.toml", without=[library])
    assert ended.returncode == 1
    assert ended.stderr == "tidegate: the screens are not installed here: pip install tidegate[tui]\n"


def test_without_a_terminal_it_names_the_commands_that_need_none():
    ended = run("x.toml")
    assert ended.returncode == 1
    assert "need a terminal" in ended.stderr


def test_without_a_file_and_a_socket_it_asks_for_one():
    ended = run()
    assert ended.returncode == 2
    assert "Give FILE, or --socket PATH" in ended.stderr
