"""The room kept for deletions: its decisions, its file, and a disk that the spool itself has filled."""

import asyncio
import os
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import SpoolError
from gateway.spool import spoolfile
from gateway.spool.reserve import (
    LARGEST_BYTES,
    PAGE_BYTES,
    Reserve,
    Volume,
    growth_pages,
    is_full,
    spare_pages,
    wanted_bytes,
)
from tests.gateway.spool.harness import batch_of, drain, open_spool, running
from tests.gateway.spool.mounts import run_on_a_small_disk
from tests.waiting import until

MIB = 1 << 20
volumes = st.integers(0, 1 << 40).flatmap(lambda size: st.builds(Volume, st.just(size), st.integers(0, size)))


@pytest.fixture
def reserve_path(path):
    return path.with_name("spool.db.reserve")


@pytest.mark.parametrize(
    ("volume_bytes", "expected_bytes"),
    [
        (0, 0),
        (4096, 0),
        (20 * 4096, 4096),
        (20 * MIB, MIB),
        (320 * MIB, 16 * MIB),
        (1 << 40, 16 * MIB),
    ],
)
def test_the_size_is_a_twentieth_at_most(volume_bytes, expected_bytes):
    assert wanted_bytes(volume_bytes) == expected_bytes


@given(volumes, st.sampled_from([PAGE_BYTES, 4096]))
def test_growth_leaves_the_reserves_room_free_though_the_log_grows_as_much(volume, page_bytes):
    grown_bytes = 2 * growth_pages(volume, page_bytes=page_bytes) * page_bytes
    assert grown_bytes == 0 or volume.free_bytes - grown_bytes >= wanted_bytes(volume.size_bytes)


@given(volumes, st.integers(0, 1 << 28), st.sampled_from([PAGE_BYTES, 4096]))
def test_pages_are_given_back_only_where_they_suffice(volume, free_pages, page_bytes):
    pages = spare_pages(volume, free_pages=free_pages, page_bytes=page_bytes)
    needed_bytes = 2 * wanted_bytes(volume.size_bytes)
    assert 0 <= pages <= free_pages
    if pages:
        assert volume.free_bytes < needed_bytes <= volume.free_bytes + pages * page_bytes
    else:
        assert volume.free_bytes >= needed_bytes or volume.free_bytes + free_pages * page_bytes < needed_bytes


def test_a_reserve_takes_real_blocks_and_frees_them(path, reserve_path):
    reserve = Reserve(path)
    assert not reserve.held
    reserve.make()
    assert reserve_path.stat().st_size == reserve.size_bytes <= LARGEST_BYTES
    assert reserve_path.stat().st_blocks * 512 >= reserve.size_bytes
    assert reserve.give_up()
    assert reserve_path.stat().st_blocks == 0
    assert not reserve.give_up()
    after_restart = Reserve(path)
    assert after_restart.given_up
    after_restart.make()
    assert after_restart.held
    assert not after_restart.given_up


def test_a_reserve_that_is_only_a_hole_is_none(path, reserve_path):
    reserve_path.touch()
    os.truncate(reserve_path, LARGEST_BYTES)
    reserve = Reserve(path)
    assert not reserve.held
    assert not reserve.given_up


async def test_a_reserve_that_cannot_be_made_is_not_missed(path, reserve_path):
    reserve_path.mkdir()
    async with running(path) as spool:
        spool.ack([await spool.append("plc", batch_of(1))])
        await spool.flush()
        assert spool.stats.state == "ok"
    assert reserve_path.is_dir()


async def test_a_disk_without_room_for_it_is_left_alone(path, reserve_path, monkeypatch):
    monkeypatch.setattr(Reserve, "volume", lambda _: Volume(1 << 30, 2 * LARGEST_BYTES - 1))
    async with running(path) as spool:
        assert await spool.append("plc", batch_of(1))
    assert not reserve_path.exists()


def full_error():
    """What SQLite raises on a full disk."""
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA max_page_count = 1")
    try:
        with pytest.raises(sqlite3.OperationalError) as caught:
            connection.execute("CREATE TABLE t (x)")
    finally:
        connection.close()
    assert is_full(caught.value)
    return caught.value


async def check_a_stand_in_for_a_full_disk(path, reserve_path, monkeypatch):
    """Every commit fails while the reserve has its room."""
    write = spoolfile.write
    failed = []

    async def write_where_there_is_room(connection, group):
        if reserve_path.stat().st_size:
            failed.append(group)
            raise full_error()
        return await write(connection, group)

    async with running(path) as spool:
        seqs = [await spool.append("plc", batch_of(100, mark=n)) for n in range(5)]
        held_bytes = reserve_path.stat().st_size
        # The reserve is not to be made again as soon as it is gone: the disk is meant to be full.
        monkeypatch.setattr(Reserve, "can_be_made", lambda _: False)
        monkeypatch.setattr(spoolfile, "write", write_where_there_is_room)
        waiting = asyncio.create_task(spool.append("plc", batch_of(1)))
        await until(lambda: len(failed) >= 3)
        assert reserve_path.stat().st_size == held_bytes, "new rows must not have it"
        spool.ack(seqs)
        assert await waiting == seqs[-1] + 1
        assert failed[-1].acked
        assert not failed[-1].taken
        await spool.flush()
        assert spool.stats.backlog_batches == 1
        assert spool.stats.state == "ok"
        monkeypatch.undo()
        assert await spool.append("plc", batch_of(1))
        assert reserve_path.stat().st_size == held_bytes


async def test_it_is_given_up_for_deletions_only(path, reserve_path, monkeypatch):
    await check_a_stand_in_for_a_full_disk(path, reserve_path, monkeypatch)


@pytest.mark.timeout(420)
async def test_a_disk_that_the_spool_itself_has_filled_drains_again(tmp_path, path, reserve_path, monkeypatch):
    if not run_on_a_small_disk("tests.gateway.spool.brimful", tmp_path):
        await check_a_stand_in_for_a_full_disk(path, reserve_path, monkeypatch)


async def check_a_stand_in_for_a_disk_that_is_full_at_opening(path, reserve_path, monkeypatch):
    """Opening fails while the reserve has its room."""
    async with running(path) as spool:
        seqs = [await spool.append("plc", batch_of(100, mark=n)) for n in range(5)]
    open_database = spoolfile.open_database

    async def open_where_there_is_room(*args, **kwargs):
        if reserve_path.stat().st_size:
            raise SpoolError("database or disk is full")
        return await open_database(*args, **kwargs)

    monkeypatch.setattr(spoolfile, "open_database", open_where_there_is_room)
    with pytest.raises(SpoolError):
        await open_spool(path)
    assert reserve_path.stat().st_size, "the disk has room: something else is wrong"
    monkeypatch.setattr(Reserve, "volume", lambda _: Volume(1 << 30, 4096))
    async with running(path) as spool:
        assert not reserve_path.stat().st_size
        assert [row.seq for row in await drain(spool)] == seqs


async def test_a_file_that_cannot_be_opened_for_want_of_room_gets_it(tmp_path, path, reserve_path, monkeypatch):
    if not run_on_a_small_disk("tests.gateway.spool.overfull", tmp_path):
        await check_a_stand_in_for_a_disk_that_is_full_at_opening(path, reserve_path, monkeypatch)
