"""What happens in the plant: a press, a tank and a line, as pure functions of the last state, the time and chance.

No I/O and no clock: the caller says how much time has passed and brings the random generator, so that the same seed
gives the same plant. Counters never go back. The machines hang together a little, as real ones do: a fault of the
line stops the press.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import IntEnum
from random import Random
from typing import Final

__all__ = [
    "ALARMS",
    "Line",
    "LineState",
    "PlantState",
    "Press",
    "Tank",
    "advance",
    "advance_line",
    "advance_press",
    "advance_tank",
    "force_curve",
]

AMBIENT_C: Final = 21.0

STROKE_S: Final = 2.4
PEAK_FORCE_KN: Final = 800.0
OIL_RISE_C: Final = 32.0
OIL_TAU_S: Final = 180.0
REJECT_SHARE: Final = 0.03

TANK_AREA_M2: Final = 1.2
TANK_HEIGHT_M: Final = 2.5
INFLOW_M3_S: Final = 0.020
OUTFLOW_M3_S: Final = 0.045
"""Through the open valve, at a full tank."""
LEVEL_BAND_PCT: Final = 8.0
LEVEL_LOW_PCT: Final = 15.0
LEVEL_HIGH_PCT: Final = 70.0
TANK_TAU_S: Final = 60.0
TANK_HEATER_C: Final = 48.0

LINE_SPEED_PER_MIN: Final = 90.0
LINE_RAMP_PER_MIN_S: Final = 30.0
LINE_IDLE_W: Final = 1_800.0
LINE_W_PER_SPEED: Final = 70.0
MEAN_RUN_S: Final = 20.0
MEAN_FAULT_S: Final = 4.0
ALARMS: Final = ("Jam at infeed", "Guard door open", "Label roll empty", "Drive overtemperature")


class LineState(IntEnum):
    """What the line does; the numbers are what its registers carry."""

    RUN = 1
    FAULT = 2


@dataclass(frozen=True, slots=True)
class Press:
    """A stamping press. `phase` is the part of the running stroke that is done, 0 to 1."""

    running: bool = True
    phase: float = 0.0
    strokes: int = 0
    parts: int = 0
    force_kn: float = 0.0
    oil_c: float = AMBIENT_C


@dataclass(frozen=True, slots=True)
class Tank:
    """A buffer tank whose drain valve holds the level near its target."""

    level_pct: float = 55.0
    target_pct: float = 60.0
    valve_open: bool = False
    inflow_m3_s: float = INFLOW_M3_S
    outflow_m3_s: float = 0.0
    temperature_c: float = AMBIENT_C

    @property
    def level_alarm(self) -> bool:
        """Whether the level is outside its limits."""
        return not LEVEL_LOW_PCT <= self.level_pct <= LEVEL_HIGH_PCT


@dataclass(frozen=True, slots=True)
class Line:
    """A packing line that stops now and then. `alarm` is empty while it runs."""

    state: LineState = LineState.RUN
    alarm: str = ""
    fault_left_s: float = 0.0
    faults: int = 0
    speed_per_min: float = 0.0
    made: float = 0.0
    energy_ws: float = 0.0

    @property
    def units(self) -> int:
        """Units packed since the start."""
        return int(self.made)

    @property
    def energy_wh(self) -> int:
        """Energy drawn since the start, in watt hours."""
        return int(self.energy_ws / 3600)

    @property
    def alarm_number(self) -> int:
        """The alarm as a number, from 1 in the order of `ALARMS`; 0 is none."""
        return ALARMS.index(self.alarm) + 1 if self.alarm else 0


@dataclass(frozen=True, slots=True)
class PlantState:
    """The whole plant at one moment. `tick` counts the moments: 1, 2, 3 and so on."""

    press: Press = field(default_factory=Press)
    tank: Tank = field(default_factory=Tank)
    line: Line = field(default_factory=Line)
    tick: int = 0


def advance(state: PlantState, *, dt_s: float, random: Random) -> PlantState:
    """The plant `dt_s` seconds later."""
    line = advance_line(state.line, dt_s=dt_s, random=random)
    return PlantState(
        press=advance_press(state.press, dt_s=dt_s, random=random, enabled=line.state is LineState.RUN),
        tank=advance_tank(state.tank, dt_s=dt_s, random=random),
        line=line,
        tick=state.tick + 1,
    )


def force_curve(phase: float) -> float:
    """Force of the press in kN at a phase of its stroke: a steep hit in the middle, nothing on the way."""
    return PEAK_FORCE_KN * math.sin(math.pi * (phase - 0.4) / 0.2) ** 2 if 0.4 <= phase < 0.6 else 0.0


def advance_press(press: Press, *, dt_s: float, random: Random, enabled: bool = True) -> Press:
    """The press `dt_s` seconds later; it stands still while it is not enabled."""
    oil_target_c = AMBIENT_C + (OIL_RISE_C if enabled else 0.0)
    oil_c = _lag(press.oil_c, oil_target_c, dt_s=dt_s, tau_s=OIL_TAU_S)
    if not enabled:
        return replace(press, running=False, force_kn=0.0, oil_c=oil_c)
    done, phase = divmod(press.phase + dt_s / STROKE_S, 1.0)
    finished = int(done)
    force_kn = force_curve(phase)
    return Press(
        running=True,
        phase=phase,
        strokes=press.strokes + finished,
        parts=press.parts + sum(random.random() >= REJECT_SHARE for _ in range(finished)),
        force_kn=force_kn * random.uniform(0.98, 1.02),
        oil_c=oil_c,
    )


def advance_tank(tank: Tank, *, dt_s: float, random: Random) -> Tank:
    """The tank `dt_s` seconds later: the level integrates the flows, the temperature lags."""
    outflow_m3_s = OUTFLOW_M3_S * math.sqrt(tank.level_pct / 100) if tank.valve_open else 0.0
    inflow_m3_s = INFLOW_M3_S * random.uniform(0.9, 1.1)
    change_pct = (inflow_m3_s - outflow_m3_s) * dt_s / (TANK_AREA_M2 * TANK_HEIGHT_M) * 100
    level_pct = min(100.0, max(0.0, tank.level_pct + change_pct))
    valve_open = tank.valve_open
    if level_pct >= tank.target_pct + LEVEL_BAND_PCT:
        valve_open = True
    elif level_pct <= tank.target_pct - LEVEL_BAND_PCT:
        valve_open = False
    return replace(
        tank,
        level_pct=level_pct,
        valve_open=valve_open,
        inflow_m3_s=inflow_m3_s,
        outflow_m3_s=outflow_m3_s,
        temperature_c=_lag(tank.temperature_c, TANK_HEATER_C, dt_s=dt_s, tau_s=TANK_TAU_S),
    )


def advance_line(line: Line, *, dt_s: float, random: Random) -> Line:
    """The line `dt_s` seconds later: it ramps up, packs, stops with an alarm now and then, and comes back by itself."""
    made = line.made + line.speed_per_min / 60 * dt_s
    energy_ws = line.energy_ws + (LINE_IDLE_W + LINE_W_PER_SPEED * line.speed_per_min) * dt_s
    if line.state is LineState.FAULT:
        left_s = line.fault_left_s - dt_s
        if left_s > 0:
            return replace(line, fault_left_s=left_s, speed_per_min=0.0, made=made, energy_ws=energy_ws)
        return Line(made=made, energy_ws=energy_ws, faults=line.faults)
    if random.random() < -math.expm1(-dt_s / MEAN_RUN_S):
        return Line(
            state=LineState.FAULT,
            alarm=random.choice(ALARMS),
            fault_left_s=random.expovariate(1 / MEAN_FAULT_S),
            faults=line.faults + 1,
            made=made,
            energy_ws=energy_ws,
        )
    speed_per_min = min(LINE_SPEED_PER_MIN, line.speed_per_min + LINE_RAMP_PER_MIN_S * dt_s)
    return replace(line, speed_per_min=speed_per_min, made=made, energy_ws=energy_ws)


def _lag(value: float, target: float, *, dt_s: float, tau_s: float) -> float:
    """A first-order lag, exact for any step."""
    return target + (value - target) * math.exp(-dt_s / tau_s)
