"""What requests put on the wire, and the plan that tells it."""

from __future__ import annotations

import pytest
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU

from adapters.modbus import PROTOCOL
from adapters.modbus.address import Table
from adapters.modbus.endpoint import Endpoint
from adapters.modbus.load import bytes_a_second, cycle_s, load_of, utilisation
from adapters.modbus.pdu import answer_bytes, read_pdu
from adapters.modbus.planner import Request
from adapters.modbus.settings import ModbusSettings, ModbusTag, SerialSettings
from tests.adapters.modbus.test_planner import item

LINE = SerialSettings(port="/dev/ttyUSB0", baudrate=9600)
SERIAL = Endpoint("rtu", serial=LINE)
TCP = Endpoint("tcp", "h", 502)


def request(count: int, table: Table = Table.HOLDING) -> Request:
    return Request(1, table, 0, count, (item(0, 0, count, table=table),))


@pytest.mark.parametrize("asked", [request(1), request(125), request(1, Table.COIL), request(2_000, Table.DISCRETE)])
def test_bytes_are_those_of_the_frames(asked: Request) -> None:
    pdu = read_pdu(asked)
    answer = bytes(answer_bytes(pdu))
    for endpoint, framer in ((SERIAL, FramerRTU(DecodePDU(True))), (TCP, FramerSocket(DecodePDU(True)))):
        load = load_of(asked, endpoint)
        assert load.asked_bytes == len(framer.encode(pdu, 1, 1))
        assert load.answer_bytes == len(framer.encode(answer, 1, 1))


def test_a_pause_is_part_of_the_plan() -> None:
    asked = [request(1), request(10)]
    assert cycle_s(asked, TCP, pause_s=0.05) == pytest.approx(cycle_s(asked, TCP) + 0.1)
    what = ModbusSettings(name="d", host="h", pause_ms=50, tags=[ModbusTag(name="a", address=0)])
    told = PROTOCOL.plan(what)
    assert told[0] == "Modbus TCP to h:502, a pause of 50 ms before each request; one request at a time"
    assert any("about 55 ms a cycle" in line for line in told)


def test_a_serial_line_is_busy_for_its_characters_and_silences() -> None:
    # 8 bytes out and 255 back, 11 bits each, and 3.5 characters of silence before both.
    assert load_of(request(125), SERIAL).wire_s == pytest.approx((263 + 7) * 11 / 9600)
    assert load_of(request(125), TCP).wire_s == 0
    assert utilisation([request(125)], SERIAL) == pytest.approx(0.309, abs=0.001)
    assert bytes_a_second([request(125)], SERIAL) == 263
    assert cycle_s([request(125)], SERIAL) == pytest.approx(0.3146, abs=0.0005)


def plan(**changes: object) -> list[str]:
    values: dict[str, object] = {"name": "m", "tags": [ModbusTag(name="a", address=0, type="float32")], **changes}
    settings = ModbusSettings(**values)  # type: ignore[arg-type]
    assert PROTOCOL.check(settings) == []
    return PROTOCOL.plan(settings)


def test_the_plan_tells_the_line_and_its_load() -> None:
    tags = [ModbusTag(name=f"t{i}", address=200 * i, interval_s=10 if i > 3 else None) for i in range(8)]
    lines = plan(transport="rtu", serial=LINE, tags=tags)
    assert lines[0].startswith(
        "Modbus RTU on /dev/ttyUSB0, 9600 baud, 8E1, at least 4.01 ms between frames; one request"
    )
    assert lines[-3].startswith("every 1 s: 4 tags in 4 requests (4 registers); about 122 ms a cycle if the device")
    assert lines[-2].startswith("every 10 s: 4 tags in 4 requests (4 registers)")
    assert lines[-1] == "bus load: 11 % at 9600 baud (66 bytes a second, and the silence between frames)"


def test_a_line_that_cannot_carry_it_is_told() -> None:
    tags = [ModbusTag(name=f"t{i}", address=200 * i) for i in range(60)]
    lines = plan(transport="rtu", serial=LINE, tags=tags)
    assert "more than the line can carry" in lines[-1]
    assert any("more than the interval" in line for line in lines)


def test_the_plan_of_a_network() -> None:
    assert plan(host="h")[0] == "Modbus TCP to h:502; one request at a time"
    assert plan(host="h")[-1] == "load: 25 bytes a second, requests and answers together"
    assert "with all devices there that share" in plan(host="h", share_connection=True)[0]
    assert "Modbus over TLS to h:802 (the system's roots)" in plan(host="h", transport="tls")[0]


def test_the_load_of_a_line_is_that_of_all_its_devices() -> None:
    assert PROTOCOL.plan_together is not None
    tags = [ModbusTag(name=f"t{i}", address=200 * i) for i in range(4)]

    def meter(unit_id: int, port: str = "/dev/ttyUSB0", **changes: object) -> ModbusSettings:
        line = SerialSettings(port=port, baudrate=9600)
        return ModbusSettings(name=f"m{unit_id}", transport="rtu", serial=line, unit_id=unit_id, tags=tags, **changes)  # type: ignore[arg-type]

    network = ModbusSettings(name="n", host="h", tags=tags)
    assert PROTOCOL.plan_together([network, meter(1), meter(2, "/dev/ttyUSB1")]) == []
    lines = PROTOCOL.plan_together([meter(1), network, meter(2), meter(3, enabled=False)])
    assert lines == [
        "serial line /dev/ttyUSB0: 2 devices (m1, m2)",
        "bus load: 20 % at 9600 baud (120 bytes a second, and the silence between frames)",
    ]
    crowded = PROTOCOL.plan_together([meter(i) for i in range(1, 16)])
    assert "and 7 more" in crowded[0]
    assert "more than the line can carry" in crowded[-1]
