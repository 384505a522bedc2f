"""`tidegate spool`, as a person uses it: from one machine to another, and what is said when something is wrong."""

import asyncio
import json
import re
import shutil

import pytest

from gateway.batch import Batch, Kind, Reading
from gateway.cli import main
from gateway.cli_broker import uplink
from gateway.demo.broker import Broker
from gateway.gap import Gap
from gateway.spool.ledger.gaplist import since_ns
from tests.gateway.spool.harness import START_NS, batch_of, execute, running
from tests.gateway.uplink.support import subscribed
from tests.waiting import until

CONFIG = """
[gateway]
id = "hall-1"
path = "acme/hall-1/line-a"
[uplink]
host = "127.0.0.1"
[database]
path = "spool.db"
[[devices]]
name = "tank"
type = "modbus"
host = "127.0.0.1"
tags = [{ name = "level", register = "input", address = 0, type = "float32" }]
"""


async def fill(folder):
    async with running(folder / "spool.db") as spool:
        spool.points.intern("acme/hall-1/line-a/tank/level", device="tank", unit="m", kind=Kind.F64)
        spool._merger.readings = 100
        for number in range(30):
            await spool.append("tank" if number % 2 else "press", batch_of(10, mark=number))
        await spool.append("tank", batch_of(3), set_aside=True)
        assert await spool._merger.merge() == 100


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A gateway's folder, with a spool in which three hundred readings wait."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TIDEGATE_CONFIG", raising=False)
    (tmp_path / "gw.toml").write_text(CONFIG)
    asyncio.run(fill(tmp_path))
    return tmp_path


def tidegate(*words, status=0, capsys=None):
    assert main(["spool", *words]) == status, capsys.readouterr().err if capsys else words
    return capsys.readouterr() if capsys else None


def told(capsys, *words, status=0):
    return json.loads(tidegate(*words, "--json", status=status, capsys=capsys).out)


def error(capsys, *words, status=1):
    ended = tidegate(*words, status=status, capsys=capsys)
    assert ended.out == ""
    assert "Traceback" not in ended.err
    return ended.err


def test_from_one_machine_to_another(site, capsys):
    exported = told(capsys, "export", "out.tide", "--config", "gw.toml")
    assert (exported["batches"], exported["readings"], exported["aside"]) == (30, 300, 3)
    assert exported["first_seq"] == START_NS // 1000
    (site / "public.pem").write_text(tidegate("key", "--config", "gw.toml", capsys=capsys).out)
    (site / "elsewhere").mkdir()
    shutil.move(site / "out.tide", site / "elsewhere" / "out.tide")

    whole = told(capsys, "verify", "elsewhere/out.tide")
    assert (whole["whole"], whole["origin"]) == (True, "not proven: give --key")
    proven = told(capsys, "verify", "elsewhere/out.tide", "--key", "public.pem")
    assert proven["origin"] == "proven by the key"
    assert proven["header"]["gateway"] == "hall-1"
    assert proven["contents"]["readings"] == 300

    async def forwarded():
        async with Broker(folder=site / "broker", kind="mosquitto") as broker, subscribed(broker.port) as watcher:
            to = ["forward", "elsewhere/out.tide", "--broker", f"127.0.0.1:{broker.port}", "--key", "public.pem"]
            planned = await asyncio.to_thread(told, capsys, *to, "--dry-run")
            assert [(one["topic"], one["batches"], one["readings"]) for one in planned["topics"]] == [
                ("tidegate/hall-1/data/press", 15, 150),
                ("tidegate/hall-1/data/tank", 15, 150),
            ]
            assert watcher.messages == []
            sent = await asyncio.to_thread(told, capsys, *to)
            assert (sent["batches"], sent["readings"], sent["skipped"], sent["refused"]) == (30, 300, 0, {})
            await until(lambda: len(watcher.messages) == 30)
            again = await asyncio.to_thread(told, capsys, *to)
            assert (again["batches"], again["skipped"]) == (0, 30)
            planned = await asyncio.to_thread(told, capsys, *to, "--dry-run")
            assert planned["topics"] == "nothing: it has all of it"
            await asyncio.to_thread(told, capsys, *to, "--again", "--progress", "noted")
            await until(lambda: len(watcher.messages) == 60)
            assert (site / "noted").exists()

    asyncio.run(forwarded())
    assert told(capsys, "verify", "--config", "gw.toml")["whole"] is True
    assert told(capsys, "stats", "--config", "gw.toml")["readings"] == 300


def test_stats_tell_what_waits(site, capsys):
    found = told(capsys, "stats", "spool.db", "--by-device")
    assert (found["batches"], found["readings"], found["accepted_readings"], found["points"]) == (30, 300, 303, 1)
    assert found["bytes_per_reading"] == round(found["bytes"] / 300, 3)
    assert (found["blocks"]["blocks"], found["blocks"]["readings"]) == (1, 100)
    assert found["set_aside"]["readings"] == 3
    assert found["oldest_ns"] == START_NS
    assert found["devices"] == [
        {"device": "press", "batches": 15, "readings": 150},
        {"device": "tank", "batches": 15, "readings": 150},
    ]
    page = tidegate("stats", "--config", "gw.toml", capsys=capsys).out
    assert "bytes_per_reading" in page
    assert "2025-11-23" in page


def test_gaps_are_listed(site, capsys):
    found = told(capsys, "gaps", "--config", "gw.toml")
    (gap,) = found.pop("gaps")
    assert found == {"file": str(site / "spool.db"), "rows": 1, "not_told_yet": 1}
    assert gap == {
        "number": START_NS // 1000,
        "from_ns": START_NS,
        "to_ns": START_NS + 1,
        "device": "tank",
        "tag": None,
        "group": None,
        "readings": 3,
        "cause": "set_aside",
        "told": False,
    }
    page = tidegate("gaps", "spool.db", capsys=capsys).out
    assert re.search(r"1763900000000000 +2025-11-23 12:13:20 UTC +2025-11-23 .* tank +- +- +3 +set_aside +no", page)
    assert told(capsys, "gaps", "spool.db", "--since", "2025-11-23")["rows"] == 1
    assert told(capsys, "gaps", "spool.db", "--since", "2025-11-23T12:13:21Z")["rows"] == 0
    assert "rows          0" in tidegate("gaps", "spool.db", "--since", "1s", capsys=capsys).out


def test_gaps_of_a_carried_file_are_listed(site, capsys):
    tidegate("export", "out.tide", "--config", "gw.toml", capsys=capsys)
    found = told(capsys, "gaps", "out.tide")
    assert [(gap["device"], gap["readings"], gap["cause"]) for gap in found["gaps"]] == [("tank", 3, "set_aside")]
    assert told(capsys, "gaps", "out.tide", "--since", "1s")["rows"] == 0


async def test_gaps_of_a_running_gateway_are_listed(site, capsys):
    async with running(site / "spool.db") as spool:
        spool.note_gaps([Gap("", "spool_damaged", 0, START_NS, None)])
        await spool.flush()
        gaps = (await asyncio.to_thread(told, capsys, "gaps", "spool.db"))["gaps"]
    assert [(gap["device"], gap["from_ns"], gap["readings"]) for gap in gaps[1:]] == [(None, 0, None)]


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [
        ("90s", 2 * 86_400 - 90),
        ("1.5h", 2 * 86_400 - 5400),
        ("9d", 0),
        ("1970-01-02", 86_400),
        ("1970-01-02T01:00+01:00", 86_400),
    ],
)
def test_since_is_a_time_or_how_long_ago(text, expected_s):
    assert since_ns(text, now_ns=2 * 86_400 * 10**9) == expected_s * 10**9


DAMAGES = {
    "a row": ("UPDATE batches SET data = zeroblob(length(data)) WHERE seq % 10 = 5", "its checksum is wrong; 10 "),
    "a block": ("UPDATE blocks SET data = zeroblob(length(data))", "block .*: its checksum is wrong; 100 readings"),
    "what is left of a block": ("UPDATE block_left SET sizes = x'00'", "block .*is of another length; 100 readings"),
    "a column": ("UPDATE batches SET at_ns = 'x' WHERE seq % 10 = 5", "row .*another type than was written; 10 "),
    "the totals": ("UPDATE totals SET readings = readings + 1", "the totals say 30 batches, 301 readings, 1 blocks"),
    "the last number": ("UPDATE totals SET last_seq = last_seq - 9", "lies above the last that was given"),
    "the points": ("DELETE FROM points", "a reading of point 1, of 0 points"),
    "the order": ("UPDATE batches SET seq = seq - 12 WHERE seq % 100 = 15", "stands in what was before it"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_verify_says_what_is_wrong_with_a_spool(site, capsys, damage):
    statement, words = DAMAGES[damage]
    execute(site / "spool.db", statement)
    found = told(capsys, "verify", "spool.db", status=1)
    assert found["whole"] is False
    assert any(re.search(words, problem) for problem in found["problems"]), found["problems"]


@pytest.mark.parametrize(
    "statement", ["UPDATE totals SET batches = 'x'", "DELETE FROM totals", "UPDATE points SET path = 7, kind = 99"]
)
def test_a_spool_that_says_nonsense_of_itself_is_said_to_be_damaged(site, capsys, statement):
    execute(site / "spool.db", statement)
    for command in (["verify", "spool.db"], ["stats", "spool.db"], ["export", "out.tide", "--config", "gw.toml"]):
        assert "spool.db: it is damaged (" in error(capsys, *command)
    assert told(capsys, "salvage", "spool.db")["readable"]["readings"] == 300


def test_a_damaged_spool_is_salvaged(site, capsys):
    content = bytearray((site / "spool.db").read_bytes())
    content[:1024] = bytes(1024)  # the first page
    (site / "spool.db").write_bytes(content)
    assert "salvage" in error(capsys, "export", "out.tide", "--config", "gw.toml")
    assert "salvage" in error(capsys, "verify", "spool.db")
    assert "salvage" in error(capsys, "stats", "spool.db")
    found = told(capsys, "salvage", "spool.db")
    assert found["readable"]["readings"] == 300
    assert (found["lost"]["readings"], found["points"]) == (0, 1)
    into = told(capsys, "salvage", "spool.db", "--into", "out.tide", "--config", "gw.toml")
    assert (into["readings"], into["lost"]["readings"]) == (300, 0)
    assert told(capsys, "verify", "out.tide")["header"]["origin"] == "salvage"
    assert error(capsys, "salvage", "spool.db", "--into", "out.tide", status=2).startswith(
        "tidegate: whose readings are these? Give --config FILE with --into"
    )


async def test_a_spool_in_use_is_exported_and_not_salvaged(site, capsys):
    async with running(site / "spool.db"):
        said = await asyncio.to_thread(error, capsys, "salvage", "spool.db")
        assert "is in use by a running gateway: `tidegate spool export` reads it" in said
        assert (await asyncio.to_thread(told, capsys, "export", "out.tide", "--config", "gw.toml"))["readings"] == 300
        assert (await asyncio.to_thread(told, capsys, "verify", "spool.db"))["whole"] is True


def test_nothing_is_forwarded_of_which_nobody_knows_whose_it_is(site, capsys):
    tidegate("export", "out.tide", "--config", "gw.toml", capsys=capsys)
    to = ["forward", "out.tide", "--broker", "127.0.0.1:1"]
    assert "it is whole, but nothing proves that gateway 'hall-1' made it. Give --key" in error(capsys, *to)
    (site / "spool.db.key").unlink()
    (site / "other.pem").write_text(tidegate("key", "--config", "gw.toml", capsys=capsys).out)
    assert "it was not signed with the key in other.pem, but with key" in error(capsys, *to, "--key", "other.pem")
    assert "not signed with the key" in error(capsys, "verify", "out.tide", "--key", "other.pem")
    said = error(capsys, *to, "--any-origin")
    assert "nothing listens there" in said
    assert "the same command goes on" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["forward", "x", "--any-origin"], "which broker? Give either --broker HOST[:PORT] or --config FILE"),
        (["forward", "x", "--broker", "b", "--config", "gw.toml"], "which broker?"),
        (["forward", "x", "--broker", "b:99999"], "HOST or HOST:PORT is expected"),
        (["forward", "x", "--broker", "mqtt://b"], "HOST or HOST:PORT is expected"),
        (["forward", "x", "--broker", "b", "--ca-file", "ca.pem"], "--ca-file belongs to --tls"),
        (["forward", "x", "--config", "gw.toml", "--tls"], "belong to --broker"),
        (["forward", "x", "--broker", "b", "--key", "k", "--any-origin"], "give one of them"),
        (["stats"], "which spool? Give FILE, or --config FILE"),
        (["verify"], "which spool? Give FILE, or --config FILE"),
        (["key"], "which spool?"),
        (["gaps"], "which spool? Give FILE, or --config FILE"),
        (["gaps", "spool.db", "--since", "yesterday"], "--since: 'yesterday' is no time: write how long ago, such as"),
        (["verify", "spool.db", "--key", "k"], "--key belongs to an exported file"),
        (["export", "out.tide"], "Missing option '--config'"),
    ],
)
def test_what_is_wrong_with_the_command_is_said(site, capsys, words, says):
    assert says in error(capsys, *words, status=2)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["gaps", "gone.db"], "gone.db: unable to open database file. Is it there, and may you read it?"),
        (["verify", "gone.db"], "gone.db: unable to open database file. Is it there, and may you read it?"),
        (["forward", "gone.tide", "--broker", "b", "--any-origin"], "gone.tide cannot be read (No such file"),
        (["forward", "gw.toml", "--broker", "b", "--any-origin"], "gw.toml: it is no file of `tidegate spool export`"),
        (["forward", "gw.toml", "--broker", "b", "--password-file", "none"], "the password file none cannot be read"),
        (["salvage", "gone.db"], "Salvaging from gone.db: it cannot be opened (No such file"),
    ],
)
def test_what_cannot_be_done_is_said(site, capsys, words, says):
    assert says in error(capsys, *words)


def test_a_device_from_a_foreign_file_steers_no_terminal(site, capsys):
    async def store():
        async with running(site / "spool.db") as spool:
            await spool.append("a\x1b[2Jb", Batch.of([Reading(1, 1.0, 1)]))

    asyncio.run(store())
    tidegate("stats", "spool.db", "--by-device")
    assert "\x1b" not in capsys.readouterr().out
    exported = told(capsys, "export", "out.tide", "--config", "gw.toml")
    assert (exported["broken"], exported["batches"]) == (1, 30), "no topic can have that name"
    assert told(capsys, "verify", "out.tide")["whole"] is True


@pytest.mark.parametrize(
    ("broker", "host", "port"),
    [
        ("broker.example", "broker.example", None),
        ("broker.example:1884", "broker.example", 1884),
        ("10.0.0.1:1", "10.0.0.1", 1),
        ("::1", "::1", None),
        ("[::1]", "::1", None),
        ("[fe80::1]:8883", "fe80::1", 8883),
    ],
)
def test_a_broker_is_named_as_people_write_it(broker, host, port):
    options = {"config": None, "username": None, "password_file": None, "tls": False, "ca_file": None}
    settings = uplink(broker=broker, protocol="5", **options)
    assert (settings.host, settings.port) == (host, port)
