import pytest

from gateway.health import State
from gateway.observe.readiness import readiness
from tests.gateway.observe.seeing import FAILING, STATS


@pytest.mark.parametrize("state", list(State))
def test_what_becomes_of_devices_and_broker_never_makes_it_unready(state):
    seen = readiness(overall=State.DEGRADED, components={"uplink": state, "device press": state}, spool=STATS)
    assert seen.ready
    assert seen.reasons == ()
    assert set(seen.degraded) == ({"uplink", "device press"} if state in ("degraded", "waiting") else set())


def test_a_disk_that_takes_nothing_does_and_its_words_stay_inside():
    seen = readiness(overall=State.UP, components={"uplink": State.UP}, spool=FAILING)
    assert not seen.ready
    assert seen.state == "degraded"
    assert "tidegate status" in seen.reasons[0]
    assert "secret-place" not in str(seen.as_dict())
