import math
from dataclasses import replace

from gateway.health import State
from gateway.observe.gauges import Seen, gauges
from gateway.observe.readiness import readiness
from gateway.wasm.stage import FilterHealth
from tests.gateway.observe.seeing import FAILING, FORECAST, STATS, WEAR


def one_filter(name: str, state: str) -> FilterHealth:
    return FilterHealth(name, "deadband 1.0.0", state, 0, "", None)


SEEN = Seen(
    gateway_id="edge-7",
    version="1.2.3",
    at_ns=9_000_000_000,
    readiness=readiness(overall=State.UP, components={}, spool=STATS),
    components={"device press": State.UP, "device tank": State.WAITING, "uplink": State.UP},
    ages_s={"press": 0.5},
    spool=STATS,
    max_bytes=1_000_000,
    wear=WEAR,
    uplink={"state": "connected", "in_flight": 4, "live_readings": 20},
    filters={},
)


def values(seen: Seen) -> dict[tuple[str, ...], float]:
    found = {}
    for family in gauges(seen):
        for sample in family.samples:
            key = (sample.name, *sample.labels.values())
            assert key not in found, "two samples with the same labels"
            found[key] = sample.value
    return found


def test_states_are_one_of_all_there_are():
    found = values(SEEN)
    assert found["tidegate_device_state", "press", "up"] == 1
    assert found["tidegate_device_state", "tank", "up"] == 0
    assert found["tidegate_device_state", "tank", "waiting"] == 1
    assert found["tidegate_component_state", "uplink", "up"] == 1
    assert ("tidegate_component_state", "device press", "up") not in found
    for device in ("press", "tank"):
        assert sum(found["tidegate_device_state", device, state] for state in State) == 1


def test_what_waits():
    found = values(SEEN)
    assert found["tidegate_backlog_readings",] == 300
    assert found["tidegate_backlog_oldest_age_seconds",] == 4.0
    assert found["tidegate_spool_max_bytes",] == 1_000_000
    assert found["tidegate_spool_failing",] == 0
    assert found["tidegate_ready",] == 1
    assert found["tidegate_uplink_connected",] == 1
    assert found["tidegate_uplink_in_flight_messages",] == 4
    assert found["tidegate_gateway_info", "edge-7", "1.2.3"] == 1


def test_nothing_waits_and_the_clock_was_set_back():
    assert values(replace(SEEN, spool=replace(STATS, oldest_at_ns=None)))["tidegate_backlog_oldest_age_seconds",] == 0
    assert values(replace(SEEN, at_ns=1))["tidegate_backlog_oldest_age_seconds",] == 0


def test_a_broker_that_is_away_and_none_at_all_are_not_the_same():
    assert values(replace(SEEN, uplink={"state": "connecting"}))["tidegate_uplink_connected",] == 0
    assert not any(key[0].startswith("tidegate_uplink") for key in values(replace(SEEN, uplink=None)))


def test_the_flash_where_the_kernel_counts_and_where_it_does_not():
    found = values(SEEN)
    assert found["tidegate_written_bytes_total",] == 6_000_000
    assert found["tidegate_spool_written_bytes_total",] == 5_000_000
    assert found["tidegate_flash_bytes_per_day",] == 5e9
    assert found["tidegate_flash_life_years",] == 10.0
    blind = replace(WEAR, written_bytes=None, spool_written_bytes=None, bytes_per_day=None, life_years=None)
    found = values(replace(SEEN, wear=blind))
    assert found["tidegate_spool_payload_bytes_total",] == 1_000_000
    assert not any("written" in key[0] or "flash" in key[0] for key in found)


def test_a_failing_disk():
    failing = readiness(overall=State.UP, components={}, spool=FAILING)
    found = values(replace(SEEN, spool=FAILING, readiness=failing))
    assert found["tidegate_spool_failing",] == 1
    assert found["tidegate_ready",] == 0


def test_filters_of_one_name_are_one_in_the_worst_state():
    filters = {"press": [one_filter("deadband", "parked"), one_filter("deadband", "working")], "tank": []}
    found = values(replace(SEEN, filters=filters))
    assert found["tidegate_filter_state", "press", "deadband", "parked"] == 1
    assert found["tidegate_filter_state", "press", "deadband", "working"] == 0


def test_the_forecast_is_told_once_it_is_known():
    names = [f"tidegate_spool_{name}_seconds" for name in ("full_in", "autonomy", "autonomy_wanted")]

    def told(**changes):
        found = values(replace(SEEN, spool=replace(STATS, forecast=replace(FORECAST, **changes))))
        return [found.get((name,)) for name in names]

    assert told() == [None, None, 3600]
    assert told(readings_per_s=10.0, full_in_s=50, autonomy_s=60) == [50, 60, 3600]
    assert told(readings_per_s=0.0, wanted_s=None) == [math.inf, math.inf, None]
    assert not any("full_in" in key[0] for key in values(SEEN))
