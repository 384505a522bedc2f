"""What the screens compute: cells, numbers, rates, names, the tree, the changes in words."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.modbus.settings import ByteOrder, ModbusTag, RegisterName, TypeName
from tests.tui.fake import CONFIG, OBJECTS, PAGE, PRESS
from tui import shown
from tui.cells import clean, fit, width
from tui.changes import unified
from tui.draft import Draft
from tui.flow import flow
from tui.i18n import LANGUAGES, Words
from tui.inputs import address, assign, free_name, number
from tui.nodetree import NodeTree
from tui.place import filled, placed
from tui.screens.modbus import next_register
from tui.screens.register import BYTE_ORDERS, REGISTERS, TYPES
from tui.screens.review import sentence
from tui.screens.uplink import uplink_section
from tui.widgets.picture import picture, spark


@given(st.text("aé温度🌡 -/", max_size=30), st.integers(0, 40), st.booleans())
def test_a_cell_is_exactly_as_wide_as_its_column(text, cells, right):
    assert width(fit(text, cells, right=right)) == cells


def test_what_is_cut_says_so():
    assert fit("temperature", 6) == "tempe…"
    assert fit("温度传感器", 6) == "温度… "
    assert clean("a\x1b[2J\nb") == "a\ufffd[2J\ufffdb"


@pytest.mark.parametrize(
    ("told", "text"),
    [(None, "-"), (True, "true"), (1, "1"), (0.1 + 0.2, "0.3"), (1e9, "1e+09"), (float("nan"), "nan"), ("温", "温")],
)
def test_values(told, text):
    assert shown.value(told) == text


@pytest.mark.parametrize(
    ("per_s", "text"),
    [(None, "-/s"), (0, "0/s"), (0.04, "0.0/s"), (12.34, "12.3/s"), (99.96, "100/s"), (5e4, "50000/s")],
)
def test_rates(per_s, text):
    assert shown.rate(per_s) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (123_456, "123 kB"), (4e9, "4.0 GB")]
)
def test_sizes(size, text):
    assert shown.size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (-1, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7200, "2 h"),
        (2e5, "2 d"),
    ],
)
def test_ages(seconds, text):
    assert shown.age(seconds, Words("en")) == text


def test_rates_come_from_differences_by_the_gateways_clock():
    later = copy.deepcopy(PAGE)
    later["uptime_s"] += 2
    later["counters"]["tidegate_readings_received_total"]["press"] += 50
    later["counters"]["tidegate_latency_seconds_count"][""] += 4
    later["counters"]["tidegate_latency_seconds_sum"][""] += 0.1
    seen = flow(later, PAGE)
    assert [device.per_s for device in seen.devices] == [25, 0]
    assert seen.in_per_s == 25
    assert seen.latency_s == pytest.approx(0.025)
    assert seen.late_per_s == 0


def test_a_gateway_started_anew_has_no_rates_yet():
    later = copy.deepcopy(PAGE)
    later["began"] += 100
    later["uptime_s"] = 1.0
    seen = flow(later, PAGE)
    assert seen.in_per_s is None
    assert seen.latency_s is None
    assert flow(PAGE).devices[0].per_s is None


@given(st.dictionaries(st.sampled_from([*PAGE]), st.none() | st.integers() | st.lists(st.integers())))
def test_a_page_of_another_shape_breaks_nothing(odd):
    page = {key: value for key, value in PAGE.items() if key not in odd}
    assert flow(page).gateway in ("press-shop-1", "")


@given(st.integers(60, 200), st.integers(3, 12), st.sampled_from(LANGUAGES), st.integers(0, 30))
def test_the_picture_fills_its_width_whatever_it_shows(cells, lines, language, devices):
    page = copy.deepcopy(PAGE)
    page["devices"] = {f"设备-{n}": {"state": "up" if n % 3 else "waiting", "readings": n} for n in range(devices)}
    page["filters"] = {"d": [{"name": f"filter {n}", "state": "failing"} for n in range(devices // 3)]}
    page["spool"]["set_aside_readings"] = devices
    rows = picture(flow(page, PAGE), Words(language), cells=cells, lines=lines)
    assert len(rows) == lines + 2
    assert {sum(width(cell.text) for cell in row) for row in rows} == {cells}


def test_devices_in_trouble_are_seen_when_not_all_have_room():
    page = copy.deepcopy(PAGE)
    page["devices"] = {f"d{n}": {"state": "waiting" if n == 19 else "up", "readings": 0} for n in range(20)}
    rows = picture(flow(page), Words("en"), cells=78, lines=6)
    text = "\n".join("".join(cell.text for cell in row) for row in rows)
    assert "■ d19" in text
    assert "and 15 more" in text


def test_bars():
    assert spark([], 5) == ""
    assert spark([0, 0], 5) == "▁▁"
    assert spark([0, 1, 2], 2) == "▅█"


@pytest.mark.parametrize(
    ("typed", "value"),
    [("", None), ("12", 12), ("-1", -1), ("0.1", 0.1), ("1e3", 1000.0), ("abc", "abc"), ("\uff11", 1.0)],
)
def test_numbers(typed, value):
    assert number(typed) == value


@pytest.mark.parametrize(
    ("typed", "before", "value"),
    [
        ("100", None, 100),
        ("40001", None, "40001"),
        ("400001", None, "400001"),
        ("65535", None, 65535),
        ("0x10", None, "0x10"),
        ("40001", 40001, 40001),
        ("", 5, None),
    ],
)
def test_addresses(typed, before, value):
    assert address(typed, before) == value


def test_assigning_keeps_spelling_and_takes_out_what_is_empty():
    assert assign({"port": 502, "unit": "V", "x": 1}, {"port": 502.0, "unit": "", "y": None}) == {"port": 502, "x": 1}
    assert assign({"bit": True}, {"bit": 1}) == {"bit": 1}


@given(st.text(max_size=8), st.sets(st.text(max_size=3), max_size=20))
def test_free_names_are_free_and_fit_a_topic(wanted, taken):
    name = free_name(wanted, taken)
    assert name not in taken
    assert name
    assert not set(name) & set("/+#\n")


def test_the_choices_are_those_of_the_protocol():
    assert REGISTERS[1:] == RegisterName.__args__
    assert TYPES[1:] == TypeName.__args__
    assert BYTE_ORDERS[1:] == ByteOrder.__args__
    form = {"name", "register", "address", "type", "byte_order", "bit", "length", "scale", "offset", "unit_id", "unit"}
    elsewhere = {"alarm", "thin_error"}  # what every protocol's tag has, and no form shows; it stays as it stands
    assert form | {"interval_s"} | elsewhere == set(ModbusTag.__struct_fields__)


@pytest.mark.parametrize(
    ("tag", "following"),
    [
        ({"name": "u-1", "address": 4, "type": "float32"}, {"name": "u-2", "address": 6, "type": "float32"}),
        ({"name": "u", "address": 4}, {"name": "u-2", "address": 5}),
        (
            {"name": "s", "address": 4, "type": "string", "length": 5},
            {"name": "s-2", "address": 7, "type": "string", "length": 5},
        ),
        ({"name": "r", "address": "40001"}, {"name": "r-2", "address": "40002"}),
        ({"name": "c", "address": "00009"}, {"name": "c-2", "address": "00010"}),
        ({"name": "h", "address": "0x10"}, {"name": "h-2", "address": "0x10"}),
    ],
)
def test_the_register_that_follows(tag, following):
    assert next_register(tag, {tag["name"]}) == following


def test_the_tree_opens_lazily_and_one_node_may_stand_at_two_places():
    tree = NodeTree()
    assert not tree.is_known
    tree.put(None, OBJECTS)
    press = tree.lines()[1]
    assert tree.needs(press)
    tree.put(press.node.id, [*PRESS, OBJECTS[1]])
    tree.open(press)
    inner = tree.lines()[-2]
    assert (inner.node.id, inner.depth) == (press.node.id, 1)
    assert not inner.is_open
    tree.open(inner)
    assert max(line.depth for line in tree.lines()) == 2
    tree.close(press)
    assert len(tree.lines()) == 3
    tree.put_found([PRESS[0]])
    assert [line.node for line in tree.lines()] == [PRESS[0]]
    tree.put_found(None)
    assert len(tree.lines()) == 3


def test_uplink_sections():
    form = dict.fromkeys(
        ("host", "topic", "client_id", "username", "password", "password_file", "port", "keepalive", "protocol"), ""
    ) | dict.fromkeys(("ca_file", "cert_file", "key_file"), "")
    assert uplink_section({}, {**form, "tls": "off"}) == {}
    made = uplink_section({"window": 8, "tls": {"verify": False, "ca_file": "a"}}, {**form, "host": "h", "tls": "on"})
    assert made == {"window": 8, "host": "h", "tls": {}}
    made = uplink_section({"host": "h"}, {**form, "host": "h", "tls": "unchecked"})
    assert made == {"host": "h", "tls": {"verify": False}}


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        ({}, {}, {}),
        ({"host": "h"}, {"port": "1502"}, {"host": "h", "port": 1502}),
        (
            {"host": "h", "port": 502},
            {"transport": "rtu", "line": "/dev/ttyUSB0", "baudrate": "9600", "parity": "none", "stop_bits": "2"},
            {
                "transport": "rtu",
                "serial": {"port": "/dev/ttyUSB0", "baudrate": 9600, "parity": "none", "stop_bits": 2},
            },
        ),
        (
            {"transport": "rtu", "serial": {"port": "a", "gap_ms": 5}},
            {"line": "b"},
            {"transport": "rtu", "serial": {"port": "b", "gap_ms": 5}},
        ),
        ({"transport": "rtu", "serial": {"port": "a"}}, {"transport": "", "host": "h"}, {"host": "h"}),
        (
            {"host": "h", "transport": "tcp"},
            {"transport": "tls", "ca_file": "ca.pem"},
            {"host": "h", "transport": "tls", "tls": {"ca_file": "ca.pem"}},
        ),
        (
            {"host": "h", "transport": "tls", "tls": {"verify": False, "ca_file": "a"}},
            {"ca_file": ""},
            {"host": "h", "transport": "tls", "tls": {"verify": False}},
        ),
        (
            {"host": "h", "transport": "tls", "tls": {}},
            {"transport": "rtu_over_tcp"},
            {"host": "h", "transport": "rtu_over_tcp"},
        ),
        # What is wrong in the file stays for the check to tell, as long as nobody chooses another transport.
        ({"host": "h", "serial": "ttyS0", "tls": 5}, {}, {"host": "h", "serial": "ttyS0", "tls": 5}),
        ({"transport": "rtu", "serial": "ttyS0"}, {}, {"transport": "rtu", "serial": "ttyS0"}),
        (
            {"transport": "rtu", "host": "h", "serial": {"port": "a"}},
            {},
            {"transport": "rtu", "host": "h", "serial": {"port": "a"}},
        ),
    ],
)
def test_where_a_modbus_device_is(before, changes, after):
    assert placed(before, filled(before) | changes) == after


def test_changes_in_words():
    draft = Draft(CONFIG)
    draft.put_section("uplink", {**draft.uplink, "port": 1884, "password": "hunter2", "host": "other"})
    draft.put_tag("press", {"name": "State", "node": "ns=2;s=Press.State"})
    draft.put_tag("tank", {**draft.device("tank")["tags"][0], "scale": 0.5}, name="level")
    draft.remove_tag("tank", "液位设定")
    draft.put_item("devices", {"name": "new", "type": "modbus", "host": "h", "tags": [{"name": "a", "address": 0}]})
    draft.put_item("filters", {"module": "deadband", "params": {"absolute": 1}})
    told = [sentence(change, Words("en")) for change in draft.changes()]
    assert told == [
        "uplink.host: broker.plant.example becomes other",
        "uplink.port = 1884",
        "uplink.password = (hidden)",
        "press: tags added (1): State",
        "tank: tags removed (1): 液位设定",
        "tank/level.scale = 0.5",
        "device new is added; tags (1): a",
        "filter deadband is added",
    ]
    assert all(sentence(change, Words("zh")) for change in draft.changes())
    assert "hunter2" not in "\n".join(draft.diff())
    assert "+password = (hidden)" in draft.diff()
    draft.put_item("filters", {"module": "deadband", "params": {"absolute": 2}}, name="deadband")
    draft.remove_item("filters", "deadband")
    draft.remove_item("devices", "new")
    draft.discard()
    assert not draft.changed
    assert draft.text == CONFIG


def test_the_diff_hides_passwords_of_json_too():
    lines = unified('{\n  "password": "old"\n}', '{\n  "password": "new"\n}')
    assert not any("old" in line or "new" in line for line in lines)
