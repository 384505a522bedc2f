"""Files of earlier versions, as these made them, are read: rows, blocks, points, what is set aside."""

import gzip
import re

import pytest

from gateway.spool.migrations import MIGRATIONS
from gateway.spool.repair.salvage import Salvage
from tests.gateway.spool.earlier import FIRST_SEQ, FOLDER, TAKEN, batches, fill
from tests.gateway.spool.harness import drain, running

FILES = sorted(FOLDER.glob("schema-*.db.gz"))
VERSIONS = [int(re.search(r"\d+", path.name)[0]) for path in FILES]
WAITING = [(FIRST_SEQ + place, device, batch) for place, (device, batch) in enumerate(batches()) if place not in TAKEN]


@pytest.fixture(params=FILES, ids=[f"schema {version}" for version in VERSIONS])
def path(request, tmp_path):
    target = tmp_path / "spool.db"
    target.write_bytes(gzip.decompress(request.param.read_bytes()))
    return target


def test_there_is_a_file_of_each_earlier_version():
    """Where this fails: check out what was before the new migration; `python -m tests.gateway.spool.earlier`."""
    assert VERSIONS[: len(MIGRATIONS) - 1] == list(range(1, len(MIGRATIONS)))


def shown(rows):
    return [(row.seq, row.device, row.batch) for row in rows]


async def test_what_waited_is_read_taken_and_added_to(path):
    async with running(path) as spool:
        stats = spool.stats
        assert stats.quarantined is None
        assert shown(await drain(spool)) == WAITING
        assert (stats.backlog_batches, stats.backlog_readings) == (len(WAITING), 7 * len(WAITING))
        assert (stats.accepted_batches, stats.set_aside_readings) == (21, 1)
        assert [(point.number, point.tag, point.unit) for point in spool.points] == [
            (number, f"tag-{number}", "mm") for number in (1, 2, 3)
        ]
        added = await spool.append("tank", WAITING[0][2])
        assert added > WAITING[-1][0]
        spool._merger.readings = 70
        while await spool._merger.merge():
            pass
        assert shown(await drain(spool)) == [*WAITING, (added, "tank", WAITING[0][2])]
        spool.ack([row.seq for row in await drain(spool)])
        await spool.flush()
        assert (spool.stats.backlog_readings, spool.stats.backlog_bytes) == (0, 0)


def test_salvage_reads_it_as_it_is(path):
    with Salvage(path) as salvage:
        assert shown(row for saved in salvage.items() for row in saved.stored.rows()) == WAITING
        assert [point.tag for point in salvage.points] == ["tag-1", "tag-2", "tag-3"]
        assert (salvage.lost.readings, salvage.lost.aside_readings) == (0, 1)


async def test_the_file_of_this_version_is_made_in_the_same_way(tmp_path):
    """So that one can still be made when the next migration comes."""
    assert await fill(tmp_path / "spool.db") == len(MIGRATIONS)
    with Salvage(tmp_path / "spool.db") as salvage:
        assert shown(row for saved in salvage.items() for row in saved.stored.rows()) == WAITING
