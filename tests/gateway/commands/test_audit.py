"""The audit on disk: found again by id, bounded, readable beside a running gateway, and its listing."""

import json
import sqlite3
from dataclasses import replace

import pytest

from gateway.cli import main
from gateway.commands import configured, may_configure
from gateway.commands.listing import audit_text
from gateway.errors import SpoolError
from gateway.policy import BuiltinPolicy, User
from gateway.spool import AuditEntry
from gateway.spool.audit import read_audit
from gateway.spool.damage import Damaged
from gateway.spool.migrations import MIGRATIONS
from tests.gateway.spool.harness import START_NS, batch_of, drain, open_spool, running

ENTRY = AuditEntry(
    id="a1",
    at_ns=START_NS,
    user="Anna",
    role="operator",
    action="write",
    device="press",
    tag="force",
    value="5",
    allowed=True,
    reason="she may",
    status="in progress",
)
DONE = replace(ENTRY, status="accepted", result="fine", read_back="5.0", finished_ns=START_NS + 1)
ANNA = User(name="Anna", role="engineer")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "spool.db"


async def test_an_entry_is_found_again_by_its_id_also_after_a_restart(path):
    async with running(path) as spool:
        audit = spool.audit(max_rows=100)
        assert await audit.begin(ENTRY) is None
        assert await audit.begin(replace(ENTRY, value="6")) == ENTRY
        await audit.finish(DONE)
    async with running(path) as spool:
        assert await spool.audit(max_rows=100).begin(ENTRY) == DONE


async def test_entries_without_an_id_are_never_found(path):
    async with running(path) as spool:
        audit = spool.audit(max_rows=100)
        for _ in range(2):
            assert await audit.begin(replace(DONE, id=None)) is None
        assert len(await audit.recent(10)) == 2


async def test_the_oldest_make_room_and_open_ones_stay(path):
    async with running(path) as spool:
        audit = spool.audit(max_rows=10)
        await audit.begin(replace(ENTRY, id="open"))
        for number in range(25):
            await audit.begin(replace(DONE, id=str(number)))
        kept = [entry.id for entry in await audit.recent(100)]
        assert kept == [*(str(number) for number in range(24, 14, -1)), "open"]
        assert [entry.id for entry in await audit.recent(3)] == ["24", "23", "22"]


async def test_what_was_left_open_is_given_up_once(path):
    async with running(path) as spool:
        audit = spool.audit(max_rows=100)
        await audit.begin(ENTRY)
        await audit.begin(replace(DONE, id="a2"))
        given_up = replace(ENTRY, status="failed", result="gone", finished_ns=7)
        assert await audit.give_up_open(at_ns=7, result="gone") == [given_up]
        assert await audit.give_up_open(at_ns=8, result="gone again") == []
        assert await audit.begin(ENTRY) == given_up


async def test_a_result_outlives_the_loss_of_its_row(path):
    async with running(path) as spool:
        await spool.audit(max_rows=100).finish(DONE)
        assert await spool.audit(max_rows=100).recent(10) == [DONE]


async def test_rows_and_audit_share_the_file_and_do_not_mix(path):
    async with running(path) as spool:
        audit = spool.audit(max_rows=1000)
        for number in range(20):
            await spool.append("plc", batch_of(10, mark=number))
            await audit.begin(replace(DONE, id=str(number)))
        assert spool.stats.backlog_readings == 200
        assert len(await drain(spool)) == 20
    async with running(path) as spool:
        assert spool.stats.backlog_readings == 200
        assert len(await spool.audit(max_rows=1000).recent(100)) == 20


async def test_a_transaction_that_fails_leaves_nothing_behind(path):
    async with running(path) as spool:
        audit = spool.audit(max_rows=100)
        with pytest.raises(SpoolError, match="Writing the audit to the spool"):
            await audit.begin(replace(ENTRY, id="bad", user=None))
        await spool.append("plc", batch_of(1))
        assert await audit.begin(ENTRY) is None
        assert await audit.recent(10) == [ENTRY]


async def test_a_file_of_the_first_version_is_brought_up(path):
    connection = sqlite3.connect(path)
    connection.executescript(f"PRAGMA auto_vacuum=INCREMENTAL; BEGIN; {MIGRATIONS[0]} PRAGMA user_version = 1; COMMIT;")
    connection.close()
    async with running(path) as spool:
        assert await spool.audit(max_rows=100).begin(ENTRY) is None


async def test_a_damaged_file_takes_its_audit_along_and_nothing_is_written_on_its_word(path, monkeypatch):
    async with running(path) as spool:
        audit = spool.audit(max_rows=100)
        await audit.begin(ENTRY)

        async def fetch(sql, parameters=()):
            monkeypatch.undo()
            raise Damaged("malformed")

        monkeypatch.setattr(spool._file, "fetch", fetch)
        with pytest.raises(SpoolError, match="it was damaged and is replaced; try again"):
            await audit.begin(replace(ENTRY, id="a2"))
        assert await audit.recent(10) == []
        assert await audit.begin(replace(ENTRY, id="a2")) is None


async def test_a_closed_spool_takes_no_entry(path):
    spool = await open_spool(path)
    audit = spool.audit(max_rows=100)
    await spool.close()
    with pytest.raises(SpoolError, match="is closed"):
        await audit.begin(ENTRY)


@pytest.mark.parametrize(
    ("allow", "failure", "expected"),
    [
        (["configure"], "", ("accepted", True, "")),
        (["configure"], "port 502 is in use", ("failed", True, "port 502 is in use")),
        ([], None, ("denied", False, "")),
    ],
)
async def test_a_change_of_the_configuration_is_audited(path, allow, failure, expected):
    async with running(path) as spool:
        audit = spool.audit(max_rows=100)
        entry = await may_configure(
            BuiltinPolicy(allow), audit, user=ANNA, gateway="gw", change="devices: press", now_ns=START_NS
        )
        assert await audit.recent(10) == [entry]
        if failure is not None:
            await configured(audit, entry, failure=failure, now_ns=START_NS + 5)
        [kept] = await audit.recent(10)
    assert (kept.status, kept.allowed, kept.result) == expected
    assert (kept.action, kept.user, kept.role, kept.value) == ("configure", "Anna", "engineer", '"devices: press"')


async def test_the_command_lists_it_while_the_gateway_runs(path, tmp_path, capsys):
    config = tmp_path / "config.toml"
    config.write_text('[database]\npath = "spool.db"\n')
    async with running(path) as spool:
        await spool.audit(max_rows=100).begin(DONE)
        assert read_audit(path, limit=5) == [DONE]
        assert main(["audit", "--config", str(config), "--json"]) == 0
        [shown] = json.loads(capsys.readouterr().out)
        assert (shown["id"], shown["allowed"], shown["read_back"]) == ("a1", True, "5.0")
        assert main(["audit", "--config", str(config)]) == 0
    assert capsys.readouterr().out == (
        "2025-11-23 12:13:20 UTC  accepted     Anna (operator)  write press/force = 5\n"
        "    policy: she may\n"
        "    result: fine\n"
        "    read back: 5.0\n"
    )


def test_a_listing_without_a_file_says_so(tmp_path, capsys):
    config = tmp_path / "config.toml"
    config.write_text("")
    assert main(["audit", "--config", str(config)]) == 1
    assert "Has a gateway with this configuration run yet" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [config]


def test_a_sender_cannot_steer_the_terminal():
    assert " UTC  " in audit_text([DONE])
    text = audit_text([replace(DONE, device="\x1b[2J", result="a\x07\nb")])
    assert not any(ord(char) < 32 and char != "\n" for char in text)
    assert audit_text([]) == "nothing has been asked for yet"
