"""A spool that runs, and readings to put into it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from gateway.batch import Batch, Kind, Reading
from gateway.config.models import DatabaseSettings
from gateway.metrics import Metrics
from gateway.spool import Row, Spool
from gateway.spool.ledger.gaps import Entry
from gateway.spool.snapshot import Snapshot
from tests.waiting import until

START_NS = 1_763_900_000_000_000_000


def batch_of(readings: int, *, mark: int = 0, point: int = 1) -> Batch:
    """A batch that can be told from others by its mark; its last reading is a text."""
    numbers = [Reading(START_NS + index, float(mark), point) for index in range(readings - 1)]
    return Batch.of([*numbers, Reading(START_NS + mark, f"mark {mark}", point, kind=Kind.STR)])


async def open_spool(
    path: Path,
    *,
    metrics: Metrics | None = None,
    patient: bool = False,
    now_ns: Callable[[], int] = lambda: START_NS,
    clock: Callable[[], float] = time.monotonic,
    **settings: Any,
) -> Spool:
    return await Spool.open(
        path,
        settings=DatabaseSettings(**settings),
        metrics=metrics or Metrics(),
        now_ns=now_ns,
        jitter=lambda: 0.0,
        patient=patient,
        clock=clock,
    )


@asynccontextmanager
async def running(
    path: Path,
    *,
    metrics: Metrics | None = None,
    patient: bool = False,
    now_ns: Callable[[], int] = lambda: START_NS,
    **settings: Any,
) -> AsyncIterator[Spool]:
    spool = await open_spool(path, metrics=metrics, patient=patient, now_ns=now_ns, **settings)
    task = asyncio.create_task(spool.run(), name="spool")
    try:
        yield spool
    finally:
        await spool.close()
        await task


def break_next_commit(spool: Spool, monkeypatch: pytest.MonkeyPatch, *, reached_the_disk: bool) -> None:
    """The next commit fails with an I/O error, whether or not it was carried out; the one after it is whole again."""
    connection = spool._file._connection
    assert connection is not None
    commit = connection.commit

    async def broken_commit() -> None:
        monkeypatch.undo()
        if reached_the_disk:
            await commit()
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(connection, "commit", broken_commit)


async def replace(spool: Spool) -> None:
    """What the discovery of damage does: the file is moved aside, and a fresh one goes on."""
    async with spool._access.lock:
        await spool._replace()


async def rescued(spool: Spool) -> None:
    """Waits until everything that could be read of damaged files has been carried over."""
    await until(lambda: not spool.stats.rescuing, what=lambda: spool.stats)


def copy_of(source: Path, target: Path, *suffixes: str) -> Path:
    """The database with its log, as a crash would leave them, and with those of its other files; the copy."""
    target.parent.mkdir(exist_ok=True)
    for suffix in ("", "-wal", *suffixes):
        shutil.copy(f"{source}{suffix}", f"{target}{suffix}")
    return target


def execute(path: Path, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """What another program does to the file while no spool has it open, or beside it; the rows that come back."""
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(sql, parameters).fetchall()


async def drain(spool: Spool) -> list[Row]:
    """Every pending row, page by page."""
    rows: list[Row] = []
    while page := await spool.pending(after=rows[-1].seq if rows else 0, limit_readings=50):
        rows += page
    return rows


def read_gaps(path: Path) -> list[Entry]:
    """The gap ledger as it is on disk; also while the spool runs."""
    with Snapshot(path) as snapshot:
        return snapshot.ledger()


def dropped(metrics: Metrics) -> dict[str, float]:
    causes = metrics.snapshot().get("tidegate_readings_dropped_total", {})
    return {cause: readings for cause, readings in causes.items() if readings}
