"""`tidegate demo` as a stranger runs it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.timeout(180)
def test_demo_tells_its_story_and_loses_nothing() -> None:
    command = [sys.executable, "-m", "gateway.cli", "demo", "--seconds", "15", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout.splitlines()[-1])
    assert verdict["lost"] == 0
    assert verdict["received"] == verdict["produced"] > 0
    assert verdict["backlog_max"] > 0
    assert verdict["duplicates"] >= 0
    assert 0 < verdict["latency_ms"]["p50"] <= verdict["latency_ms"]["p99"]
