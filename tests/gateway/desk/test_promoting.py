"""`tidegate module diff` and `promote`, against a gateway that runs and where none does."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.config.versions import versions
from gateway.demo.broker import free_port
from gateway.errors import TidegateError
from gateway.workshop.diff import diff_text
from gateway.workshop.promote import promoted
from tests.gateway.desk.conftest import ALLOWED

FILTERED = f"""{ALLOWED}
[[devices]]
name = "press"
type = "modbus"
host = "127.0.0.1"
port = {free_port()}
tags = [{{ name = "force", address = 1 }}]

[[filters]]
module = "scale"           # raw counts
params = {{ factor = 2.0 }}
shadow = {{ module = "clamp", params = {{ high = 9.0 }} }}
"""


async def tidegate(*words: str) -> int:
    return await asyncio.to_thread(main, words)


async def test_the_two_change_places_and_back(site, capsys) -> None:
    here = await site(FILTERED)
    config = ("--config", str(here.file))
    assert await tidegate("module", "diff", *config) == 0
    assert "scale on press: scale 1.1.0 at work, clamp 1.0.0 as its shadow" in capsys.readouterr().out
    assert await tidegate("module", "promote", "scale", *config) == 0
    assert capsys.readouterr().out == "device press: gets new filters, its connection stays\n"
    assert (await here.status())["filters"]["press"][0]["module"] == "clamp 1.0.0"
    assert "# raw counts" in here.file.read_text()
    assert await tidegate("module", "promote", "scale", *config) == 0
    told = (await here.status())["filters"]["press"][0]
    assert (told["name"], told["module"], told["shadow"]["module"]) == ("scale", "scale 1.1.0", "clamp 1.0.0")
    assert await tidegate("module", "promote", "clamp", *config) == 1
    assert "has no filter named clamp; its filters are scale" in capsys.readouterr().err


def test_where_no_gateway_runs_the_file_is_changed(tmp_path: Path, capsys) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(FILTERED)
    assert main(["module", "promote", "scale", "--config", str(file)]) == 0
    assert "no gateway runs on it" in capsys.readouterr().out
    assert 'module = "clamp"' in file.read_text()
    assert len(versions(file)) == 1
    assert main(["module", "diff", "--config", str(file)]) == 1
    assert "no gateway listens" in capsys.readouterr().err


def test_a_json_file_is_changed_too() -> None:
    before = {"filters": [{"module": "./a.wasm", "sha256": "1", "shadow": {"module": "scale"}}]}
    after = json.loads(promoted(json.dumps(before), "a", Path("x.json")))
    assert after == {"filters": [{"module": "scale", "name": "a", "shadow": {"module": "./a.wasm", "sha256": "1"}}]}
    assert json.loads(promoted(json.dumps(after), "a", Path("x.json")))["filters"][0]["module"] == "./a.wasm"


def test_without_a_shadow_there_is_nothing_to_promote() -> None:
    with pytest.raises(TidegateError, match="has no shadow"):
        promoted('[[filters]]\nmodule = "scale"\n', "scale", Path("x.toml"))
    assert diff_text([]).startswith("no filter at work has a shadow")


def test_a_difference_is_a_line() -> None:
    example = {"tag": "force", "ts_ns": 1_500_000_000, "now": "1.0 (f64)", "shadow": "left out"}
    told = {"module": "b 2", "state": "failing", "failures": 2, "last_error": "trap", "batches": 3, "differing": 1}
    told |= {"readings": 30, "kept": 29, "shadow_kept": 28, "cost_us": 0.1, "shadow_cost_us": 0.25}
    text = diff_text([{"device": "press", "filter": "f", "module": "a 1", "shadow": told | {"examples": [example]}}])
    assert text.splitlines() == [
        "f on press: a 1 at work, b 2 as its shadow",
        "  the shadow fails (2 times): trap",
        "  1 of 3 batches differ, with 30 readings",
        "  29 readings went on, with the shadow 28",
        "  a reading costs 0.100 us, in the shadow 0.250 us",
        "    force at 1970-01-01T00:00:01.500+00:00: 1.0 (f64), shadow: left out",
    ]
