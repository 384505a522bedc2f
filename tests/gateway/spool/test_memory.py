"""What adapters remember: as durable as the batches it belongs to, and never in their way."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from gateway.batch import EMPTY
from gateway.spool import store
from gateway.spool.migrations import MIGRATIONS
from tests.gateway.spool.harness import batch_of, copy_of, drain, open_spool, running
from tests.waiting import until


async def test_a_state_is_on_disk_once_keep_says_so(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    async with running(path) as spool:
        assert await spool.memory("press").recall() == (b"", b"")
        assert await spool.memory("press").keep(b"\x00first")
        assert await spool.memory("press").keep(b"\x00second")
        assert await spool.memory("tank").keep(b"another")
        copy = copy_of(path, tmp_path / "copy" / path.name)
    spool = await open_spool(copy)
    assert await spool.memory("press").recall() == (b"\x00second", b"")
    assert await spool.memory("tank").keep(b"")
    assert await spool.memory("tank").recall() == (b"", b"")
    await spool.close()


async def test_a_mark_is_there_exactly_when_its_batch_is(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    async with running(path) as spool:
        for number in range(1, 20):
            await spool.append("press", batch_of(3, mark=number), mark=b"%d" % number)
            if number % 6 == 1:
                copy = copy_of(path, tmp_path / f"copy-{number}" / path.name)
                there = await open_spool(copy)
                assert await there.memory("press").recall() == (b"", b"%d" % number)
                assert len(await drain(there)) == number
                await there.close()


async def test_a_batch_that_is_only_set_aside_brings_its_mark(tmp_path: Path) -> None:
    async with running(tmp_path / "spool.db") as spool:
        await spool.append("press", EMPTY, aside=batch_of(2), mark=b"5")
        assert await spool.memory("press").recall() == (b"", b"5")


async def test_a_batch_that_is_refused_for_want_of_room_brings_its_mark(tmp_path: Path) -> None:
    """It is counted as dropped: to read it again would only drop it again."""
    async with running(tmp_path / "spool.db", max_bytes=100, when_full="drop_newest") as spool:
        assert await spool.append("press", batch_of(50), mark=b"7") == 0
        assert await spool.memory("press").recall() == (b"", b"7")


async def test_a_mark_without_readings_waits_for_a_commit_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MARK_DELAY_S", 0.05)
    async with running(tmp_path / "spool.db") as spool:
        memory = spool.memory("press")
        commits = spool.stats.commits
        assert await spool.append("press", EMPTY, mark=b"1") == 0
        assert await spool.append("press", EMPTY, mark=b"2") == 0

        async def is_marked() -> bool:
            return (await memory.recall())[1] == b"2"

        await until(is_marked)
        assert spool.stats.commits == commits + 1


async def test_a_later_batch_s_mark_wins_over_one_that_waits(tmp_path: Path) -> None:
    async with running(tmp_path / "spool.db") as spool:
        await spool.append("press", EMPTY, mark=b"1")
        await spool.append("tank", EMPTY, mark=b"a")
        await spool.append("press", batch_of(1), mark=b"2")
        assert await spool.memory("press").recall() == (b"", b"2")
        assert await spool.memory("tank").recall() == (b"", b"a")  # it shared that commit


async def test_marks_that_wait_are_stored_when_the_spool_closes(tmp_path: Path) -> None:
    async with running(tmp_path / "spool.db") as spool:
        await spool.append("press", EMPTY, mark=b"9")
    spool = await open_spool(tmp_path / "spool.db")
    assert await spool.memory("press").recall() == (b"", b"9")
    await spool.close()


async def test_a_disk_that_refuses_is_told_and_nothing_more(tmp_path: Path) -> None:
    spool = await open_spool(tmp_path / "spool.db")
    memory = spool.memory("press")
    with sqlite3.connect(tmp_path / "spool.db", timeout=0) as other:
        other.execute("BEGIN IMMEDIATE")
        assert not await memory.keep(b"state")
        other.rollback()
    other.close()
    assert await memory.keep(b"state")
    await spool.close()
    assert not await memory.keep(b"state")
    assert await memory.recall() == (b"", b"")


async def test_a_file_from_before_there_was_a_memory_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    with sqlite3.connect(path) as connection:
        for number, script in enumerate(MIGRATIONS[:2], start=1):
            connection.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")
    connection.close()
    async with running(path) as spool:
        assert await asyncio.wait_for(spool.append("press", batch_of(1), mark=b"1"), 10)
        assert await spool.memory("press").recall() == (b"", b"1")


async def test_only_the_devices_of_the_configuration_are_remembered(tmp_path: Path) -> None:
    async with running(tmp_path / "spool.db") as spool:
        for name in ("press", "tank", "näme with 'quotes'"):
            await spool.memory(name).keep(b"state")
            await spool.append(name, batch_of(1), mark=b"1")
        await spool.append("old", batch_of(1), mark=b"1")
        await spool.forget_others(["press", "näme with 'quotes'"])
        assert await spool.memory("press").recall() == (b"state", b"1")
        assert await spool.memory("näme with 'quotes'").recall() == (b"state", b"1")
        assert await spool.memory("tank").recall() == (b"", b"")
        assert await spool.memory("old").recall() == (b"", b"")
    spool = await open_spool(tmp_path / "spool.db")
    await spool.close()
    await spool.forget_others([])  # a spool that cannot be written to is not our concern
