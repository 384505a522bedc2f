"""`check`, `schema` and `--help` are quick on a small box because they load none of the heavy libraries."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "asyncua",
    "cryptography",
    "pymodbus",
    "wasmtime",
    "sqlite3",
    "aiosqlite",
    "aiomqtt",
    "paho",
    "uvicorn",
    "starlette",
    "textual",
    "regopy",
}
EXAMPLE = Path(__file__).parents[3] / "config" / "example.toml"
PROGRAM = """
import json, sys
from gateway.cli import main
status = main(json.loads(sys.argv[1]))
print(json.dumps([status, sorted({name.partition(".")[0] for name in sys.modules})]), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "args", [["--help"], ["--version"], ["check", str(EXAMPLE)], ["schema"], ["demo", "--help"], ["run", "--help"]]
)
def test_no_heavy_library_is_loaded(args):
    env = {key: value for key, value in os.environ.items() if not key.startswith("TIDEGATE_")}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(args)], env=env, capture_output=True, text=True, timeout=60
    )
    status, loaded = json.loads(ended.stderr)
    assert status == 0
    assert "gateway" in loaded
    assert HEAVY & set(loaded) == set()
