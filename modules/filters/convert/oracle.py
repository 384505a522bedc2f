"""The oracle of convert."""

from collections.abc import Iterator

from gateway.batch import Kind, Reading
from modules.oracle import Params, number

UNITS = {
    "Pa": (1.0, 1.0, 0.0),
    "hPa": (100.0, 1.0, 0.0),
    "kPa": (1000.0, 1.0, 0.0),
    "MPa": (1000000.0, 1.0, 0.0),
    "mbar": (100.0, 1.0, 0.0),
    "bar": (100000.0, 1.0, 0.0),
    "psi": (6894.757293168361, 1.0, 0.0),
    "atm": (101325.0, 1.0, 0.0),
    "mmHg": (133.322387415, 1.0, 0.0),
    "inH2O": (249.08891, 1.0, 0.0),
    "K": (1.0, 1.0, 0.0),
    "degC": (1.0, 1.0, 273.15),
    "degF": (5.0, 9.0, 459.67),
    "degR": (5.0, 9.0, 0.0),
    "mm": (1.0, 1000.0, 0.0),
    "cm": (1.0, 100.0, 0.0),
    "m": (1.0, 1.0, 0.0),
    "km": (1000.0, 1.0, 0.0),
    "in": (0.0254, 1.0, 0.0),
    "ft": (0.3048, 1.0, 0.0),
    "g": (1.0, 1000.0, 0.0),
    "kg": (1.0, 1.0, 0.0),
    "t": (1000.0, 1.0, 0.0),
    "lb": (0.45359237, 1.0, 0.0),
    "oz": (0.028349523125, 1.0, 0.0),
    "ml": (1.0, 1000000.0, 0.0),
    "l": (1.0, 1000.0, 0.0),
    "m3": (1.0, 1.0, 0.0),
    "gal_us": (0.003785411784, 1.0, 0.0),
    "m3/s": (1.0, 1.0, 0.0),
    "m3/h": (1.0, 3600.0, 0.0),
    "l/s": (1.0, 1000.0, 0.0),
    "l/min": (1.0, 60000.0, 0.0),
    "gpm_us": (0.003785411784, 60.0, 0.0),
    "m/s": (1.0, 1.0, 0.0),
    "m/min": (1.0, 60.0, 0.0),
    "km/h": (10.0, 36.0, 0.0),
    "ft/min": (0.3048, 60.0, 0.0),
    "Hz": (1.0, 1.0, 0.0),
    "rpm": (1.0, 60.0, 0.0),
    "W": (1.0, 1.0, 0.0),
    "kW": (1000.0, 1.0, 0.0),
    "MW": (1000000.0, 1.0, 0.0),
    "hp": (745.6998715822702, 1.0, 0.0),
    "J": (1.0, 1.0, 0.0),
    "kJ": (1000.0, 1.0, 0.0),
    "MJ": (1000000.0, 1.0, 0.0),
    "Wh": (3600.0, 1.0, 0.0),
    "kWh": (3600000.0, 1.0, 0.0),
    "MWh": (3600000000.0, 1.0, 0.0),
    "N": (1.0, 1.0, 0.0),
    "kN": (1000.0, 1.0, 0.0),
    "lbf": (4.4482216152605, 1.0, 0.0),
    "kgf": (9.80665, 1.0, 0.0),
    "ms": (1.0, 1000.0, 0.0),
    "s": (1.0, 1.0, 0.0),
    "min": (60.0, 1.0, 0.0),
    "h": (3600.0, 1.0, 0.0),
    "1": (1.0, 1.0, 0.0),
    "%": (1.0, 100.0, 0.0),
    "ppm": (1.0, 1000000.0, 0.0),
}
"""By name: (value + zero) * numerator / denominator is the value in the SI unit."""
CASES: list[dict[str, str]] = [
    *({"from": unit, "to": unit} for unit in UNITS),
    {"from": "bar", "to": "psi"},
    {"from": "degF", "to": "degC"},
    {"from": "degC", "to": "K"},
    {"from": "m3/h", "to": "l/min"},
    {"from": "kWh", "to": "MJ"},
    {"from": "Pa", "to": "inH2O"},
    {"from": "Hz", "to": "rpm"},
]


class Oracle:
    def __init__(self, params: Params) -> None:
        numerator, denominator, self.zero = UNITS[params["from"]]
        to_numerator, to_denominator, self.to_zero = UNITS[params["to"]]
        self.numerator = numerator * to_denominator
        self.denominator = denominator * to_numerator

    def reading(self, now: Reading) -> Iterator[Reading]:
        value = number(now)
        if value is not None:
            value = (value + self.zero) * self.numerator / self.denominator - self.to_zero
            now = now._replace(value=value, kind=Kind.F64)
        yield now
