"""Start and stop of `tidegate run`, as a service manager and a person at the box see them."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from pathlib import Path

from gateway.demo import child
from gateway.demo.broker import free_port
from gateway.demo.gateway_process import GatewayProcess
from tests.waiting import until

ROOT = Path(__file__).parents[2]


def idle_config(folder: Path) -> dict[str, object]:
    """The case study's configuration as it stands, but for the path of its database."""
    config = json.loads((ROOT / "config" / "case-study.json").read_text())
    assert config["database"]["path"] == "/data/industrial-iot.db"
    config["database"]["path"] = str(folder / "industrial-iot.db")
    return config


def lonely_config(folder: Path) -> dict[str, object]:
    """Devices and a broker that are all away."""
    return {
        "gateway": {"id": "lonely"},
        "database": {"path": str(folder / "spool.db")},
        "uplink": {"host": "127.0.0.1", "port": free_port()},
        "devices": [
            {
                "name": "press",
                "type": "opcua",
                "url": f"opc.tcp://127.0.0.1:{free_port()}",
                "tags": [{"name": "force", "node": "ns=2;s=Press.Force"}],
            },
            {
                "name": "tank",
                "type": "modbus",
                "host": "127.0.0.1",
                "port": free_port(),
                "tags": [{"name": "level", "register": "input", "address": 0}],
            },
        ],
    }


def log_lines(gateway: GatewayProcess) -> list[dict[str, str]]:
    return [json.loads(line) for line in gateway.log.read_text().splitlines()]


async def test_the_case_study_s_file_is_an_idle_gateway(tmp_path: Path) -> None:
    async with GatewayProcess(folder=tmp_path, config=idle_config(tmp_path)) as gateway:
        status = await gateway.status()
        assert status is not None
        assert status["state"] == "up"
        assert status["devices"] == {}
        assert await gateway.stop() == 0
    assert (tmp_path / "industrial-iot.db").exists()
    assert log_lines(gateway)[-1]["msg"] == "stopped; everything that was accepted is on disk"


async def test_it_starts_and_stops_without_plc_and_broker(tmp_path: Path) -> None:
    async with GatewayProcess(folder=tmp_path, config=lonely_config(tmp_path)) as gateway:
        # The OPC UA library takes a second to import; the control socket answers meanwhile or after it.
        states: dict[str, dict[str, str]] = {}
        while len([state for state in states.values() if state["state"] == "waiting"]) < 3:
            status = await gateway.status()
            states = {} if status is None else status["components"]
        assert status is not None
        assert status["state"] == "degraded"
        assert "Is the broker running" in states["uplink"]["why"]
        for name in ("device press", "device tank"):
            assert "127.0.0.1" in states[name]["why"]
        assert await gateway.stop() == 0
    assert {tuple(line) for line in log_lines(gateway)} == {("ts", "level", "logger", "msg")}
    assert not (tmp_path / "control.sock").exists()


def test_status_asks_the_running_gateway_only(tmp_path: Path) -> None:
    config = tmp_path / "gateway.json"
    config.write_text(json.dumps(idle_config(tmp_path)))
    command = [sys.executable, "-m", "gateway.cli", "status", "--config", str(config)]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert asked.returncode == 1
    assert "no gateway listens" in asked.stderr


def test_headless_gateway_imports_only_what_it_needs() -> None:
    """Importing the app loads no protocol library, no screen, no broker of the demo's."""
    script = (
        "import sys, gateway.app\n"
        "heavy = {'asyncua', 'pymodbus', 'textual', 'rich', 'amqtt', 'regopy', 'tomlkit', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


async def test_systemd_hears_that_it_is_ready_alive_and_stopping(tmp_path: Path) -> None:
    config = tmp_path / "gateway.json"
    config.write_text(json.dumps(lonely_config(tmp_path)))
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        gateway = await child.spawn(
            child.python_command("gateway.cli", "run", str(config)),
            log=tmp_path / "gateway.log",
            environment={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"},
        )

        def hears(text: str) -> bool:
            with contextlib.suppress(BlockingIOError):
                while True:
                    heard.append(manager.recv(4096).decode())
            return any(text in message for message in heard)

        try:
            await until(lambda: hears("STATUS=degraded; "), what=lambda: heard)
            assert heard[0].startswith("READY=1\n")
            heard.clear()
            await until(lambda: hears("WATCHDOG=1"))
        finally:
            status = await child.end(gateway)
        assert hears("STOPPING=1")
    assert status == 0
    assert {"uplink is waiting", "device press is waiting", "device tank is waiting"} <= {
        part.strip() for message in heard for line in message.splitlines() for part in line.split(";")
    }
