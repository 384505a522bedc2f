from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.plant.signals import (
    ALARMS,
    PEAK_FORCE_KN,
    Line,
    LineState,
    PlantState,
    Press,
    Tank,
    advance,
    advance_press,
    advance_tank,
    force_curve,
)

STEPS_S = st.lists(st.floats(0.001, 1.0), min_size=1, max_size=60)


def run(steps_s: list[float], seed: int) -> list[PlantState]:
    random = Random(seed)
    states = [PlantState()]
    for dt_s in steps_s:
        states.append(advance(states[-1], dt_s=dt_s, random=random))
    return states


@given(STEPS_S, st.integers())
def test_counters_never_go_back_and_values_stay_in_bounds(steps_s: list[float], seed: int) -> None:
    states = run(steps_s, seed)
    for before, after in pairwise(states):
        assert after.tick == before.tick + 1
        assert after.press.strokes >= before.press.strokes
        assert 0 <= after.press.parts - before.press.parts <= after.press.strokes - before.press.strokes
        assert after.line.units >= before.line.units
        assert after.line.energy_wh >= before.line.energy_wh
        assert after.line.faults >= before.line.faults
        assert 0 <= after.press.force_kn <= PEAK_FORCE_KN * 1.02
        assert 0 <= after.press.phase < 1
        assert 0 <= after.tank.level_pct <= 100
        assert (after.line.state is LineState.FAULT) == (after.line.alarm in ALARMS)


@given(STEPS_S, st.integers())
def test_the_same_seed_gives_the_same_plant(steps_s: list[float], seed: int) -> None:
    assert run(steps_s, seed) == run(steps_s, seed)


def test_ten_minutes_have_faults_strokes_and_a_working_valve() -> None:
    states = run([0.1] * 6000, seed=1)
    assert states[-1].line.faults > 5
    assert states[-1].press.strokes > 100
    assert {state.tank.valve_open for state in states} == {True, False}
    assert {state.press.running for state in states} == {True, False}
    assert max(state.press.force_kn for state in states) > PEAK_FORCE_KN * 0.9
    assert states[-1].line.energy_wh > 500


def test_force_is_a_hit_in_the_middle_of_the_stroke() -> None:
    assert force_curve(0.5) == pytest.approx(PEAK_FORCE_KN)
    assert force_curve(0.0) == force_curve(0.39) == force_curve(0.6) == force_curve(0.99) == 0.0


def test_a_disabled_press_stands_still_and_cools_down() -> None:
    warm = Press(phase=0.5, strokes=7, parts=6, force_kn=800.0, oil_c=50.0)
    still = advance_press(warm, dt_s=10.0, random=Random(1), enabled=False)
    assert (still.running, still.strokes, still.parts, still.force_kn) == (False, 7, 6, 0.0)
    assert still.oil_c < warm.oil_c


@pytest.mark.parametrize(("level_pct", "opens"), [(69.0, True), (51.0, False)])
def test_the_valve_holds_the_level_near_its_target(level_pct: float, opens: bool) -> None:
    tank = Tank(level_pct=level_pct, valve_open=not opens)
    assert advance_tank(tank, dt_s=0.1, random=Random(1)).valve_open is opens


@pytest.mark.parametrize(("level_pct", "alarm"), [(14.9, True), (50.0, False), (70.1, True)])
def test_the_level_alarm_has_two_limits(level_pct: float, alarm: bool) -> None:
    assert Tank(level_pct=level_pct).level_alarm is alarm


def test_an_alarm_has_its_number() -> None:
    assert Line().alarm_number == 0
    assert Line(alarm=ALARMS[2]).alarm_number == 3
