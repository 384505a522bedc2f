import pytest

from gateway.check import load
from gateway.plan_text import WIDTH, plan_text

DEVICES = """
[[devices]]
name = "press"
type = "opcua"
url = "opc.tcp://10.0.0.1:4840"
username = "maria"
password = "hunter3"
tags = [{ name = "temperature", node = "ns=2;s=T" }, { name = "strokes", node = "ns=2;s=S" }]
[[devices]]
name = "meter"
type = "modbus"
host = "10.0.0.2"
path = "hamburg/hall-2"
enabled = false
tags = [TAGS]
""".replace("TAGS", ", ".join(f'{{ name = "v{n}", address = {n} }}' for n in range(20)))
UPLINK = """
[uplink]
host = "broker"
username = "edge"
password = "hunter2"
topic = "plant/{gateway}"
[uplink.tls]
verify = false
"""
FILTERS = """
[[filters]]
module = "deadband"
name = "quiet"
devices = ["press", "meter"]
tags = ["t*", "v*"]
params = { absolute = 0.5 }
on_failure = "set_aside"
"""


@pytest.fixture
def plan(tmp_path):
    def plan(text):
        path = tmp_path / "config.toml"
        path.write_text('[gateway]\nid = "edge-7"\n[database]\npath = "/data/x.db"\n' + text)
        return plan_text(load(path, env={}))

    return plan


def test_an_autonomy_is_held_against_the_bytes(plan):
    text = plan("autonomy_hours = 72")
    assert "an outage of 72 h is to be bridged: at 4 bytes a reading up to 3,858 readings a second;" in text


def test_an_idle_gateway(plan):
    assert plan("").splitlines() == [
        "Gateway   edge-7",
        "          points begin with site/area/line/",
        "Spool     /data/x.db",
        "          at most 4 GB; when it is full, the oldest readings are dropped and counted",
        "          while the broker is away readings are kept; then up to 200000 a second are sent late",
        "Uplink    none: readings are stored and not sent",
        "Control   socket /data/control.sock",
        "Devices   0, with 0 tags together",
    ]


def test_no_secret_is_shown_and_what_is_weak_is_said(plan):
    text = " ".join(plan(UPLINK + DEVICES).split())
    assert "hunter" not in text
    assert "broker:8883, MQTT 5, TLS WITHOUT CHECKING THE BROKER'S CERTIFICATE, user edge with a password" in text
    assert "topics plant/edge-7/data/DEVICE" in text


def test_devices_with_their_points_and_their_protocols_plan(plan):
    lines = plan(DEVICES).splitlines()
    assert "Devices   2, with 22 tags together" in lines
    assert "  press (opcua): points site/area/line/press/TAG" in lines
    assert "  meter (modbus, not enabled: it is not read): points hamburg/hall-2/meter/TAG" in lines
    press = lines.index("  press (opcua): points site/area/line/press/TAG")
    assert lines[press + 1].startswith("      ")


def test_filters_with_the_tags_they_mean(plan):
    lines = plan(DEVICES + FILTERS).splitlines()
    first = lines.index("  1. quiet (deadband): absolute = 0.5")
    assert lines[first + 1 :] == [
        "      when it fails on a batch, its readings are set aside, not sent",
        "      press: temperature",
        "      meter: v0, v1, v2, v3, v4, v5, v6, v7 and 12 more",
    ]
    assert "Wasm      each instance: at most 16.8 MB of memory, 50 ms for one batch" in lines


def test_dropping_while_offline_is_said(plan):
    text = plan("[offline]\nenabled = false\n")
    assert "while the broker is away readings are dropped and counted" in text


def test_it_fits_its_width(plan):
    text = plan(UPLINK + DEVICES + FILTERS.replace("absolute = 0.5", "absolute = 0.5, percent = 1.25, span = 123456.0"))
    assert max(map(len, text.splitlines())) <= WIDTH


def test_what_hold_may_lose_is_said(plan):
    text = " ".join(plan("hold_ms = 250\nendurance_tbw = 20\n").split())
    assert "acknowledges within 250 ms is not written; a kill or a power cut loses at most the readings" in text
    assert "its flash bears 20 TB written" in text
