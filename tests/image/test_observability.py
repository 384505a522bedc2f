"""Alert rules and dashboard against Prometheus itself: promtool, and a server that scrapes a running gateway."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import subprocess
import urllib.error
import urllib.parse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.plant.config import gateway_config
from gateway.demo import child
from gateway.demo.broker import Broker, free_port
from gateway.demo.gateway_process import GatewayProcess
from gateway.demo.plant_process import PlantProcess
from tests.gateway.wasm.guests import described, guest
from tests.waiting import until
from tests.web import fetch

FOLDER = Path(__file__).parents[2] / "image" / "observability"
RULES = FOLDER / "tidegate.rules.yaml"
RULE_TESTS = FOLDER / "tidegate.rules.test.yaml"
DASHBOARD = json.loads((FOLDER / "tidegate.dashboard.json").read_text())
QUERIES = {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
}
WITHIN_S = 90
METRIC = re.compile(r"\b(?:tidegate|process)_[a-z_]+")


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def promtool(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=False
    )


def test_promtool_takes_the_rules() -> None:
    done = promtool("check", "rules", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_when_it_should_and_only_then() -> None:
    done = promtool("test", "rules", str(RULE_TESTS))
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_seen_firing_in_a_test_and_told_to_the_operator() -> None:
    fired = {
        case["alertname"]
        for test in yaml.safe_load(RULE_TESTS.read_text())["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    names = {alert["alert"] for alert in alerts()}
    assert fired == names
    manual = (FOLDER / "README.md").read_text()
    assert {name for name in names if f"`{name}`" not in manual} == set()


def test_the_dashboard_is_whole() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    places = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(places)) == len(places)
    assert max(x for x, _ in places) < 24
    assert all("$instance" in query for query in QUERIES.values())


class Prometheus:
    """A server's HTTP API."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"

    async def answers(self) -> bool:
        try:
            await fetch(f"{self._base}/-/ready")
        except OSError:
            return False
        return True

    async def get(self, path: str, **query: str) -> Any:
        url = f"{self._base}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        return json.loads(await fetch(url))["data"]

    async def value(self, query: str) -> list[Any]:
        """What a panel would show now; the range of a rate is what Grafana makes of scrapes each second."""
        query = query.replace("$instance", ".*").replace("$__rate_interval", "5s")
        found: list[Any] = (await self.get("query", query=query))["result"]
        return found


@asynccontextmanager
async def prometheus(folder: Path, target_port: int) -> AsyncIterator[Prometheus]:
    folder.mkdir()
    port = free_port()
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "tidegate", "static_configs": [{"targets": [f"127.0.0.1:{target_port}"]}]}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(settings))
    log = folder / "prometheus.log"
    process = await child.spawn(
        [
            "prometheus",
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        log=log,
    )
    try:
        server = Prometheus(port)
        async with asyncio.timeout(WITHIN_S):
            while not await server.answers():
                assert process.returncode is None, child.last_lines(log)
                await asyncio.sleep(0.1)
        yield server
    finally:
        await child.end(process)


def troubled(folder: Path, config: dict[str, Any], *, modbus_port: int) -> dict[str, Any]:
    """The plant's configuration with one of each trouble: a dead device, a dead unit, a filter that traps."""
    trap = described(guest("(unreachable)"))
    (folder / "trap.wasm").write_bytes(trap)
    tag = {"name": "level", "register": "input", "address": 0}
    config["devices"] += [
        {"name": "dead", "type": "modbus", "host": "127.0.0.1", "port": free_port(), "tags": [tag]},
        {"name": "mute", "type": "modbus", "host": "127.0.0.1", "port": modbus_port, "unit_id": 99, "tags": [tag]},
    ]
    pin = hashlib.sha256(trap).hexdigest()
    config["filters"].append({"module": str(folder / "trap.wasm"), "sha256": pin, "name": "trap", "devices": ["line"]})
    return config


@pytest.mark.timeout(300)
async def test_every_query_of_the_dashboard_and_every_rule_finds_its_data(tmp_path: Path) -> None:
    port = free_port()
    async with (
        Broker(folder=tmp_path / "broker") as broker,
        PlantProcess(log=tmp_path / "plant.log", tags=20, rate_hz=2.0) as plant,
    ):
        config = gateway_config(
            gateway_id="watched",
            database=str(tmp_path / "spool.db"),
            opcua_url=plant.opcua_url,
            modbus_port=plant.modbus_port,
            broker_port=broker.port,
            tags=20,
        )
        config["metrics"] = {"port": port}
        config = troubled(tmp_path, config, modbus_port=plant.modbus_port)
        async with GatewayProcess(folder=tmp_path, config=config), prometheus(tmp_path / "prometheus", port) as server:
            left = dict(QUERIES)

            async def all_have_data() -> bool:
                for name, query in [*left.items()]:
                    found = await server.value(query)
                    # A quantile of nothing is NaN: a sample, and nothing to see.
                    if found and any(sample["value"][1] != "NaN" for sample in found):
                        del left[name]
                return not left

            await until(all_have_data, within_s=WITHIN_S, what=lambda: f"data for {left}")

            text = (await fetch(f"http://127.0.0.1:{port}/metrics")).decode()
            checked = promtool("check", "metrics", stdin=text)
            assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
            series = _series(text)
            assert len(set(series)) == len(series)
            offered = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
            used = {
                name.removesuffix("_bucket")
                for query in [*QUERIES.values(), *(alert["expr"] for alert in alerts())]
                for name in METRIC.findall(query)
            }
            assert used <= offered

            [up] = await server.value("up")
            assert up["value"][1] == "1"
            [dead] = await server.value('tidegate_device_state{device="dead", state=~"waiting|starting"} == 1')
            [mute] = await server.value('tidegate_device_last_good_age_seconds{device="mute"}')
            [tank] = await server.value('tidegate_device_last_good_age_seconds{device="tank"}')
            assert dead["metric"]["instance"] == f"127.0.0.1:{port}"
            assert float(tank["value"][1]) < float(mute["value"][1])

            async def rules_are_evaluated() -> bool:
                groups = (await server.get("rules"))["groups"]
                rules = [rule for group in groups for rule in group["rules"]]
                assert [rule["lastError"] for rule in rules if rule.get("lastError")] == []
                states = {rule["name"]: rule["state"] for rule in rules if rule["health"] == "ok"}
                return (
                    len(states) == len(alerts())
                    and states["TidegateDeviceDown"] == "pending"
                    and states["TidegateFilterFailing"] == "pending"
                )

            await until(
                rules_are_evaluated,
                within_s=WITHIN_S,
                what="the rules see the dead device and the filter that traps",
            )

            # The broker's end is no reason not to be ready, and is told.
            await broker.stop()

            async def told_degraded() -> bool:
                ready = json.loads(await fetch(f"http://127.0.0.1:{port}/readyz"))
                assert ready["ready"] is True
                return "uplink" in ready["degraded"] and "device dead" in ready["degraded"]

            await until(told_degraded, within_s=WITHIN_S, what="the lost broker is shown as degraded")


def _series(text: str) -> list[str]:
    return [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]


def test_alloy_reads_the_keys_that_the_gateway_writes() -> None:
    text = (FOLDER / "tidegate.alloy").read_text()
    [expressions] = re.findall(r"expressions = \{(.*?)\}", text)
    assert set(re.findall(r'= "(\w+)"', expressions)) == {"ts", "level"}
    code = re.sub(r"//.*", "", text)
    assert code.count("{") == code.count("}")
    defined = {f"{kind}.{label}" for kind, label in re.findall(r'^(\S+) "(\w+)" \{', code, re.MULTILINE)}
    used = set(re.findall(r"\b((?:loki|discovery)\.\w+\.\w+)\.(?:receiver|output|targets)", code))
    assert used <= defined
    assert {"loki.write.loki", "loki.process.lines"} <= used
