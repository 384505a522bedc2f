"""Every screen by keyboard alone, in both languages and at both sizes, over a backend without a gateway."""

import tomllib

import pytest
from textual.widgets import Input

from gateway.control.refusal import Refused
from tests.tui.fake import CONFIG, FakeBackend, FakeFile, digest
from tests.tui.rig import LANGUAGES, SIZES, rig
from tui.backend.contract import Node
from tui.cells import width
from tui.i18n import CATALOGUES

everywhere = pytest.mark.parametrize(("size", "language"), [(s, lang) for s in SIZES for lang in LANGUAGES])
each_once = pytest.mark.parametrize(("size", "language"), [(SIZES[0], "zh"), (SIZES[1], "en")])
"""For what is done on a screen: each size and each language. What must fit is looked at everywhere."""


@everywhere
async def test_all_screens_keep_inside_the_terminal_and_show_their_keys_and_help(size, language):
    words = CATALOGUES[language]
    async with rig(size=size, language=language) as tui:
        for key, view in zip("12345", ("overview", "devices", "live", "uplink", "review"), strict=True):
            await tui.press(f"f{key}")
            lines = tui.lines()
            assert len(lines) == size[1]
            assert {width(line) for line in lines} == {size[0]}
            assert f" {key} {words[f'view.{view}']} " in tui.text
            assert words["key.help"] in tui.text
            assert words["key.quit"] in tui.text
            await tui.press("question_mark")
            assert "Ctrl+Q" in tui.text
            await tui.press("escape")
            assert "Ctrl+Q" not in tui.text
        await tui.press("f1")
        text = tui.text
        for key in ("state.degraded", "state.waiting", "state.connected", "flow.backlog", "flow.latency"):
            assert words[key] in text
        assert "12,345" in text
        assert "37 ms" in text
        assert "128/s" in text
        assert "did not answer within 1 s" in text


async def test_a_silent_gateway_shows_as_such_and_comes_back_by_itself():
    async with rig() as tui:
        tui.backend.gone = True
        await tui.poll()
        assert "no answer" in tui.lines()[0]
        assert "no gateway listens" in tui.text
        assert "press" in tui.text, "what was known stays"
        tui.backend.gone = False
        await tui.poll()
        assert "no answer" not in tui.text
        assert "degraded" in tui.lines()[0]


async def test_a_gateway_that_is_not_there_yet_is_waited_for():
    backend = FakeBackend()
    backend.gone = True
    async with rig(backend) as tui:
        assert "no answer" in tui.lines()[0]
        backend.gone = False
        await tui.poll()
        await tui.press("2")
        assert tui.grid("devices").row_ids == ["press", "tank"]


async def test_the_language_changes_at_once_on_every_screen():
    async with rig() as tui:
        for key in "12345":
            await tui.press(key, "f8")
            assert "总览" in tui.lines()[1]
            assert CATALOGUES["zh"]["key.help"] in tui.text
            await tui.press("f8")
            assert "Overview" in tui.lines()[1]


@each_once
async def test_opcua_device_from_nothing_to_the_draft(size, language):
    async with rig(size=size, language=language) as tui:
        await tui.press("2", "a", "enter")
        await tui.press("tab")
        await tui.type("opc.tcp://10.0.0.1:4840")
        await tui.press("enter")
        assert tui.focused() == "nodes"
        assert "生产线状态" in tui.text
        await tui.press("down", "right", "down", "space", "down", "enter")
        assert len(tui.grid("tags").row_ids) == 2
        assert "131.25" in tui.text, "values are read as soon as the folder is open"
        await tui.press("tab", "enter")
        tui.fill("tag-name", "力")
        tui.fill("tag-unit", "kN")
        await tui.press("ctrl+s", "ctrl+s")
        assert tui.grid("devices").row_ids[-1] == "opcua-1"
        assert tui.session.draft.device("opcua-1") == {
            "name": "opcua-1",
            "type": "opcua",
            "url": "opc.tcp://10.0.0.1:4840",
            "tags": [
                {"name": "力", "node": "ns=2;s=Press.Force", "unit": "kN"},
                {"name": "油温", "node": "ns=2;s=Press.Oil"},
            ],
        }
        asked = tui.backend.called("browse")
        assert [node for _, node in asked] == [None, "ns=2;s=Press"], "a folder is asked for once, when it is opened"
        assert asked[0][0]["url"] == "opc.tcp://10.0.0.1:4840"


async def test_security_is_chosen_before_the_server_is_asked():
    async with rig() as tui:
        await tui.press("2", "a", "enter", "tab")
        await tui.type("opc.tcp://10.0.0.1:4840")
        await tui.press("tab", "right", "right", "tab", "right", "tab", "tab", "tab", "enter")
        asked, _ = tui.backend.called("browse")[0]
        assert (asked["security"], asked["security_mode"]) == ("Aes256_Sha256_RsaPss", "Sign")
        await tui.press("ctrl+s")
        assert tui.session.draft.device("opcua-1")["security"] == "Aes256_Sha256_RsaPss"


async def test_search_shows_what_was_found_and_an_empty_one_the_tree_again():
    async with rig() as tui:
        await tui.press("2", "enter", "tab", "enter")
        await tui.press("slash")
        await tui.type("run")
        await tui.press("enter")
        assert "Objects/Press/Running" in tui.text
        assert tui.focused() == "nodes"
        await tui.press("space")
        assert "Running" in tui.grid("tags").row_ids
        await tui.press("slash")
        tui.fill("search", "")
        await tui.press("enter")
        assert "Server" in tui.text
        assert "Objects/Press/Running" not in tui.text


async def test_ticking_twice_takes_the_tag_out_and_names_stay_unique():
    async with rig() as tui:
        await tui.press("2", "enter", "tab", "enter", "down", "enter", "down")
        assert tui.grid("tags").row_ids == ["Force"]
        await tui.press("space")
        assert tui.grid("tags").row_ids == []
        await tui.press("space", "tab", "d")
        assert tui.grid("tags").row_ids == []


async def test_a_server_that_does_not_answer_is_told():
    async with rig() as tui:
        await tui.press("2", "enter")
        tui.backend.gone = True
        await tui.press("tab", "enter")
        assert "no gateway listens" in tui.note()
        assert "> " not in tui.note()


@each_once
async def test_modbus_device_from_nothing_to_the_draft(size, language):
    async with rig(size=size, language=language) as tui:
        await tui.press("2", "a", "down", "enter")
        tui.fill("name", "meter")
        tui.fill("host", "10.0.0.2")
        tui.fill("port", "1502")
        tui.grid("tags").focus()
        await tui.press("a")
        tui.fill("tag-name", "voltage")
        await tui.press("tab", "right", "right")
        await tui.press("tab")
        await tui.type("100")
        await tui.press("tab")
        await tui.type(["right"] * 8)
        tui.fill("tag-scale", "0.1")
        tui.fill("tag-unit", "V")
        await tui.press("ctrl+s")
        await tui.press("c")
        await tui.press("ctrl+s")
        await tui.press("r")
        assert "60.5" in tui.text
        assert CATALOGUES[language]["quality.bad"] in tui.text
        await tui.press("ctrl+s")
        assert tui.session.draft.device("meter") == {
            "name": "meter",
            "type": "modbus",
            "host": "10.0.0.2",
            "port": 1502,
            "tags": [
                {
                    "name": "voltage",
                    "register": "input",
                    "address": 100,
                    "type": "float32",
                    "scale": 0.1,
                    "unit": "V",
                },
                {
                    "name": "voltage-2",
                    "register": "input",
                    "address": 102,
                    "type": "float32",
                    "scale": 0.1,
                    "unit": "V",
                },
            ],
        }


SERIAL = """
[[devices]]
name = "meter"
type = "modbus"
transport = "rtu"
share_connection = true
bit_writes = "read_modify_write"
serial = { port = "/dev/ttyUSB7", baudrate = 9600, parity = "none" }

[[devices.tags]]
name = "energy"
address = "30001"
type = "bcd32"
interval_s = 10
"""


async def test_what_a_form_does_not_show_of_a_device_on_a_serial_line_stays():
    async with rig(FakeBackend(SERIAL)) as tui:
        await tui.press("2")
        assert "/dev/ttyUSB7" in tui.text
        await tui.press("enter")
        tui.fill("timeout_s", "2")
        tui.grid("tags").focus()
        await tui.press("enter")
        tui.fill("tag-unit", "kWh")
        await tui.press("ctrl+s", "ctrl+s")
        before = tomllib.loads(SERIAL)["devices"][0]
        expected = {**before, "timeout_s": 2, "tags": [{**before["tags"][0], "unit": "kWh"}]}
        assert tui.session.draft.device("meter") == expected


async def test_a_device_on_a_serial_line_and_one_with_tls_from_nothing():
    async with rig() as tui:
        await tui.press("2", "a", "down", "enter", "tab", "right")
        assert tui.grid("tags").display
        assert "Serial port" in tui.text
        assert "Host" not in tui.text
        await tui.press("tab")
        await tui.type("/dev/ttyUSB0")
        await tui.press("tab")
        await tui.type(["right"] * 4)
        await tui.press("tab")
        await tui.type(["right"] * 3)
        await tui.press("ctrl+s")
        line = {"port": "/dev/ttyUSB0", "baudrate": 9600, "parity": "none"}
        assert tui.session.draft.device("modbus-1") == {
            "name": "modbus-1",
            "type": "modbus",
            "transport": "rtu",
            "serial": line,
        }
        # The same device, in the network now.
        await tui.press("end", "enter", "tab", "right", "right")
        assert "Serial port" not in tui.text
        await tui.press("tab")
        await tui.type("10.0.0.9")
        assert "802" in tui.text
        tui.fill("ca_file", "plant-ca.pem")
        await tui.press("ctrl+s")
        assert tui.session.draft.device("modbus-1") == {
            "name": "modbus-1",
            "type": "modbus",
            "transport": "tls",
            "host": "10.0.0.9",
            "tls": {"ca_file": "plant-ca.pem"},
        }


async def test_an_untouched_device_is_left_without_a_question_and_a_touched_one_with_one():
    async with rig() as tui:
        await tui.press("2", "down", "enter", "escape")
        assert tui.grid("devices")
        assert not tui.session.draft.changed
        await tui.press("enter")
        tui.fill("host", "other")
        await tui.press("escape")
        assert CATALOGUES["en"]["editor.leave"] in tui.text
        await tui.press("n")
        assert tui.focused() != "devices"
        await tui.press("escape", "y")
        assert tui.grid("devices")
        assert not tui.session.draft.changed


async def test_names_that_are_missing_or_taken_are_told():
    async with rig() as tui:
        await tui.press("2", "enter")
        tui.fill("name", "")
        await tui.press("ctrl+s")
        assert CATALOGUES["en"]["editor.name_missing"] in tui.note()
        tui.fill("name", "tank")
        await tui.press("ctrl+s")
        assert "tank" in tui.note()
        assert not tui.session.draft.changed


async def test_on_off_and_delete_are_in_the_draft_only():
    async with rig() as tui:
        await tui.press("2", "o")
        assert tui.session.draft.device("press")["enabled"] is False
        assert "~ changed" in tui.text
        await tui.press("o")
        assert not tui.session.draft.changed
        await tui.press("down", "d", "y")
        assert "- removed" in tui.text
        assert tui.session.draft.device("tank") is None
        assert "# The press" in tui.session.draft.text
        assert tui.backend.text == CONFIG


async def test_an_array_is_ticked_by_its_elements_and_edited_in_its_form():
    row = Node("ns=2;s=Row", "Row", "Objects/Row", "variable", "Double[]", "array of 3", keys={"elements": 3})

    class WithArray(FakeBackend):
        async def browse(self, device, node):
            return [row] if node is None else []

    async with rig(WithArray()) as tui:
        await tui.press("2", "enter")
        tui.app.screen.query_one("#in-url").focus()
        await tui.press("enter")
        tui.grid("nodes").focus()
        await tui.press("space")
        tui.grid("tags").focus()
        tui.grid("tags").go("Row")
        await tui.press("enter")
        assert tui.app.screen.query_one("#in-tag-elements", Input).value == "3"
        tui.fill("tag-elements", "2")
        tui.fill("tag-fields", "Speed, Position.X")
        await tui.press("ctrl+s")
        await tui.press("ctrl+s")
        (_, tag) = tui.session.draft.device("press")["tags"]
        assert tag == {"name": "Row", "node": "ns=2;s=Row", "elements": 2, "fields": ["Speed", "Position.X"]}
        assert 'fields = ["Speed", "Position.X"]' in tui.session.draft.text


WITH_FILES = CONFIG.replace(
    'url = "opc.tcp://192.168.0.10:4840"', 'url = "opc.tcp://192.168.0.10:4840"\ntags_file = "press.csv"  # by browse'
).replace('host = "192.168.0.20"', 'host = "192.168.0.20"\ntags_file = "tank.csv"')


@each_once
async def test_a_file_of_tags_is_named_kept_and_not_read_for_a_look(size, language):
    async with rig(FakeBackend(WITH_FILES), size=size, language=language) as tui:
        await tui.press("2", "enter")
        assert "press.csv" in tui.text
        tui.app.screen.query_one("#in-url").focus()
        await tui.press("enter")
        await tui.press("ctrl+s")
        assert not tui.session.draft.changed
        await tui.press("down", "enter")
        assert "tank.csv" in tui.text
        tui.grid("tags").focus()
        await tui.press("r")
        tui.fill("unit_id", "3")
        await tui.press("ctrl+s")
        asked = [*tui.backend.called("browse"), *tui.backend.called("read")]
        assert asked
        assert not any("tags_file" in section for call in asked for section in call if isinstance(section, dict))
        assert 'tags_file = "press.csv"  # by browse' in tui.session.draft.text
        assert tui.session.draft.device("tank")["tags_file"] == "tank.csv"
        assert tui.session.draft.device("tank")["unit_id"] == 3


async def test_what_the_check_says_of_a_device_is_told_when_it_is_put_into_the_draft():
    async with rig() as tui:
        tui.backend.problems = [("devices[0].url", "is no address of an OPC UA server")]
        await tui.press("2", "enter")
        tui.fill("url", "http://x")
        await tui.press("ctrl+s")
        assert "devices[0].url: is no address" in tui.text


@each_once
async def test_live_filters_and_ticks(size, language):
    async with rig(size=size, language=language) as tui:
        await tui.press("3")
        await tui.poll()
        assert len(tui.grid("points").row_ids) == 5
        text = tui.text
        assert "131.25" in text
        for quality in ("good", "uncertain", "bad"):
            assert CATALOGUES[language][f"quality.{quality}"] in text
        await tui.press("down", "space", "c")
        assert tui.grid("points").row_ids == ["press/油温"]
        await tui.press("escape", "slash")
        await tui.type("tank")
        assert tui.grid("points").row_ids == ["tank/level", "tank/液位设定"]
        await tui.press("enter")
        assert tui.focused() == "points"


@each_once
async def test_uplink_form_and_test(size, language):
    async with rig(size=size, language=language) as tui:
        await tui.press("4", "tab")
        assert tui.focused() == "in-host"
        await tui.press("tab")
        await tui.type("8883")
        await tui.press("tab", "right", "right")
        tui.fill("password_file", "/run/secrets/mqtt")
        tui.app.screen.query_one("#in-tls").focus()
        await tui.press("right")
        tui.fill("ca_file", "ca.pem")
        await tui.press("ctrl+t")
        uplink = {
            "host": "broker.plant.example",
            "port": 8883,
            "protocol": "3.1.1",
            "password_file": "/run/secrets/mqtt",
            "tls": {"ca_file": "ca.pem"},
        }
        assert tui.backend.called("test_uplink") == [(uplink,)]
        assert "within 12 ms" in tui.note()
        assert tui.session.draft.uplink == uplink
        assert 'host = "broker.plant.example"   # the IT department\'s' in tui.session.draft.text


async def test_uplink_form_leaves_an_untouched_draft_alone():
    async with rig() as tui:
        await tui.press("4")
        await tui.type(["tab"] * 16)
        await tui.press("f5")
        assert not tui.session.draft.changed


@each_once
async def test_review_shows_and_applies(size, language):
    words = CATALOGUES[language]
    async with rig(size=size, language=language) as tui:
        await tui.press("5")
        assert words["review.unchanged"] in tui.text
        await tui.press("2", "o", "5")
        assert words["review.right"] in tui.text
        assert "+enabled = false" in tui.text
        await tui.press("a")
        assert "device line was started" in tui.note()
        assert tomllib.loads(tui.backend.text)["devices"][0]["enabled"] is False
        assert not tui.session.draft.changed
        assert tui.backend.called("apply")[0][1] == digest(CONFIG)


async def test_review_shows_problems_with_their_place_and_changes_nothing():
    async with rig() as tui:
        tui.backend.problems = [("devices[1].tags[0].type", "expected one of bool, int16"), ("", "the whole file")]
        await tui.press("2", "o", "5")
        assert "devices[1].tags[0].type: expected one of bool" in tui.text
        await tui.press("a")
        assert "the draft has mistakes" in tui.note()
        assert tui.backend.text == CONFIG
        assert tui.session.draft.changed


async def test_review_asks_before_it_writes_what_needs_a_restart():
    async with rig() as tui:
        tui.backend.needs_restart = ["database.path"]
        await tui.press("2", "o", "5")
        assert "database.path" in tui.text
        await tui.press("a", "n")
        assert tui.backend.called("apply") == []
        await tui.press("a", "y")
        assert tui.backend.called("apply")[0][2] is True


async def test_a_draft_of_an_old_text_is_refused_and_can_be_given_up():
    async with rig() as tui:
        await tui.press("2", "o")
        tui.backend.text = CONFIG + "# somebody else\n"
        await tui.press("5", "a")
        assert "was changed since" in tui.note()
        assert CATALOGUES["en"]["review.changed_since"] in tui.note()
        await tui.press("x", "y")
        assert "# somebody else" in tui.session.draft.text
        assert not tui.session.draft.changed


async def test_the_policys_no_is_told_with_its_reason():
    async with rig() as tui:
        tui.backend.refusal = Refused("the policy does not let operator configure this gateway", status=403)
        await tui.press("2", "o", "5", "a")
        assert "the policy does not let operator" in tui.note()
        assert tui.session.draft.changed


async def test_earlier_texts_are_listed():
    async with rig() as tui:
        await tui.press("5", "v")
        assert "000002.toml" in tui.text
        assert "812 B" in tui.text


async def test_quitting_asks_when_a_draft_would_be_lost():
    async with rig() as tui:
        await tui.press("2", "o", "q")
        assert CATALOGUES["en"]["draft.leave"] in tui.text
        await tui.press("escape")
        assert tui.app.is_running
        await tui.press("q", "y")
        assert not tui.app.is_running


async def test_offline_the_file_is_edited_and_what_needs_a_gateway_says_so():
    async with rig(FakeFile()) as tui:
        assert "offline" in tui.lines()[0]
        assert "No gateway answers" in tui.text
        await tui.press("2", "enter", "tab", "enter")
        assert "needs a running gateway" in tui.note()
        await tui.press("escape", "3")
        await tui.poll()
        assert "needs a running gateway" in tui.note()
        await tui.press("2", "o", "5", "a")
        assert "enabled = false" in tui.backend.text


async def test_a_file_that_cannot_be_read_is_told_and_left_alone():
    async with rig(FakeBackend("[gateway\n")) as tui:
        await tui.press("2")
        assert "config.toml" in tui.text
        await tui.press("a")
        assert "config.toml" in tui.note()
        await tui.press("5", "a", "4", "tab", "tab")
        assert tui.backend.text == "[gateway\n"


async def test_json_files_are_edited_too():
    backend = FakeBackend('{\n  "gateway": {"id": "x"},\n  "devices": []\n}\n', is_json=True)
    async with rig(backend) as tui:
        await tui.press("4", "tab")
        await tui.type("broker")
        await tui.press("tab", "f5", "a")
        assert '"host": "broker"' in backend.text


async def test_what_a_device_sends_cannot_steer_the_terminal():
    backend = FakeBackend()
    backend.problems = [("x", "evil \x1b[2J text")]
    async with rig(backend) as tui:
        await tui.press("2", "o", "5", "a")
        assert "\x1b" not in tui.text
        assert "evil" in tui.text
