"""Files that somebody deletes, replaces or moves while the spool has them open: everything is written anew."""

import asyncio
import shutil

import pytest

from gateway.metrics import Metrics
from gateway.spool import store
from gateway.spool.files import Names
from tests.gateway.spool.harness import batch_of, drain, dropped, execute, open_spool, running
from tests.waiting import until


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "spool.db"


def delete(*suffixes):
    def harm(path):
        for suffix in suffixes:
            path.with_name(path.name + suffix).unlink()

    harm.__name__ = "deleted " + " ".join(suffix or "database" for suffix in suffixes)
    return harm


def remove_folder(path):
    shutil.rmtree(path.parent)


def move_folder(path):
    path.parent.rename(path.parent.with_name("elsewhere"))


def replace(path):
    """By another program's database, with a log of its own."""
    path.unlink()
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink()
    execute(path, "CREATE TABLE messages (id INTEGER)")


HARMS = [
    delete(""),
    delete("-wal"),
    delete("-shm"),
    delete("", "-wal", "-shm"),
    delete("", "-wal", "-shm", ".lock"),
    remove_folder,
    move_folder,
    replace,
]


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
async def test_nothing_is_lost_and_what_comes_next_is_in_a_file_with_a_name(path, tmp_path, harm):
    metrics = Metrics()
    async with running(path, metrics=metrics) as spool:
        spool.points.intern("a/b/c/plc/level", device="plc")
        seqs = [await spool.append("plc", batch_of(20, mark=n)) for n in range(5)]
        spool.ack(seqs[:1])
        await spool.flush()
        harm(path)
        seqs.append(await spool.append("plc", batch_of(20, mark=5)))
        assert seqs == list(range(seqs[0], seqs[0] + 6))
        stats = spool.stats
        assert "written anew" in stats.notice
        assert stats.state == "ok"
        # What a crash in this moment leaves.
        crashed = tmp_path / "crashed"
        shutil.copytree(path.parent, crashed)
        assert [row.seq for row in await drain(spool)] == seqs[1:]
        with pytest.raises(store.SpoolError, match="another gateway"):
            await open_spool(path)
    assert dropped(metrics) == {}
    async with running(crashed / "spool.db") as spool:
        assert [row.batch for row in await drain(spool)] == [batch_of(20, mark=n) for n in range(1, 6)]
        assert spool.stats.accepted_batches == 6
        assert spool.stats.dropped == {}
        assert [point.path for point in spool.points] == ["a/b/c/plc/level"]
    if harm is replace:
        (found,) = path.parent.glob("spool.db.found-*")
        assert execute(found, "SELECT name FROM sqlite_master") == [("messages",)]


async def test_an_idle_spool_notices_too(path, monkeypatch):
    monkeypatch.setattr(store, "LOOK_INTERVAL_S", 0.05)
    monkeypatch.setattr(store, "SPACE_INTERVAL_S", 0.05)
    async with running(path) as spool:
        await spool.append("plc", batch_of(3))
        path.unlink()
        await until(path.exists)
        await until(lambda: spool.stats.notice)
        assert len(await drain(spool)) == 1


async def test_while_the_folder_cannot_be_made_sources_wait(path):
    async with running(path) as spool:
        before = await spool.append("plc", batch_of(3))
        path.parent.rename(path.parent.with_name("elsewhere"))
        path.parent.write_text("in the way")
        append = asyncio.create_task(spool.append("plc", batch_of(4)))
        await until(lambda: spool.stats.state == "failing")
        assert not append.done()
        path.parent.unlink()
        assert await append == before + 1
        assert [row.seq for row in await drain(spool)] == [before, before + 1]


async def test_a_row_is_committed_only_into_a_file_with_a_name(path, monkeypatch):
    """Deleted while the transaction runs: nobody is told before it is in the file that was written anew."""
    async with running(path) as spool:
        await spool.append("plc", batch_of(3))
        connection = spool._file._connection
        commit = connection.commit

        async def deleted_meanwhile():
            monkeypatch.undo()
            await commit()
            path.unlink()

        monkeypatch.setattr(connection, "commit", deleted_meanwhile)
        seq = await spool.append("plc", batch_of(4))
        assert path.exists()
        assert (await drain(spool))[-1].seq == seq
        assert spool.stats.accepted_batches == 2


async def test_a_folder_in_which_nothing_changes_is_looked_at_once(path):
    path.parent.mkdir()
    with path.open("w"):  # what is open keeps its number, so that no other file can have it
        names = Names(path)
        await until(lambda: names.all_lead_there and names._unchanged)
        (path.parent / "other").touch()
        assert names.all_lead_there
        path.unlink()  # in the same grain of the folder's time as the other one, perhaps
        assert not names.all_lead_there
        path.touch()
        assert not names.all_lead_there
        assert not names.database_leads_there
