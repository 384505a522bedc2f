"""The screens need no protocol, no broker client and no database: a box that only has the TUI can run it."""

import json
import subprocess
import sys

HEAVY = {"asyncua", "pymodbus", "sqlite3", "aiosqlite", "aiomqtt", "paho", "wasmtime", "uvicorn", "starlette"}
PROGRAM = """
import json, sys
from pathlib import Path
from tui.app import TidegateApp
from tui.i18n import Words
from tui.main import backend_for
from tui.session import Session
TidegateApp(Session(backend_for(file=Path("x.toml"), socket=None, check=str), Words()))
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_the_application_loads_no_heavy_library():
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    loaded = set(json.loads(ended.stdout))
    assert {"textual", "tomlkit", "tui", "gateway"} <= loaded
    assert loaded & HEAVY == set()
    assert "adapters" not in loaded
