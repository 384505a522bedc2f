"""A power cut at any boundary of a recorded life of a spool: what `append` had returned by then is there.

The writes, truncations and flushes of a real run are recorded between SQLite and the kernel. From them the files are
made as a power cut could have left them after each single step, and opened. Without the flush before `append` returns
(`synchronous = NORMAL`) the test fails; it was seen to.

`make powercut` cuts at each boundary, in each way, a few times; here are all boundaries of a flush, and some others.
"""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.metrics import Metrics
from tests.faults.disk import Record, recording, records
from tests.faults.powercut import Cut, Disk
from tests.gateway.spool.harness import batch_of, drain, running
from tests.gateway.spool.recorded import TOLD, readings

TIMES = int(os.environ.get("TIDEGATE_POWER_CUTS", "0"))
"""How often each boundary is cut in each way; 0: the short form."""

SHORT = 45


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    folder = tmp_path_factory.mktemp("recorded")
    disk = folder / "disk"
    disk.mkdir()
    child = subprocess.run(
        [sys.executable, "-m", "tests.gateway.spool.recorded", str(disk)],
        env=os.environ | recording(disk, to=folder / "record"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    return list(records(folder / "record"))


def cuts(life: list[Record], draw: random.Random) -> list[tuple[int, Cut]]:
    """After how many steps, and what is left of what was not flushed then."""
    boundaries = [at for at, record in enumerate(life, start=1) if record.name != TOLD]
    if TIMES:
        return [(at, cut) for at in boundaries for cut in Cut for _ in range(TIMES)]
    around_flushes = [
        (at + before, draw.choice(list(Cut)))
        for at in boundaries
        if life[at - 1].kind == "synced"
        for before in (-1, 0)
    ]
    return sorted(
        [
            *draw.sample(around_flushes, min(SHORT, len(around_flushes))),
            *((at, Cut.TORN) for at in draw.sample(boundaries, SHORT // 3)),
        ],
        key=lambda cut: cut[0],
    )


async def test_what_was_confirmed_is_there_after_a_cut_at_any_boundary(life: list[Record], tmp_path: Path) -> None:
    assert {record.kind for record in life if record.name == "spool.db-wal"} >= {"wrote", "synced"}
    assert sum(record.name == "spool.db" and record.kind == "synced" for record in life) > 4, "checkpoints"
    draw = random.Random(20)
    disk = Disk()
    told: dict[int, int] = {}
    taken: set[int] = set()
    played = 0
    for number, (steps, cut) in enumerate(cuts(life, draw)):
        for record in life[played:steps]:
            if record.name != TOLD:
                disk.play(record)
                continue
            word, seq, *mark = record.data.split()
            if word == b"stored":
                told[int(seq)] = int(mark[0])
            else:
                taken.add(int(seq))
        played = steps
        folder = tmp_path / str(number)
        folder.mkdir()
        disk.cut(folder, cut, draw)
        await check(folder, told, taken, what=f"{cut.value} after step {steps} of {len(life)}")
        shutil.rmtree(folder)  # each has a reserve of its own, and there may be thousands


async def check(folder: Path, told: dict[int, int], taken: set[int], *, what: str) -> None:
    metrics = Metrics()
    async with running(folder / "spool.db", metrics=metrics) as spool:
        rows = {row.seq: row for row in await drain(spool)}
        stats = spool.stats
        assert stats.quarantined is None, what
        assert stats.dropped == {}, what
        missing = told.keys() - rows.keys() - taken
        assert not missing, what
        for seq, mark in told.items():
            if seq in rows:
                assert rows[seq].batch == batch_of(readings(mark), mark=mark), what
                assert f"a/b/c/plc/{mark}" in {point.path for point in spool.points}, what
        assert list(rows) == sorted(rows), what
        assert stats.backlog_batches == len(rows), what
        assert stats.backlog_readings == sum(row.readings for row in rows.values()), what
        seq = await spool.append("plc", batch_of(1))
        assert seq == stats.last_seq + 1
        assert seq > max(told, default=0), what
