"""What is read of a damaged file: all that is whole, nothing that is not, and the rest is known as lost."""

import asyncio
import random

import pytest

from gateway.batch import EMPTY
from gateway.errors import SpoolError
from gateway.points import Point
from gateway.spool.codec import checksum, encode
from gateway.spool.repair.salvage import Salvage
from gateway.spool.reserve import PAGE_BYTES
from gateway.spool.stored import StoredBlock, StoredRow
from tests.gateway.spool.harness import batch_of, copy_of, execute, running
from tests.gateway.spool.variety import make

PAGE = 4096
"""Damaged at once: what a disk loses as one, four of the file's pages."""


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return asyncio.run(make(tmp_path_factory.mktemp("salvage")))


@pytest.fixture
def damaged(original, tmp_path):
    copy_of(original.path, tmp_path / "spool.db")
    return tmp_path / "spool.db"


def read(path, original):
    """The rows that are given, each proven to be one that was stored, and the salvage."""
    with Salvage(path) as salvage:
        saved = list(salvage.items())
    found = {}
    for one in saved:
        rows = one.stored.rows()
        assert one.highest_point == max(max(row.batch.points()) for row in rows)
        for row in rows:
            assert row.seq not in found
            assert (row.device, row.batch) == original.sent[row.seq]
            found[row.seq] = row
    assert list(found) == sorted(found)
    return found, salvage


def test_a_whole_file_is_read_whole(original, damaged):
    found, salvage = read(damaged, original)
    assert list(found.values()) == original.rows
    assert salvage.points == original.points
    assert salvage.last_seq == original.stats.last_seq
    lost = salvage.lost
    assert (lost.readings, lost.batches, lost.broken_rows, lost.broken_blocks) == (0, 0, 0, 0)
    assert (lost.missing_points, lost.unreadable_pages, lost.aside_readings) == (0, 0, 7)
    with Salvage(damaged) as salvage:
        assert {type(saved.stored) for saved in salvage.items()} == {StoredRow, StoredBlock}


async def test_what_was_delivered_is_not_given_again(tmp_path):
    path, copy = tmp_path / "spool.db", tmp_path / "copy.db"
    async with running(path) as spool:
        seqs = [await spool.append("plc", batch_of(200, mark=n)) for n in range(50)]
        spool.ack(seqs)
        await spool.flush()
        copy_of(path, copy)
    for file in (path, copy):
        with Salvage(file) as salvage:
            assert not list(salvage.items())
            assert salvage.lost.readings == 0


def test_any_page_may_be_gone(original, damaged):
    """Each page by itself, the head and the roots among them: the other rows are read, and what is missing is known."""
    content = damaged.read_bytes()
    waiting = {row.seq: row.readings for row in original.rows}
    heavy = 0
    for start in range(0, len(content), PAGE):
        filling = b"\0\x0d"[start // PAGE % 2 :][:1]  # zeros, or something like a page of a table
        damaged.write_bytes(content[:start] + filling * PAGE + content[start + PAGE :])
        found, salvage = read(damaged, original)
        gone = waiting.keys() - found.keys()
        assert len(gone) <= 80, f"page {start // PAGE + 1}: more than the two blocks, which lie on one page"
        heavy += len(gone)
        if salvage.lost.batches is not None and found.keys() <= waiting.keys():
            assert salvage.lost.batches == len(gone)
            assert salvage.lost.readings == sum(waiting[seq] for seq in gone)
    assert heavy >= len(waiting), "each row lies on some page"


def test_points_whose_page_is_gone_keep_their_numbers(original, damaged):
    content = damaged.read_bytes()
    missing = 0
    for start in range(0, len(content), PAGE):
        damaged.write_bytes(content[:start] + bytes(PAGE) + content[start + PAGE :])
        with Salvage(damaged) as salvage:
            found = list(salvage.points)
            unknown = [point for point in found if point.path == f"unknown-point-{point.number}"]
            assert len(unknown) == salvage.lost.missing_points
            for one, point in zip(found, original.points, strict=False):
                assert one in (point, Point(point.number, f"unknown-point-{point.number}", "", "", None))
            highest = max(saved.highest_point for saved in salvage.items())
            assert salvage.lost.missing_points == len(unknown) + max(0, highest - len(found))
        missing += bool(salvage.lost.missing_points)
    assert missing == 2, "pages on which points stand"


@pytest.mark.parametrize("part", [0.0, 0.1, 0.3, 0.5, 0.77, 0.9, 0.999])
def test_a_file_that_was_cut_gives_what_is_left(original, damaged, part):
    with damaged.open("r+b") as file:
        file.truncate(int(damaged.stat().st_size * part))
    found, salvage = read(damaged, original)
    assert len(found) > len(original.rows) * part / 3
    if salvage.lost.batches is not None:
        assert salvage.lost.batches >= len({row.seq for row in original.rows} - found.keys())


def test_without_its_log_the_file_is_as_it_was_before(original, damaged):
    damaged.with_name("spool.db-wal").unlink()
    found, salvage = read(damaged, original)
    assert {row.seq for row in original.rows} - found.keys() == {row.seq for row in original.rows[-5:]}
    # Taken later than the log began: sent once more, and dropped by their numbers.
    assert len(found.keys() - {row.seq for row in original.rows}) == 2
    assert salvage.lost.readings == 0, "the totals are those of then, too"


def test_a_damaged_frame_in_the_log_costs_that_frame_only(original, damaged):
    log = damaged.with_name("spool.db-wal")
    content = log.read_bytes()
    frames = (len(content) - 32) // (24 + PAGE_BYTES)
    assert frames > 8
    for frame in range(frames):
        start = 32 + frame * (24 + PAGE_BYTES) + 24
        log.write_bytes(content[: start + 500] + bytes(125) + content[start + 625 :])
        found, _ = read(damaged, original)
        assert len({row.seq for row in original.rows} - found.keys()) <= 5
    log.write_bytes(b"\xff" * 40)
    assert len(read(damaged, original)[0]) >= len(original.rows) - 5


def test_rows_that_were_merged_count_where_their_block_is_broken(original, tmp_path):
    """A log that was lost while it was worked in: the block is there, and so are still its rows."""
    path = tmp_path / "spool.db"

    async def make_both():
        async with running(path) as spool:
            sent = {}
            for n in range(20):
                sent[await spool.append("plc", batch_of(5, mark=n))] = ("plc", batch_of(5, mark=n))
            rows = await spool._file.fetch("SELECT * FROM batches")
            rows = [(*row[:6], row[6].decode(), row[7]) for row in rows]
            spool._merger.readings = 100
            assert await spool._merger.merge() == 100
            connection = spool._file._connected()
            await connection.execute("DROP TRIGGER accepted")
            await connection.executemany(f"INSERT INTO batches VALUES ({', '.join('?' * 8)})", rows)
            await connection.commit()
            ((block,),) = await spool._file.fetch("SELECT data FROM blocks")
            return sent, block

    sent, block = asyncio.run(make_both())
    stored = original._replace(sent=sent)
    with Salvage(path) as salvage:
        assert [type(saved.stored) for saved in salvage.items()] == [StoredBlock]
    assert read(path, stored)[0].keys() == sent.keys()
    content = path.read_bytes()
    path.write_bytes(content.replace(block[40:60], bytes(20)))
    found, salvage = read(path, stored)
    assert found.keys() == sent.keys()
    assert salvage.lost.broken_blocks == 1


def test_noise_anywhere_costs_what_it_hits_and_no_more(original, damaged):
    chance = random.Random(4)
    content = damaged.read_bytes()
    for _ in range(60):
        spoilt = bytearray(content)
        for _ in range(chance.choice((1, 3, 30))):
            start = chance.randrange(len(spoilt))
            noise = chance.choice((1, 2, 8, 300))
            spoilt[start : start + noise] = chance.randbytes(min(noise, len(spoilt) - start))
        damaged.write_bytes(spoilt[: len(content)])
        read(damaged, original)


def test_a_row_without_readings_harms_no_other(original, damaged):
    codec, data = encode(EMPTY)
    row = (original.stats.last_seq + 1, 0, 0, len(data), int(codec), checksum(b"press", data), "press", data)
    execute(damaged, "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    with Salvage(damaged) as salvage:
        assert len([row for one in salvage.items() for row in one.stored.rows()]) >= len(original.rows)


def test_a_row_that_claims_to_be_endless_costs_no_memory(original, damaged):
    """Its length says 2**62 bytes, and the page on which it goes on is followed by itself."""
    page = bytearray(PAGE)
    page[:8] = bytes([13]) + (0).to_bytes(2, "big") + (1).to_bytes(2, "big") + (100).to_bytes(2, "big") + b"\0"
    page[8:10] = (100).to_bytes(2, "big")
    page[100:109] = b"\xc0" + b"\x80" * 7 + b"\x7f"
    damaged.write_bytes(damaged.read_bytes() + page)
    assert len(read(damaged, original)[0]) == len(original.rows)


@pytest.mark.parametrize("content", [b"", b"x", b"SQLite format 3\0", b"\xff" * 100_000, b"\x0d" * 70_000])
def test_what_was_never_a_spool_gives_nothing(tmp_path, content):
    path = tmp_path / "spool.db"
    path.write_bytes(content)
    with Salvage(path) as salvage:
        assert not list(salvage.items())
        assert (salvage.points, salvage.last_seq, salvage.lost.readings) == ([], 0, None)


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(SpoolError, match=r"Salvaging from .*gone\.db: it cannot be opened \(No such file"):
        Salvage(tmp_path / "gone.db")
