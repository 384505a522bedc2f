"""What the configuration lets the spool thin: which points, how far, and which batches are left alone."""

import pytest

from gateway.batch import Batch, Reading
from gateway.check import load
from gateway.plan_text import plan_text
from gateway.thinrules import thinned_points, thinning_rules

TEXT = """
[gateway]
path = "hamburg/hall-1"
[database]
when_full = "thin"
[uplink]
host = "broker"
max_message_bytes = 4_000
[[devices]]
name = "press"
type = "opcua"
url = "opc.tcp://10.0.0.1:4840"
thin_error = 0.5
tags = [
    { name = "force", node = "ns=2;s=F", unit = "kN", thin_error = 2.0 },
    { name = "way", node = "ns=2;s=W", unit = "mm", thin_error = 0 },
    { name = "zones", node = "ns=2;s=Z", elements = 2 },
    { name = "fault", node = "ns=2;s=X", alarm = true },
]
[[devices]]
name = "meter"
type = "modbus"
host = "10.0.0.2"
path = "hamburg/hall-2"
tags = [{ name = "power", address = 0, unit = "W", thin_error = 10 }, { name = "state", address = 1 }]
"""


@pytest.fixture
def read(tmp_path):
    def read(text=TEXT):
        path = tmp_path / "config.toml"
        path.write_text(text)
        return load(path, env={})

    return read


def test_points_have_their_own_bound_or_the_devices_and_alarms_have_none(read):
    assert thinned_points(read()) == {
        ("hamburg/hall-1/press/force", "kN"): 2.0,
        ("hamburg/hall-1/press/way", "mm"): 0.0,
        ("hamburg/hall-1/press/zones[0]", ""): 0.5,
        ("hamburg/hall-1/press/zones[1]", ""): 0.5,
        ("hamburg/hall-2/meter/power", "W"): 10.0,
    }


def test_a_batch_is_left_alone_where_it_may_be_larger_than_a_message(read):
    one = Batch.of([Reading(10**18, 1.0, 1)])
    many = Batch.of([Reading(10**18 + n, 1.0, 1) for n in range(100)])
    rules = thinning_rules(read())
    assert rules.whole(one, [0, 5])
    assert not rules.whole(many, [0, 5])
    assert thinning_rules(read("")).whole(many, [0, 5])


def test_the_plan_says_what_is_thinned(read):
    plan = " ".join(plan_text(read()).split())
    assert "when it is full, old readings of 5 tags are thinned within thin_error; then the oldest" in plan
    assert "no tag has a thin_error to be thinned; then" in plan_text(read('[database]\nwhen_full = "thin"\n'))
