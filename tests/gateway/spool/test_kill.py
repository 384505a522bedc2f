"""SIGKILL at a random moment: what `append` has returned is in the file, once, under its number."""

import asyncio
import random
import sys

import pytest

from tests.gateway.spool.harness import START_NS, batch_of, drain, running


@pytest.mark.parametrize("lines", [random.Random(seed).randint(1, 1500) for seed in range(5)])
async def test_nothing_that_was_accepted_is_lost(tmp_path, lines):
    path = tmp_path / "spool.db"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.gateway.spool.victim", str(path), stdout=asyncio.subprocess.PIPE
    )
    told: list[bytes] = []
    try:
        async with asyncio.timeout(60):
            while len(told) < lines:
                told.append(await child.stdout.readline())
    finally:
        child.kill()
        rest, _ = await child.communicate()
    told += rest.splitlines(keepends=True)
    marks = {int(seq): int(mark) for seq, mark in (line.split() for line in told if line.endswith(b"\n"))}
    assert len(marks) >= lines, "a number was given twice"

    async with running(path) as spool:
        stats = spool.stats
        rows = {row.seq: row for row in await drain(spool)}
        assert stats.accepted_batches == stats.last_seq - START_NS // 1000 + 1, "numbers have holes"
        assert stats.last_seq >= max(marks)
        assert stats.backlog_batches == len(rows)
        assert stats.backlog_readings == sum(row.readings for row in rows.values())
        for seq, mark in marks.items():
            if mark % 3 or seq in rows:
                assert rows[seq].batch == batch_of(1 + mark % 30, mark=mark)
                assert rows[seq].device == f"plc-{mark % 8}"
                assert f"a/b/c/plc/{mark}" in {point.path for point in spool.points}
        assert await spool.append("plc", batch_of(1)) == stats.last_seq + 1
