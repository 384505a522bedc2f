from dataclasses import replace
from pathlib import Path

import pytest

from gateway.health import Health, State
from gateway.wasm.stage import FilterHealth
from gateway.watch import Watch, filter_state, spool_state
from gateway.wear import WearMeter
from tests.gateway.observe.seeing import FORECAST, STATS

WORKING = FilterHealth("quiet", "deadband 1.0", "working", 0, "", None)


def test_the_spool_says_when_the_disk_refuses_and_when_a_file_was_damaged() -> None:
    assert spool_state(STATS) == (State.UP, "storing")
    too_small = replace(FORECAST, readings_per_s=5.0, full_in_s=50, autonomy_s=60, wanted_s=61.0)
    state, why = spool_state(replace(STATS, forecast=too_small))
    assert state is State.UP
    assert "autonomy_hours" in why
    assert spool_state(replace(STATS, forecast=replace(too_small, wanted_s=60.0))) == (State.UP, "storing")
    state, why = spool_state(replace(STATS, state="failing", error="disk full"))
    assert (state, "disk full" in why) == (State.DEGRADED, True)
    state, why = spool_state(replace(STATS, quarantined=Path("/data/x.corrupt-1")))
    assert (state, "/data/x.corrupt-1" in why) == (State.DEGRADED, True)


@pytest.mark.parametrize("state", ["failing", "parked"])
def test_a_filter_says_why_it_fails_in_the_same_words_each_time(state: str) -> None:
    failing = replace(WORKING, state=state, failures=7, last_error="out of time", parked_until_ns=5)
    assert filter_state(failing) == (
        State.DEGRADED,
        "deadband 1.0 fails, its on_failure applies: out of time",
    )
    assert filter_state(WORKING)[0] is State.UP


class Chain:
    def __init__(self, *filters: FilterHealth) -> None:
        self.filters = list(filters)

    def health(self, now_ns: int) -> list[FilterHealth]:
        return self.filters


def test_filters_that_are_gone_are_forgotten() -> None:
    health, chains = Health(lambda: 1), {"press": Chain(WORKING), "tank": Chain()}
    wear = WearMeter(spool=lambda: STATS, endurance_tbw=None, clock=lambda: 0.0)
    watch = Watch(health=health, spool=lambda: STATS, chains=lambda: chains, wear=wear, now_ns=lambda: 1)
    watch.look()
    assert set(health.as_dict()) == {"spool", "filter quiet on press"}
    chains.pop("press")
    watch.look()
    assert set(health.as_dict()) == {"spool"}
