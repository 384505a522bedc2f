import asyncio
import hashlib
import time
from pathlib import Path

import pytest

from gateway.config import versions
from gateway.control.client import Refused
from gateway.demo.broker import free_port
from gateway.spool.audit import read_audit
from tests.gateway.desk.conftest import ALLOWED

DEVICE = """
# The press, as it came in 1998.
[[devices]]
name = "press"
type = "modbus"
host = "127.0.0.1"
port = {port}
tags = [{{ name = "force", register = "holding", address = 1 }}]
"""


def device(**keys: object) -> str:
    return ALLOWED + DEVICE.format(port=free_port()) + "".join(f"{key} = {value}\n" for key, value in keys.items())


async def test_the_file_is_shown_as_it_stands(site) -> None:
    here = await site()
    shown = await here.call("GET", "/config")
    assert shown == {
        "file": str(here.file),
        "text": ALLOWED,
        "sha256": versions.fingerprint(ALLOWED),
        "writable": True,
        "problem": "",
    }


async def test_a_check_tells_the_problems_or_the_plan_and_changes_nothing(site) -> None:
    here = await site()
    wrong = await here.call("POST", "/config/check", {"text": "[gateway]\nname = 3"})
    assert [problem["where"] for problem in wrong["problems"]] == ["gateway.name"]
    right = await here.call("POST", "/config/check", {"text": device() + '[database]\npath = "other.db"'})
    assert right["problems"] == []
    assert "press (modbus)" in right["plan"]
    assert right["changes"] == ["device press: starts"]
    assert right["needs_restart"] == ["database.path"]
    broken = await here.call("POST", "/config/check", {"text": "[["})
    assert "not valid TOML" in broken["problems"][0]["what"]
    assert here.file.read_text() == ALLOWED
    assert "device press" not in (await here.status())["components"]


async def test_devices_come_change_and_go_while_it_runs(site) -> None:
    here = await site()
    text = device()
    assert (await here.apply(text))["changes"] == ["device press: starts"]
    assert here.file.read_text() == text
    assert "press" in (await here.status())["devices"]

    disabled = text + "enabled = false\n"
    assert (await here.apply(disabled))["changes"] == ["device press: is disabled and stops"]
    status = await here.status()
    assert status["components"]["device press"]["state"] == "stopped"
    assert status["components"]["device press"]["why"] == "disabled in the configuration"
    assert status["devices"]["press"]["state"] == "stopped"

    assert (await here.apply(text))["changes"] == ["device press: starts"]
    assert (await here.apply(text.replace("1998", "1999")))["changes"] == []
    assert "1999" in here.file.read_text()
    assert (await here.apply(text.replace("address = 1", "address = 2")))["changes"] == [
        "device press: restarts with its new settings"
    ]
    assert (await here.apply(ALLOWED))["changes"] == ["device press: is removed"]
    status = await here.status()
    assert "device press" not in status["components"]
    assert "press" not in status["devices"]
    assert len((await here.call("GET", "/config/versions"))["versions"]) == 6


async def test_the_answer_is_the_base_of_the_next_draft(site) -> None:
    here = await site()
    done = await here.apply(device())
    text = ALLOWED + "# another\n"
    again = await here.call("POST", "/config/apply", {"text": text, "base": done["sha256"]})
    assert again["sha256"] == (await here.call("GET", "/config"))["sha256"]


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (ALLOWED + "[gateway]\nname = 3", 422, "gateway.name: this key is unknown"),
        (ALLOWED + DEVICE.format(port=70_000), 422, "devices[0].port: found 70000"),
        (device() + '[[filters]]\nmodule = "no-such"', 422, "filters[0].module: module 'no-such' is not built in"),
        (ALLOWED + '[gateway]\nid = "other"', 422, "gateway.id: this key needs a restart"),
    ],
)
async def test_a_draft_that_cannot_be_applied_changes_nothing_and_says_why(
    site, text: str, status: int, words: str
) -> None:
    here = await site()
    before = (await here.status())["components"].keys()
    with pytest.raises(Refused) as refused:
        await here.apply(text)
    assert refused.value.status == status
    assert words in str(refused.value)
    assert words in "\n".join(map(str, refused.value.problems))
    assert here.file.read_text() == ALLOWED
    assert (await here.status())["components"].keys() == before
    assert (await here.call("GET", "/config/versions")) == {"versions": []}


async def test_a_module_that_cannot_start_is_refused_before_anything_is_touched(site, tmp_path: Path) -> None:
    here = await site()
    module = tmp_path / "greedy.wasm"
    # A module as far as its description goes, which is all that a check reads; there is no code in it.
    built_in = (Path(__file__).parents[3] / "modules/dist/scale.wasm").read_bytes()
    module.write_bytes(only_custom_sections(built_in))
    pin = hashlib.sha256(module.read_bytes()).hexdigest()
    text = device() + f'[[filters]]\nmodule = "./greedy.wasm"\nsha256 = "{pin}"\nparams = {{ factor = 2 }}\n'
    assert (await here.call("POST", "/config/check", {"text": text}))["problems"] == []
    with pytest.raises(Refused, match="filter greedy cannot start on device press") as refused:
        await here.apply(text)
    assert refused.value.status == 422
    assert here.file.read_text() == ALLOWED
    assert "device press" not in (await here.status())["components"]


def only_custom_sections(wasm: bytes) -> bytes:
    kept, at = wasm[:8], 8
    while at < len(wasm):
        size = shift = 0
        start = at + 1
        while True:
            byte = wasm[start]
            size |= (byte & 0x7F) << shift
            shift += 7
            start += 1
            if byte < 0x80:
                break
        if wasm[at] == 0:
            kept += wasm[at : start + size]
        at = start + size
    return kept


async def test_what_needs_a_restart_can_be_written_for_later(site) -> None:
    here = await site()
    text = device() + '[gateway]\nid = "other"\n'
    done = await here.apply(text, restart_later=True)
    assert done["needs_restart"] == ["gateway.id"]
    assert done["changes"] == ["device press: starts"]
    assert (await here.status())["gateway"] != "other"
    told = await here.call("POST", "/config/check", {"text": text})
    assert told["changes"] == []
    assert told["needs_restart"] == ["gateway.id"]


async def test_a_file_that_changed_meanwhile_is_not_overwritten(site) -> None:
    here = await site()
    base = (await here.call("GET", "/config"))["sha256"]
    here.file.write_text(ALLOWED + "# by hand\n")
    with pytest.raises(Refused, match="has changed since this draft") as refused:
        await here.call("POST", "/config/apply", {"text": device(), "base": base})
    assert refused.value.status == 409
    assert here.file.read_text() == ALLOWED + "# by hand\n"
    assert "device press" not in (await here.status())["components"]


async def test_a_read_only_file_is_refused(site, monkeypatch: pytest.MonkeyPatch) -> None:
    here = await site()
    # The tests may run as root, to whom no file is read-only: the system's answer is what is made up here.
    monkeypatch.setattr(versions.os, "access", lambda *_: False)
    shown = await here.call("GET", "/config")
    assert not shown["writable"]
    assert "ConfigMap" in shown["problem"]
    with pytest.raises(Refused, match="Nothing was changed") as refused:
        await here.apply(device())
    assert refused.value.status == 409
    assert "device press" not in (await here.status())["components"]


async def test_a_disk_that_fails_at_the_last_step_leaves_everything_as_it_was(
    site, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await site()

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(versions, "_keep", fail)
    with pytest.raises(Refused, match="disk is full"):
        await here.apply(device())
    assert here.file.read_text() == ALLOWED
    assert "device press" not in (await here.status())["components"]
    monkeypatch.undo()
    assert (await here.apply(device()))["changes"] == ["device press: starts"]


async def test_without_the_policys_yes_nothing_changes(site, tmp_path: Path) -> None:
    here = await site("")
    with pytest.raises(Refused, match="not allowed") as refused:
        await here.apply(device().replace(ALLOWED, ""))
    assert refused.value.status == 403
    assert here.file.read_text() == ""
    assert "device press" not in (await here.status())["components"]
    (entry,) = read_audit(tmp_path / "tidegate.db", limit=9)
    assert (entry.action, entry.status, entry.allowed) == ("configure", "denied", False)


async def test_what_was_allowed_stands_in_the_audit_with_its_result(site, tmp_path: Path) -> None:
    here = await site()
    await here.apply(device())
    (entry,) = read_audit(tmp_path / "tidegate.db", limit=9)
    assert (entry.action, entry.status, entry.user) == ("configure", "accepted", "control socket")
    assert "device press: starts" in entry.value


async def test_a_policy_decides_which_devices_are_read(site, tmp_path: Path) -> None:
    (tmp_path / "policy.rego").write_text(
        "package industrial\n\n"
        "default allow = false\n\n"
        'allow { input.action == "configure" }\n'
        'allow { input.action == "collect"; input.device.type == "sensor" }\n'
    )
    policy = '[policy]\nfile = "policy.rego"\n'
    here = await site(policy)
    text = (policy + device()).replace(ALLOWED, "") + 'kind = "camera"\n'
    await here.apply(text)
    told = (await here.status())["components"]["device press"]
    assert told["state"] == "stopped"
    assert "policy denies it" in told["why"]


async def test_two_drafts_from_one_base_are_not_both_applied(site) -> None:
    here = await site()
    base = (await here.call("GET", "/config"))["sha256"]
    drafts = [{"text": device(), "base": base}, {"text": ALLOWED + "# mine\n", "base": base}]
    outcomes = await asyncio.gather(
        *(here.call("POST", "/config/apply", draft) for draft in drafts), return_exceptions=True
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    assert [one.status for one in refused] == [409]


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/config/check", {}),
        ("/config/apply", {"text": "x"}),
        ("/config/apply", {"base": "x", "text": 3}),
        ("/browse", {}),
        ("/browse", {"device": {"type": "modbus", "host": "h"}, "node": 3}),
        ("/search", {"device": {}, "text": ""}),
        ("/search", {"device": {}, "text": "x", "limit": 0}),
        ("/uplink/test", {"uplink": "x"}),
    ],
)
async def test_a_request_that_lacks_something_is_refused(site, target: str, body: dict[str, object]) -> None:
    here = await site()
    with pytest.raises(Refused) as refused:
        await here.call("POST", target, body)
    assert refused.value.status == 400


async def test_the_schema_is_that_of_the_command(site) -> None:
    from gateway.check import MODELS
    from gateway.config.schema import schema

    here = await site()
    assert (await here.call("GET", "/schema")) == schema(MODELS)


async def test_versions_tell_when_each_text_was_written(site) -> None:
    here = await site()
    await here.apply(device())
    (version,) = (await here.call("GET", "/config/versions"))["versions"]
    assert version["bytes"] == len(ALLOWED)
    assert 0 <= time.time() - version["at"] < 600


async def test_a_changed_file_of_tags_restarts_its_device_and_a_wrong_one_changes_nothing(site) -> None:
    here = await site()
    table = here.file.parent / "press.csv"
    table.write_text("name,address\nforce,1\n")
    text = device().replace('tags = [{ name = "force", register = "holding", address = 1 }]', 'tags_file = "press.csv"')
    assert (await here.apply(text))["changes"] == ["device press: starts"]
    assert (await here.apply(text))["changes"] == []
    table.write_text("name,address\nforce,1\nspeed,2\n")
    assert (await here.call("POST", "/config/check", {"text": text}))["changes"] == [
        "device press: restarts with its new settings"
    ]
    assert (await here.apply(text))["changes"] == ["device press: restarts with its new settings"]
    table.write_text("name,address\nforce,1\nspeed,99999999\n")
    with pytest.raises(Refused) as refused:
        await here.apply(text)
    (problem,) = refused.value.problems
    assert problem.where == "devices[0].tags_file"
    assert problem.what.startswith("line 3 of press.csv, column address: ")
    assert "press" in (await here.status())["devices"]
    assert here.file.read_text() == text
