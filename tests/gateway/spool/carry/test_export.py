"""What an export holds: everything that waits, once, bit by bit; made beside a running gateway; whole or not there."""

import asyncio
import errno
import os
import shutil
import stat

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gateway.batch import Batch, Kind, Reading
from gateway.errors import SpoolError
from gateway.spool.block.layout import MOST_READINGS
from gateway.spool.carry import signing, writer
from gateway.spool.carry.contents import Kinds
from gateway.spool.carry.export import Sender, export_salvaged, export_spool
from gateway.spool.carry.frames import FrameReader
from gateway.spool.carry.reader import CarryReader, is_carried
from tests.gateway.spool.harness import START_NS, batch_of, copy_of, drain, execute, running
from tests.gateway.spool.variety import make


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return asyncio.run(make(tmp_path_factory.mktemp("carry")))


@pytest.fixture
def sender(tmp_path):
    return Sender("hall-1", "tidegate/{gateway}", 256_000, tmp_path / "spool.db.key")


def kinds_in(path):
    with path.open("rb") as file:
        frames = FrameReader(file, path.stat().st_size)
        kinds = []
        while not frames.at_end:
            kinds.append(Kinds(frames.section()[0]))
    return kinds


def test_everything_that_waits_is_carried_bit_by_bit(original, sender, tmp_path):
    target = tmp_path / "out.tide"
    before = {path.name: path.read_bytes() for path in original.path.parent.iterdir() if path.name.startswith("copy")}
    summary = export_spool(original.path, target, sender=sender)
    with CarryReader(target) as carried:
        assert list(carried.rows()) == original.rows
        assert list(carried.rows()) == original.rows, "it can be read more than once"
        assert list(carried.points) == original.points
        assert carried.summary == summary
        header = carried.header
    assert (summary.batches, summary.readings) == (len(original.rows), sum(row.readings for row in original.rows))
    assert (summary.first, summary.last) == (original.rows[0].seq, original.rows[-1].seq)
    assert (summary.aside, summary.broken, summary.points) == (7, 0, len(original.points))
    assert (header.gateway, header.topic, header.max_message_bytes) == ("hall-1", "tidegate/{gateway}", 256_000)
    for name in ("copy.db", "copy.db-wal"):
        assert (original.path.parent / name).read_bytes() == before[name], "an export changes nothing"
    assert is_carried(target)
    assert not is_carried(original.path)
    assert not is_carried(tmp_path / "not there")


def test_rows_become_blocks_and_blocks_stay_as_they_are(original, sender, tmp_path):
    target = tmp_path / "out.tide"
    export_spool(original.path, target, sender=sender)
    assert kinds_in(target) == [
        Kinds.HEADER,
        *[Kinds.BLOCK] * 3,
        Kinds.GAPS,
        Kinds.POINTS,
        Kinds.SUMMARY,
        Kinds.END,
    ]
    with CarryReader(target) as carried:
        (gap,) = carried.gaps
    assert (gap.device, gap.cause, gap.readings) == ("plc-0", "set_aside", 7)


async def test_an_export_beside_a_running_gateway_is_of_one_moment(tmp_path, sender):
    path, target = tmp_path / "spool.db", tmp_path / "out.tide"
    async with running(path) as spool:
        spool.points.intern("a/b/c/plc/level", device="plc")
        seqs = [await spool.append("plc", batch_of(5, mark=n)) for n in range(50)]
        export = asyncio.create_task(asyncio.to_thread(export_spool, path, target, sender=sender))
        later = 0
        while not export.done():
            seqs.append(await spool.append("plc", batch_of(5, mark=50 + later)))
            later += 1
        spool.ack(seqs[:10])
        await spool.flush()
        summary = await export
        assert later
        with CarryReader(target) as carried:
            found = [row.seq for row in carried.rows()]
        assert found == seqs[: len(found)]
        assert len(found) == summary.batches >= 50
        assert len(await drain(spool)) == len(seqs) - 10


async def test_a_batch_too_large_for_a_block_is_carried_as_a_row(tmp_path, sender):
    path, target = tmp_path / "spool.db", tmp_path / "out.tide"
    large = Batch.of([Reading(START_NS, "x" * 9_000_000, 1, kind=Kind.STR)])
    long = batch_of(3).records[:24] * (MOST_READINGS + 1)
    async with running(path) as spool:
        spool.points.intern("a/b/c/plc/level", device="plc")
        for batch in (batch_of(3), large, batch_of(4), Batch(long), batch_of(5)):
            await spool.append("plc", batch)
        rows = await drain(spool)
    export_spool(path, target, sender=sender)
    assert kinds_in(target)[1:6] == [Kinds.BLOCK, Kinds.ROW, Kinds.BLOCK, Kinds.ROW, Kinds.BLOCK]
    assert target.stat().st_size < 200_000
    with CarryReader(target) as carried:
        assert list(carried.rows()) == rows


async def test_an_empty_spool_is_carried_too(tmp_path, sender):
    async with running(tmp_path / "spool.db"):
        pass
    summary = export_spool(tmp_path / "spool.db", tmp_path / "out.tide", sender=sender)
    assert (summary.batches, summary.first, summary.last) == (0, 0, 0)
    with CarryReader(tmp_path / "out.tide") as carried:
        assert not list(carried.rows())


async def test_what_cannot_be_read_is_counted_and_the_rest_is_carried(tmp_path, sender):
    path, target = tmp_path / "spool.db", tmp_path / "out.tide"
    async with running(path) as spool:
        spool.points.intern("a/b/c/plc/level", device="plc")
        spool._merger.readings = 50
        seqs = [await spool.append("plc", batch_of(10, mark=n)) for n in range(20)]
        assert [await spool._merger.merge() for _ in range(2)] == [50, 50]
    execute(path, "UPDATE blocks SET checksum = checksum + 1 WHERE last = ?", (seqs[4],))
    execute(path, "UPDATE batches SET data = zeroblob(10) WHERE seq = ?", (seqs[12],))
    execute(path, "UPDATE batches SET readings = 'x' WHERE seq = ?", (seqs[14],))
    summary = export_spool(path, target, sender=sender)
    assert summary.broken == 3
    with CarryReader(target) as carried:
        assert [row.seq for row in carried.rows()] == [*seqs[5:12], seqs[13], *seqs[15:]]


def test_a_damaged_spool_is_said_and_salvaged_into_a_file(original, sender, tmp_path):
    copy_of(original.path, tmp_path / "spool.db")
    path, target = tmp_path / "spool.db", tmp_path / "out.tide"
    execute(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    path.write_bytes(b"\0" * 4096 + path.read_bytes()[4096:])
    with pytest.raises(SpoolError, match=r"damaged .*tidegate spool salvage"):
        export_spool(path, target, sender=sender)
    assert not target.exists()
    assert not list(tmp_path.glob("*.part"))
    summary, lost = export_salvaged(path, target, sender=sender)
    assert lost.readings == 0
    with CarryReader(target) as carried:
        assert carried.header.origin == "salvage"
        assert list(carried.rows()) == original.rows
        assert list(carried.points) == original.points
    assert summary.batches == len(original.rows)


def test_readings_of_points_that_are_gone_get_a_name_that_says_so(original, sender, tmp_path):
    copy_of(original.path, tmp_path / "spool.db")
    path, target = tmp_path / "spool.db", tmp_path / "out.tide"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"a tag with a long name", b"\xff" * 22))
    export_salvaged(path, target, sender=sender)
    with CarryReader(target) as carried:
        assert list(carried.rows()) == original.rows
        assert {point.tag for point in carried.points} == {f"unknown-point-{n}" for n in range(1, 91)}


def test_a_file_is_replaced_only_where_that_is_asked(original, sender, tmp_path):
    target = tmp_path / "out.tide"
    target.write_text("somebody's")
    with pytest.raises(SpoolError, match=r"is there already\. Give another name, or --replace"):
        export_spool(original.path, target, sender=sender)
    assert target.read_text() == "somebody's"
    export_spool(original.path, target, sender=sender, replace=True)
    assert is_carried(target)


def test_a_medium_that_is_full_or_missing_is_said_and_leaves_nothing(original, sender, tmp_path, monkeypatch):
    with pytest.raises(SpoolError, match=r"nowhere/out\.tide cannot be written \(No such file"):
        export_spool(original.path, tmp_path / "nowhere" / "out.tide", sender=sender)

    key = made(tmp_path, monkeypatch)
    for number, advice in ((errno.ENOSPC, "has it room"), (errno.EFBIG, "take a medium with exFAT or ext4")):
        # What the kernel says of a full stick, and FAT of a file above 4 GB.
        monkeypatch.setattr(writer.os, "fsync", refusing(number))
        with pytest.raises(SpoolError, match=rf"out\.tide cannot be written \({os.strerror(number)}\).*{advice}"):
            export_spool(original.path, tmp_path / "out.tide", sender=sender._replace(key=key))
    assert not list(tmp_path.glob("*tide*"))


def refusing(number):
    def fsync(_descriptor):
        raise OSError(number, os.strerror(number))

    return fsync


def made(folder, monkeypatch):
    with monkeypatch.context() as whole:
        whole.setattr(os, "fsync", lambda _descriptor: None)
        signing.public_pem(folder / "made.key")
    return folder / "made.key"


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\0" + bytes(5000)])
def test_what_is_no_spool_is_said(tmp_path, sender, content):
    (tmp_path / "spool.db").write_bytes(content)
    with pytest.raises(SpoolError, match=r"spool\.db"):
        export_spool(tmp_path / "spool.db", tmp_path / "out.tide", sender=sender)
    with pytest.raises(SpoolError, match="Is it there, and may you read it"):
        export_spool(tmp_path / "gone.db", tmp_path / "out.tide", sender=sender)
    assert not (tmp_path / "gone.db").exists()


@pytest.mark.parametrize(("version", "word"), [(1, "older"), (99, "newer")])
async def test_a_file_of_another_version_is_said(tmp_path, sender, version, word):
    async with running(tmp_path / "spool.db"):
        pass
    execute(tmp_path / "spool.db", f"PRAGMA user_version = {version}")
    with pytest.raises(SpoolError, match=rf"spool\.db: an? {word} version of tidegate made it"):
        export_spool(tmp_path / "spool.db", tmp_path / "out.tide", sender=sender)


def test_on_a_read_only_medium_a_spool_is_read_all_the_same(original, sender, tmp_path):
    """SQLite wants to make files beside a database with a log; where it cannot, it must be told that nobody writes."""
    folder = tmp_path / "stick"
    folder.mkdir()
    execute(original.path, "VACUUM INTO ?", (str(folder / "spool.db"),))
    execute(folder / "spool.db", "PRAGMA journal_mode = WAL")
    (folder / "spool.db-shm").mkdir()  # root may write anywhere; this nobody can
    assert export_spool(folder / "spool.db", tmp_path / "out.tide", sender=sender).batches == len(original.rows)


def test_the_key_is_made_once_and_for_the_gateway_alone(original, sender, tmp_path):
    export_spool(original.path, tmp_path / "one.tide", sender=sender)
    pem = signing.public_pem(sender.key)
    export_spool(original.path, tmp_path / "two.tide", sender=sender)
    assert stat.S_IMODE(sender.key.stat().st_mode) == 0o600
    (tmp_path / "public.pem").write_text(pem)
    public = signing.read_public(tmp_path / "public.pem")
    assert load_pem_public_key(pem.encode()).public_bytes_raw() == public
    other = signing.public_pem(tmp_path / "other.key")
    (tmp_path / "other.pem").write_text(other)
    for name in ("one.tide", "two.tide"):
        with CarryReader(tmp_path / name) as carried:
            assert carried.seal.is_by(public)
            assert not carried.seal.is_by(signing.read_public(tmp_path / "other.pem"))
    assert not list(tmp_path.glob("*.new"))


def test_two_who_make_the_key_at_once_have_one_key(tmp_path, monkeypatch):
    path = tmp_path / "spool.db.key"
    link = os.link

    def late(new, target):
        monkeypatch.undo()
        signing.public_pem(path)
        link(new, target)

    monkeypatch.setattr(signing.os, "link", late)
    monkeypatch.setattr(signing.os, "getpid", lambda: 1)
    assert signing.public_pem(path) == signing.public_pem(path)


def test_a_key_that_cannot_be_used_is_said(tmp_path):
    path = tmp_path / "spool.db.key"
    for content in ("", "-----BEGIN PRIVATE KEY-----\nxx\n-----END PRIVATE KEY-----\n"):
        path.write_text(content)
        with pytest.raises(SpoolError, match="is no Ed25519 key in PEM any more"):
            signing.sign(path, bytes(32))
        with pytest.raises(SpoolError, match="is no public Ed25519 key in PEM"):
            signing.read_public(path)
    shutil.rmtree(tmp_path)
    with pytest.raises(SpoolError, match="cannot be used"):
        signing.sign(path, bytes(32))
    with pytest.raises(SpoolError, match="cannot be read"):
        signing.read_public(path)
