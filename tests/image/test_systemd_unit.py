"""The systemd unit, before the eyes of systemd's own tools."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

UNIT = Path(__file__).parents[2] / "image" / "systemd" / "tidegate.service"
MOST_EXPOSURE = 25
"""Of 100, in tenths of what `systemd-analyze security` shows; a unit without any protection has 96."""


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    # The programs are where the manual puts them, which is not on this machine.
    text = UNIT.read_text().replace("/opt/tidegate/bin/tidegate", "/bin/true")
    (tmp_path / UNIT.name).write_text(text)
    done = analyze("--man=no", "verify", str(tmp_path / UNIT.name))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_may_do_little() -> None:
    done = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSURE}", "--json=short", str(UNIT))
    assert done.returncode == 0, [one for one in json.loads(done.stdout) if not one["set"]]


def test_a_wrong_configuration_is_not_tried_again() -> None:
    # `tidegate run` ends with 2; a check before it would be another process, whose status systemd does not look at.
    lines = UNIT.read_text().splitlines()
    assert "RestartPreventExitStatus=2" in lines
    assert not [line for line in lines if line.startswith("ExecStartPre")]


def test_it_speaks_as_the_gateway_does() -> None:
    lines = UNIT.read_text().splitlines()
    assert "Type=notify" in lines
    assert "NotifyAccess=main" in lines
    assert any(line.startswith("WatchdogSec=") for line in lines)
