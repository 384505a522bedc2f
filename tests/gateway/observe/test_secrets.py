"""No secret of the configuration reaches a log, a metric or a probe: the real process, with everything going wrong."""

import asyncio
import json
from pathlib import Path

from gateway.demo.broker import Broker, free_port
from gateway.demo.gateway_process import GatewayProcess
from gateway.demo.plant_process import PlantProcess
from tests.web import fetch

MQTT_SECRET = "mqtt-Zq7-secret"
PLC_SECRET = "plc-Xw9-secret"


async def test_passwords_are_told_nowhere(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("")
    users.chmod(0o600)
    port = free_port()
    async with (
        Broker(folder=tmp_path / "broker", extra_config=["allow_anonymous false", f"password_file {users}"]) as broker,
        PlantProcess(log=tmp_path / "plant.log", tags=0, rate_hz=1.0) as plant,
    ):
        tags = [{"name": "force", "node": "ns=2;s=Press.Force"}]
        login = {"username": "tidegate", "password": PLC_SECRET}
        config = {
            "gateway": {"id": "guarded"},
            "database": {"path": str(tmp_path / "spool.db")},
            "offline": {"sync_interval": 0.2},
            "log": {"level": "debug"},
            "metrics": {"port": port},
            "uplink": {
                "host": broker.host,
                "port": broker.port,
                "username": "tidegate",
                "password": MQTT_SECRET,
            },
            "devices": [
                {"name": "refused", "type": "opcua", "url": plant.opcua_url, "tags": tags, **login},
                {
                    "name": "away",
                    "type": "opcua",
                    "url": f"opc.tcp://127.0.0.1:{free_port()}",
                    "tags": tags,
                    **login,
                },
            ],
        }
        async with GatewayProcess(folder=tmp_path, config=config) as gateway:
            status: dict[str, object] = {}
            async with asyncio.timeout(60):
                while "uplink" not in gateway.log.read_text() or "device away" not in gateway.log.read_text():
                    await asyncio.sleep(0.2)
                    status = await gateway.status() or {}
                status = await gateway.status() or {}
            told = [(await fetch(f"http://127.0.0.1:{port}{path}")).decode() for path in ("/metrics", "/readyz")]
            assert await gateway.stop() == 0
    log = gateway.log.read_text()
    assert "Check uplink.username and uplink.password" in log, "the login was not even tried"
    assert '"level":"debug"' in log, "the test is to see the debug lines as well"
    for text in (log, json.dumps(status), *told):
        assert MQTT_SECRET not in text
        assert PLC_SECRET not in text
