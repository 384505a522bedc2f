"""Where devices are, and what does not go together in that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.modbus.endpoint import char_s, check, check_together, endpoint_of, gap_s
from adapters.modbus.settings import ModbusSettings, ModbusTag, SerialSettings, TlsClientSettings


def of(**changes: Any) -> ModbusSettings:
    values: dict[str, Any] = {"name": "plc", "tags": [ModbusTag(name="a", address=0)], **changes}
    return ModbusSettings(**values)


LINE = SerialSettings(port="/dev/ttyUSB0")


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        ({}, ["host"], "the name or address of the device is needed"),
        ({"transport": "tls"}, ["host"], "is needed"),
        ({"transport": "rtu"}, ["serial"], 'serial = { port = "/dev/ttyUSB0" }'),
        ({"transport": "rtu", "serial": LINE, "host": "h"}, ["host"], "rtu_over_tcp"),
        ({"transport": "rtu", "serial": LINE, "port": 4001}, ["port"], "leave it out"),
        ({"transport": "rtu", "serial": LINE, "pause_ms": 5}, ["pause_ms"], "serial.gap_ms"),
        ({"host": "h", "serial": LINE}, ["serial"], "leave one of them out"),
        ({"host": "h", "tls": TlsClientSettings()}, ["tls"], '"tls" only'),
        ({"transport": "rtu", "serial": LINE, "unit_id": 0}, ["unit_id"], "1 to 247"),
        (
            {"transport": "rtu", "serial": LINE, "tags": [ModbusTag(name="a", address=0, unit_id=248)]},
            ["tags[0].unit_id"],
            "1 to 247",
        ),
    ],
)
def test_what_does_not_go_together_is_told(changes: dict[str, Any], where: list[str], what: str) -> None:
    problems = check(of(**changes))
    assert [place for place, _ in problems] == where
    assert what in problems[0][1]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"host": "h"}, "h:502"),
        ({"host": "h", "transport": "tls"}, "h:802"),
        ({"host": "h", "port": 4001, "transport": "rtu_over_tcp"}, "h:4001"),
        ({"transport": "rtu", "serial": LINE}, "/dev/ttyUSB0"),
    ],
)
def test_where_a_device_is(changes: dict[str, Any], told: str) -> None:
    assert check(of(**changes)) == []
    assert str(endpoint_of(of(**changes))) == told


def test_devices_of_one_line_speak_alike_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "by-id").symlink_to(tmp_path / "ttyX")

    def device(name: str, port: str, **changes: Any) -> ModbusSettings:
        return of(name=name, transport="rtu", serial=SerialSettings(port=str(tmp_path / port), **changes))

    one, same, other = device("one", "ttyX"), device("same", "by-id"), device("other", "ttyY", baudrate=9600)
    assert check_together([one, of(host="h"), same, other]) == []
    problems = check_together([of(host="h"), one, device("two", "by-id", baudrate=9600, gap_ms=5)])
    assert [(place, where) for place, where, _ in problems] == [(2, "serial.baudrate"), (2, "serial.gap_ms")]
    assert problems[0][2].startswith("9600, but 'one' on the same line says 19200; all devices of one line speak alike")


def test_times_of_a_line() -> None:
    assert char_s(SerialSettings(port="x", baudrate=9600)) == pytest.approx(11 / 9600)
    assert char_s(SerialSettings(port="x", baudrate=9600, parity="none")) == pytest.approx(10 / 9600)
    assert gap_s(SerialSettings(port="x", baudrate=9600)) == pytest.approx(3.5 * 11 / 9600)
    assert gap_s(SerialSettings(port="x", baudrate=115200)) == 0.00175
    assert gap_s(SerialSettings(port="x", gap_ms=20)) == 0.02
