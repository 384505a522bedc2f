"""What the kernel says of processes: CPU, memory, bytes written. Linux only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

__all__ = ["Usage", "pin", "usage"]

_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a process and its children.

    Attributes:
        cpu_s: user and system time, in seconds.
        pss_bytes: proportional set size.
        written_bytes: sent to the disk.
    """

    cpu_s: float
    pss_bytes: int
    written_bytes: int

    def __sub__(self, earlier: Self) -> Usage:
        return Usage(
            self.cpu_s - earlier.cpu_s,
            self.pss_bytes - earlier.pss_bytes,
            self.written_bytes - earlier.written_bytes,
        )


def usage(pid: int) -> Usage:
    """Of the tree that begins with this process, as of now."""
    cpu_s, pss_bytes, written_bytes = 0.0, 0, 0
    for each in _tree(pid):
        folder = Path("/proc") / str(each)
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        cpu_s += (int(fields[11]) + int(fields[12])) / _TICKS
        pss_bytes += _field(folder / "smaps_rollup", "Pss:") * 1024
        written_bytes += _field(folder / "io", "write_bytes:")
    return Usage(cpu_s, pss_bytes, written_bytes)


def pin(pid: int, core: int) -> None:
    """Keeps a process, and what it starts from now on, on one core, where there are several."""
    cores = sorted(os.sched_getaffinity(0))
    for task in (Path("/proc") / str(pid) / "task").iterdir():
        os.sched_setaffinity(int(task.name), {cores[core % len(cores)]})


def _tree(pid: int) -> Iterator[int]:
    yield pid
    children = Path("/proc") / str(pid) / "task" / str(pid) / "children"
    for child in children.read_text().split():
        yield from _tree(int(child))


def _field(file: Path, name: str) -> int:
    for line in file.read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise ValueError(f"{file} does not say {name}")
