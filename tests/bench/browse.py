"""What `tidegate browse` takes for a server of 100,000 variables, and `tidegate check` for the file that it writes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NODES = 100_000
_TIDEGATE = Path(sys.executable).with_name("tidegate")


def run() -> dict[str, float]:
    """Prints and gives seconds and megabytes of both commands."""
    command = [sys.executable, "-m", "tests.bench.many_nodes", str(NODES)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as folder:
            table, config = Path(folder, "tags.csv"), Path(folder, "config.toml")
            figures = _measured("browse", ["browse", url, "--csv", str(table)])
            rows = table.read_text().count("\n") - 1
            config.write_text(f'[[devices]]\nname = "a"\ntype = "opcua"\nurl = "{url}"\ntags_file = "tags.csv"\n')
            figures |= _measured("check", ["check", str(config)])
        server.communicate()
    print(f"{rows:,} variables")
    return figures | {"variables": rows}


def _measured(name: str, arguments: list[str]) -> dict[str, float]:
    began_s = time.perf_counter()
    process = subprocess.Popen([_TIDEGATE, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"tidegate {name} ended with {process.returncode}")
    seconds, megabytes = time.perf_counter() - began_s, usage.ru_maxrss / 1000
    print(f"{name:8} {seconds:6.1f} s  {megabytes:6.0f} MB at most")
    return {f"{name}_s": seconds, f"{name}_mb": megabytes}
