"""The systemd unit, before the eyes of systemd's own tools."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "image" / "systemd" / "tidegate.service"
SERIAL = UNIT.with_name("serial.conf")
MOST_EXPOSURE = 25
"""Of 100, in tenths of what `systemd-analyze security` shows; a unit without any protection has 96."""


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)


def install(folder: Path) -> Path:
    """The unit as it stands on a machine, but for the program, which is not where the manual puts it."""
    unit = folder / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/tidegate/bin/tidegate", "/bin/true"))
    return unit


def install_with_serial_ports(folder: Path) -> Path:
    drop_ins = folder / f"{UNIT.name}.d"
    drop_ins.mkdir()
    shutil.copy(SERIAL, drop_ins)
    return install(folder)


@pytest.mark.parametrize("install", [install, install_with_serial_ports])
def test_systemd_takes_the_unit(install: Callable[[Path], Path], tmp_path: Path) -> None:
    done = analyze("--man=no", "verify", str(install(tmp_path)))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_may_do_little() -> None:
    done = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSURE}", "--json=short", str(UNIT))
    assert done.returncode == 0, [one for one in json.loads(done.stdout) if not one["set"]]


def test_a_serial_port_is_all_that_the_drop_in_opens(tmp_path: Path) -> None:
    def settings(unit: Path) -> dict[str, tuple[bool, str]]:
        told = analyze("security", "--offline=true", "--json=short", str(unit))
        return {one["name"]: (one["set"], one["description"]) for one in json.loads(told.stdout)}

    before, after = settings(install(tmp_path)), settings(install_with_serial_ports(tmp_path))
    changed = {name: after[name] for name in after if after[name] != before[name]}
    assert changed.keys() == {"PrivateDevices=", "DeviceAllow=", "SupplementaryGroups="}
    allowed = changed["DeviceAllow="][1].partition(": ")[2].split()
    assert set(allowed) == {f"char-{kind}:rw" for kind in ("ttyUSB", "ttyACM", "ttyS", "ttyAMA")} | {"char-rtc:r"}


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
