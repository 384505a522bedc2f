"""What is found at opening: nothing, somebody else, another version, damage, the traces of a crash."""

import asyncio
import shutil
import sqlite3
import subprocess
import sys

import pytest

from gateway.errors import SpoolError, SpoolRefused
from gateway.metrics import Metrics
from gateway.spool import store
from gateway.spool.files import KEPT_ASIDE, aside_name, move_aside
from gateway.spool.migrations import APPLICATION_ID, MIGRATIONS
from gateway.spool.spoolfile import SpoolFile
from tests.gateway.spool.harness import START_NS, batch_of, drain, dropped, execute, open_spool, rescued, running


async def filled(path, *, rows=20, readings=200):
    async with running(path) as spool:
        spool.points.intern("a/b/c/plc/level", device="plc", unit="mm")
        return [await spool.append("plc", batch_of(readings, mark=n)) for n in range(rows)]


async def test_a_fresh_file_numbers_from_the_time_in_microseconds(path):
    async with running(path) as spool:
        assert await spool.append("plc", batch_of(1)) == START_NS // 1000


async def test_the_file_is_ours_durable_and_can_shrink(path):
    await filled(path, rows=1)
    assert execute(path, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert execute(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert execute(path, "PRAGMA journal_mode") == [("wal",)]
    assert execute(path, "PRAGMA auto_vacuum") == [(2,)]
    async with running(path) as spool:
        assert await spool._file.fetch("PRAGMA synchronous") == [(2,)]


async def test_a_crash_between_a_migration_and_its_record_cannot_be(path):
    """A migration that fails in its last statement leaves neither tables nor a version."""
    connection = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        connection.executescript(f"BEGIN IMMEDIATE; {MIGRATIONS[0]} PRAGMA user_version = 1; SELECT nonsense; COMMIT;")
    connection.close()
    assert execute(path, "SELECT count(*) FROM sqlite_master") == [(0,)]
    assert execute(path, "PRAGMA user_version") == [(0,)]
    await filled(path, rows=1)


async def test_a_second_spool_on_the_file_is_refused_and_the_first_goes_on(path):
    async with running(path) as spool:
        with pytest.raises(SpoolError, match="another gateway is using it"):
            await open_spool(path)
        assert await spool.append("plc", batch_of(1))
    await filled(path, rows=1)


async def test_a_second_process_is_refused(path):
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from tests.gateway.spool.harness import open_spool\n"
        "asyncio.run(open_spool(Path(sys.argv[1])))\n"
    )
    async with running(path):
        second = subprocess.run(
            [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=60, check=False
        )
    assert second.returncode == 1
    assert "another gateway is using it" in second.stderr


async def test_a_patient_spool_waits_for_its_file_and_touches_nothing_before(path):
    async with running(path) as first:
        seq = await first.append("plc", batch_of(1))
        log = path.with_name("spool.db-wal")
        before = path.read_bytes(), log.read_bytes(), log.stat().st_mtime_ns
        async with running(path, patient=True) as second:
            assert not second.is_open
            assert second.stats.state == "failing"
            assert "another gateway is using it" in second.stats.error
            assert second.stats.last_seq == 0
            with pytest.raises(SpoolError, match="another gateway"):
                await second.pending(after=0, limit_readings=1)
            assert (path.read_bytes(), log.read_bytes(), log.stat().st_mtime_ns) == before
            await first.close()
            await second.opened()
            assert second.stats.state == "ok"
            assert await second.append("plc", batch_of(2)) == seq + 1
            assert [row.seq for row in await drain(second)] == [seq, seq + 1]


async def test_a_file_that_takes_long_to_open_is_not_waited_for(path, monkeypatch):
    waiting = await filled(path, rows=3)
    goes_on = asyncio.Event()
    begin = SpoolFile.begin

    async def slow(file):
        await goes_on.wait()
        await begin(file)

    monkeypatch.setattr(SpoolFile, "begin", slow)
    monkeypatch.setattr(store, "PATIENCE_S", 0.01)
    async with running(path, patient=True) as spool:
        assert not spool.is_open
        assert spool.stats.state == "failing"
        assert "looked through" in spool.stats.error
        goes_on.set()
        await spool.opened()
        assert spool.stats.state == "ok"
        assert [row.seq for row in await drain(spool)] == waiting


async def test_a_patient_spool_that_never_opened_can_be_closed(path):
    path.mkdir()
    async with running(path, patient=True) as spool:
        assert not spool.is_open
        await spool.flush()


@pytest.mark.parametrize("patient", [False, True])
async def test_a_file_of_a_newer_version_is_refused_untouched(path, patient):
    await filled(path, rows=1)
    execute(path, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = path.read_bytes()
    with pytest.raises(SpoolRefused, match="newer version"):
        await open_spool(path, patient=patient)
    assert path.read_bytes() == before


@pytest.mark.parametrize("patient", [False, True])
async def test_another_programs_database_is_refused_untouched(path, patient):
    execute(path, "CREATE TABLE messages (id INTEGER)")
    before = path.read_bytes()
    with pytest.raises(SpoolRefused, match="another program"):
        await open_spool(path, patient=patient)
    assert path.read_bytes() == before


async def test_a_folder_that_cannot_be_used_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="cannot be used"):
        await open_spool(tmp_path / "file" / "spool.db")


async def test_a_folder_in_the_place_of_the_file_is_said(path):
    path.mkdir()
    with pytest.raises(SpoolError, match="cannot be used"):
        await open_spool(path)


@pytest.mark.parametrize("content", [b"x" * 700, b"not a database " * 400, b"SQLite format 3\0" + bytes(5000)])
async def test_what_is_no_database_is_moved_aside(path, content):
    path.write_bytes(content)
    async with running(path) as spool:
        assert await spool.append("plc", batch_of(1))
        moved = spool.stats.quarantined
    assert moved == aside_name(path, at_ns=START_NS)
    assert moved.read_bytes() == content


async def test_a_damaged_file_is_replaced_by_one_that_numbers_on(path):
    seqs = await filled(path)
    damaged = bytearray(path.read_bytes())
    # The root pages of the tables stay readable, so that the totals can still be told.
    damaged[-40_000:] = b"\xa5" * 40_000
    path.write_bytes(damaged)
    metrics = Metrics()
    async with running(path, metrics=metrics) as spool:
        assert spool.stats.quarantined is not None
        assert await spool.append("plc", batch_of(1)) == seqs[-1] + 1
        await rescued(spool)
        saved = spool.stats.rescued_readings
        assert 0 < saved < 4000
        assert spool.stats.dropped == {"spool_damaged": 4000 - saved}
    assert dropped(metrics) == {"spool_damaged": 4000 - saved}


async def test_a_truncated_file_is_replaced(path):
    await filled(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 + 100)
    async with running(path) as spool:
        assert spool.stats.quarantined is not None
        assert await spool.append("plc", batch_of(1))


async def test_a_point_table_with_a_hole_is_damage(path):
    await filled(path, rows=1)
    execute(path, "UPDATE points SET number = 7")
    async with running(path) as spool:
        assert spool.stats.quarantined is not None
        assert [point.path for point in spool.points][-1] == "a/b/c/plc/level"
        assert len(spool.points) == 7


async def test_only_the_newest_damaged_files_are_kept(path):
    for n in range(KEPT_ASIDE + 2):
        for suffix in ("", "-wal"):
            path.with_name(path.name + suffix).write_text(str(n))
        move_aside(path, at_ns=START_NS + n * 1_000_000)
    kept = sorted(entry.name for entry in path.parent.iterdir())
    assert len(kept) == 2 * KEPT_ASIDE
    assert aside_name(path, at_ns=START_NS).name not in kept


@pytest.mark.parametrize("kept_part", [0.0, 0.3, 0.6, 0.99, 1.0])
async def test_a_truncated_log_loses_the_newest_commits_and_nothing_else(path, tmp_path, kept_part):
    """Numbers that are gone with it are not given again: a receiver would take new batches for old ones."""
    copy = tmp_path / "copy" / "spool.db"
    copy.parent.mkdir()
    async with running(path) as spool:
        seqs = [await spool.append("plc", batch_of(20, mark=n)) for n in range(30)]
        spool._file._mark()  # a second later at most
        content = path.with_name("spool.db-wal").read_bytes()
        shutil.copy(path, copy)
        shutil.copy(path.with_name("spool.db.lock"), copy.with_name("spool.db.lock"))
    copy.with_name("spool.db-wal").write_bytes(content[: int(len(content) * kept_part)])
    metrics = Metrics()
    async with running(copy, metrics=metrics) as spool:
        rows = await drain(spool)
        stats = spool.stats
        assert [row.seq for row in rows] == seqs[: len(rows)]
        assert [row.batch for row in rows] == [batch_of(20, mark=n) for n in range(len(rows))]
        lost = 20 * (30 - len(rows))
        assert stats.backlog_batches == len(rows)
        assert stats.accepted_batches in (30, 0)  # none, where the table of totals itself was only in the log
        assert len(rows) == 30 or kept_part < 1.0
        assert stats.dropped == ({"spool_damaged": lost} if lost else {})
        assert bool(stats.notice) == bool(lost)
        told = [(entry.gap.cause, entry.gap.readings, entry.gap.from_ns) for entry in await spool.gaps.all()]
        assert told == ([("spool_damaged", lost, START_NS)] if lost else [])
        assert await spool.append("plc", batch_of(1)) == seqs[-1] + 1
    assert dropped(metrics) == ({"spool_damaged": lost} if lost else {})
    async with running(copy) as spool:
        assert spool.stats.dropped == stats.dropped, "it is counted once"


async def test_a_deleted_file_is_noticed_at_the_next_start(path):
    seqs = await filled(path, rows=3, readings=10)
    path.unlink()
    async with running(path) as spool:
        assert spool.stats.dropped == {"spool_damaged": 30}
        assert await spool.append("plc", batch_of(1)) > seqs[-1]
