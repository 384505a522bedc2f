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

ONLY_THE_DEMO_HAS = ("pymodbus", "amqtt")
HEADLESS = f"""
import pkgutil, sys
from importlib import import_module
for library in {ONLY_THE_DEMO_HAS}:
    sys.modules[library] = None  # as if it were not installed
import adapters, gateway
from gateway.cli import main
number = 0
for package in (gateway, adapters):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.startswith(("gateway.demo", "adapters.plant")):
            import_module(module.name)
            number += 1
print(number, main(["check", sys.argv[1]]), main(["demo"]))
"""


def test_the_gateway_needs_nothing_that_only_the_demo_has():
    command = [sys.executable, "-c", HEADLESS, str(EXAMPLE)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    number, checked, shown = ended.stdout.splitlines()[-1].split()
    assert int(number) > 100
    assert (checked, shown) == ("0", "1")
    assert ended.stderr == "tidegate: the simulated plant is not installed here: pip install tidegate[demo]\n"


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
    # Filters are started once, in the sandbox: only their modules know whether their parameters go together.
    assert HEAVY & set(loaded) == ({"wasmtime"} if args[0] == "check" else set())
