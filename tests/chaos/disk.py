"""A small disk that can be filled, in a file system of our own where the kernel allows one, and that can break."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.faults.disk import FaultyDisk
from tests.gateway.spool.mounts import fill, mount, namespace

__all__ = ["Disk", "enter_namespace", "small_disk"]

SIZE_MIB: Final = 8
_ENTERED: Final = "TIDEGATE_CHAOS_NAMESPACE"


class Disk:
    """What the gateway's spool is on.

    Args:
        folder: where it is mounted; empty.
        is_own: whether a file system may be mounted there. Else a full disk is one that takes nothing.

    Attributes:
        environment: for the gateway's process.
    """

    def __init__(self, folder: Path, *, is_own: bool) -> None:
        self._folder = folder
        self._is_own = is_own
        self._filler = folder / "filler"
        if is_own:
            mount(folder, mib=SIZE_MIB)
        self._faulty = FaultyDisk(folder, control=folder.with_name("faults"))
        self.environment = self._faulty.environment

    def fill(self) -> None:
        """Takes the last byte of it."""
        if self._is_own:
            fill(self._filler)
        else:
            self._faulty.is_full()

    def free(self) -> None:
        """Gives all of that back."""
        if self._is_own:
            self._filler.unlink(missing_ok=True)
        else:
            self._faulty.works()

    def breaks(self) -> None:
        """Writing and flushing fail with an I/O error."""
        self._faulty.cannot_write()

    def works(self) -> None:
        """They work again."""
        self._faulty.works()

    def close(self) -> None:
        """It is not needed any more."""
        if self._is_own:
            subprocess.run(["umount", str(self._folder)], check=True)


def enter_namespace() -> None:
    """Starts this program again where it may mount a file system that nobody else sees; goes on where it may not."""
    prefix = None if _ENTERED in os.environ else namespace()
    if prefix is not None:
        os.environ[_ENTERED] = "1"
        os.execvp(prefix[0], [*prefix, sys.executable, *sys.orig_argv[1:]])


def small_disk(folder: Path) -> Disk:
    """The disk below a folder that is there and empty."""
    return Disk(folder, is_own=_ENTERED in os.environ)
