"""`tidegate probe modbus`, against a real server."""

from __future__ import annotations

import asyncio
import json
import struct
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pymodbus.framer import FramerType

from gateway.cli import main
from tests.adapters.modbus.rig import LOOPBACK, device, plc, words
from tests.adapters.modbus.wire import serial_line

EXAMPLE = str(Path(__file__).parents[3] / "config" / "example.toml")
HOLDING = {0: [*reversed(words(struct.pack(">f", 230.51))), 1, 4464, *words(b"PUMP-7\0\0")]}


@asynccontextmanager
async def server() -> AsyncIterator[str]:
    async with plc(device(1, holding=HOLDING, input_={10: [4711]}), device(7, holding=HOLDING)) as running:
        yield str(running.port)


async def probe(*args: str) -> int:
    return await asyncio.to_thread(main, ["probe", "modbus", *args, "--every", "0"])


async def test_the_true_order_is_named_first(capsys: pytest.CaptureFixture[str]) -> None:
    async with server() as port:
        status = await probe(LOOPBACK, "--port", port, "--address", "40001", "--min", "200", "--max", "250")
    out = capsys.readouterr().out
    assert status == 0
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    (first,) = [line.split() for line in lines if line.startswith("  1 ")]
    assert first[:6] == ["1", "100%", "float32", "CDAB", "0", "230.51"]
    tag = tomllib.loads(out[out.index("[[devices.tags]]") :])["devices"]["tags"][0]
    assert tag == {"name": "...", "register": "holding", "address": 0, "type": "float32", "byte_order": "CDAB"}


async def test_all_of_it_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    async with server() as port:
        assert await probe(LOOPBACK, "--port", port, "--address", "0", "--unit", "7", "--times", "3", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["unit_id"] == 7
    assert told["reads"] == [HOLDING[0][:2]] * 3
    best = told["candidates"][0]
    assert (best["type"], best["byte_order"]) == ("float32", "CDAB")
    assert best["values"] == pytest.approx([230.51] * 3)


async def test_other_registers_and_the_whole_list(capsys: pytest.CaptureFixture[str]) -> None:
    async with server() as port:
        assert await probe(LOOPBACK, "--port", port, "--address", "30011", "--count", "1", "--all") == 0
        out = capsys.readouterr().out
        assert "function 4, input 10" in out
        assert "4711" in out
        assert "--all" not in out


async def test_a_device_of_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with server() as port:
        file = tmp_path / "tidegate.toml"
        file.write_text(
            f'[[devices]]\nname = "plc"\ntype = "modbus"\nhost = "{LOOPBACK}"\nport = {port}\nunit_id = 7\n'
            'tags = [{ name = "a", address = 0 }]\n'
        )
        assert await probe("--config", str(file), "--device", "plc", "--address", "0") == 0
        assert capsys.readouterr().out.startswith("unit 7, function 3, holding 0 to 1")
        assert await probe("--config", str(file), "--device", "plx", "--address", "0") == 2
        assert "of Modbus it has plc" in capsys.readouterr().err


async def test_a_serial_line(capsys: pytest.CaptureFixture[str]) -> None:
    async with plc(device(3, holding=HOLDING), framer=FramerType.RTU) as running, serial_line(running.port) as port:
        assert await probe("--serial", port, "--unit", "3", "--address", "0", "--baudrate", "115200") == 0
    assert "230.51" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "status", "told"),
    [
        (["--address", "0"], 2, "which device? Give either HOST, or --serial PORT"),
        (["h", "--serial", "/dev/ttyS0", "--address", "0"], 2, "which device?"),
        (["h", "--baudrate", "9600", "--address", "0"], 2, "--baudrate: not used with HOST"),
        (["h", "--device", "plc", "--address", "0"], 2, "--device: not used with HOST"),
        (
            ["--serial", "/dev/ttyS0", "--port", "502", "--rtu-over-tcp", "--address", "0"],
            2,
            "--port, --rtu-over-tcp: not used with --serial",
        ),
        (["--config", EXAMPLE, "--timeout", "2", "--address", "0"], 2, "--timeout: not used with --config"),
        (["h", "--address", "4000x"], 2, "--address: '4000x' is no address"),
        (["h", "--address", "00001"], 2, "a bit has no byte order"),
        (["h", "--address", "30001", "--register", "holding"], 2, "other registers than --register holding"),
        (["h", "--address", "0", "--min", "5", "--max", "1"], 2, "nothing lies in between"),
        (["h", "--address", "0xffff"], 2, "ends after the last register"),
        (["--serial", "/dev/ttyS0", "--address", "0", "--baudrate", "1234"], 2, "there can be no such device"),
        (["--serial", "/dev/ttyS0", "--address", "0", "--unit", "0"], 2, "1 to 247"),
        (["--serial", "/dev/ttyNONE", "--address", "0"], 1, "no Modbus connection to /dev/ttyNONE: there is no such"),
    ],
)
async def test_what_does_not_work_is_told(
    args: list[str], status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await probe(*args) == status
    assert told in " ".join(capsys.readouterr().err.split())


async def test_a_refusal_and_a_silence_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    async with server() as port:
        assert await probe(LOOPBACK, "--port", port, "--address", "40") == 1
        assert "refuses function 3, holding 40 to 41: exception 2 (illegal_address). There is no" in (
            capsys.readouterr().err
        )
        assert await probe(LOOPBACK, "--port", port, "--address", "0", "--unit", "99", "--timeout", "0.1") == 1
        assert capsys.readouterr().err.startswith("tidegate: ")
