"""When what cannot be read is given up: a disk that does not give a page back, now and for good."""

import sqlite3

import pytest

from gateway.errors import SpoolError
from gateway.metrics import Metrics
from gateway.spool.repair.unreadable import GIVE_UP_AT, REOPEN_AT, UnreadableFile, Verdict
from gateway.spool.rows import PENDING
from gateway.spool.spoolfile import SpoolFile
from tests.gateway.spool.harness import batch_of, drain, dropped, rescued, running


def error(code):
    found = sqlite3.OperationalError("disk I/O error")
    found.sqlite_errorcode = code
    return found


def test_it_tries_again_then_opens_anew_then_gives_up():
    file = UnreadableFile()
    verdicts = [file.failed("reading from", error(sqlite3.SQLITE_IOERR_READ)) for _ in range(GIVE_UP_AT)]
    assert verdicts.count(Verdict.REOPEN) == 1
    assert verdicts[REOPEN_AT - 1] is Verdict.REOPEN
    assert verdicts[-1] is Verdict.GIVE_UP
    assert verdicts.count(Verdict.GIVE_UP) == 1
    assert file.failed("reading from", error(sqlite3.SQLITE_IOERR_READ)) is Verdict.TRY_AGAIN


def test_only_the_same_work_that_succeeds_begins_the_count_anew():
    file = UnreadableFile()
    for _ in range(GIVE_UP_AT - 1):
        file.failed("reading from", error(sqlite3.SQLITE_IOERR_READ))
        file.worked("writing to")
    file.worked("reading from")
    assert file.failed("reading from", error(sqlite3.SQLITE_IOERR_READ)) is Verdict.TRY_AGAIN


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_BUSY, None])
def test_what_the_disk_does_not_take_is_waited_for(code):
    file = UnreadableFile()
    failures = [error(code) if code else MemoryError() for _ in range(3 * GIVE_UP_AT)]
    assert {file.failed("writing to", failure) for failure in failures} == {Verdict.TRY_AGAIN}


async def test_a_sector_that_is_gone_for_good_does_not_hold_the_rest_back(path, monkeypatch):
    """Reading the backlog fails each time while commits go on; then the file is given up, and what is whole saved."""
    metrics = Metrics()
    async with running(path, metrics=metrics) as spool:
        spool.points.intern("a/b/c/plc/level", device="plc")
        seqs = [await spool.append("plc", batch_of(5, mark=n)) for n in range(10)]
        fetch = SpoolFile.fetch

        async def bad_sector(file, sql, parameters=()):
            if sql == PENDING and file.quarantined is None:
                raise error(sqlite3.SQLITE_IOERR_READ)
            return await fetch(file, sql, parameters)

        monkeypatch.setattr(SpoolFile, "fetch", bad_sector)
        for attempt in range(1, GIVE_UP_AT):
            with pytest.raises(SpoolError, match="disk errors"):
                await spool.pending(after=0, limit_readings=100)
            seqs.append(await spool.append("plc", batch_of(5, mark=9 + attempt)))
        await spool.pending(after=0, limit_readings=100)
        assert spool.stats.quarantined is not None
        await rescued(spool)
        rows = await drain(spool)
        assert [row.seq for row in rows] == seqs
        assert [row.batch for row in rows] == [batch_of(5, mark=n) for n in range(len(seqs))]
        assert spool.stats.accepted_batches == len(seqs)
    assert dropped(metrics) == {}
