"""File systems of a child's own: how a command gets mounts that nobody else sees, and that go with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["fill", "mount", "namespace", "run_on_a_small_disk"]


def namespace() -> list[str] | None:
    """What to put before a command; None where the kernel allows it in no way."""
    for prefix in (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"]):
        mount = [*prefix, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        try:
            if subprocess.run(mount, capture_output=True, timeout=30, check=False).returncode == 0:
                return prefix
        except FileNotFoundError:
            return None
    return None


def run_on_a_small_disk(module: str, folder: Path) -> bool:
    """Runs a module as a child that may mount a file system of its own on a folder; False where that cannot be."""
    prefix = namespace()
    if prefix is None:
        return False
    command = [*prefix, sys.executable, "-m", module, str(folder)]
    child = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert child.returncode == 0, child.stderr
    return True


def mount(folder: Path, *, mib: int) -> None:
    """Puts a file system of this size on a folder, for who runs in a namespace of its own."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)], check=True)


def fill(filler: Path) -> None:
    """Takes the last byte of a disk, as another program would, with a file on it."""
    chunk = 1 << 20
    with filler.open("ab", buffering=0) as file:
        while chunk:
            try:
                file.write(b"x" * chunk)
            except OSError:
                chunk //= 2
