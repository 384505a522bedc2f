"""What the benches that write have in common: a load, a folder on the disk to be measured, a spool in it, a table."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from gateway.spool import Spool
from tests.gateway.spool.harness import running

__all__ = ["Load", "folder", "show", "spool"]


class Load(NamedTuple):
    """Devices that send batches."""

    name: str
    devices: int
    batch_readings: int
    batches_s: float
    """Of one device."""
    settings: Mapping[str, Any] = MappingProxyType({})
    """Of the spool."""


@contextmanager
def folder() -> Iterator[Path]:
    """A folder on the disk that TIDEGATE_BENCH_DIR names."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-", dir=os.environ.get("TIDEGATE_BENCH_DIR")) as name:
        yield Path(name)


@asynccontextmanager
async def spool(path: Path, **settings: Any) -> AsyncIterator[Spool]:
    """A spool at work by the real clock, which is never full."""
    async with running(path, now_ns=time.time_ns, max_bytes=1 << 40, **settings) as opened:
        yield opened


def show(results: Mapping[str, float]) -> None:
    """Prints a table."""
    for name, value in results.items():
        print(f"{name:<64}{value:>14.3f}")
