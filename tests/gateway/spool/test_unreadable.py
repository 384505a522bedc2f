"""When what cannot be read is given up: a disk that does not give a page back, now and for good."""

import sqlite3

import pytest

from gateway.spool.unreadable import GIVE_UP_AT, REOPEN_AT, UnreadableFile, Verdict


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
