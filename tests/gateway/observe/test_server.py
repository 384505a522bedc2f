"""The port for machines, over real HTTP, with a real spool's numbers left out: it is told what there is to see."""

import asyncio
import json
import urllib.error
import urllib.request
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import cli, main
from gateway.config.models import MetricsSettings
from gateway.control.server import ControlServer
from gateway.demo.broker import free_port
from gateway.errors import TidegateError
from gateway.health import Health, State
from gateway.metrics import DROP_CAUSES, Metrics
from gateway.observe import Freshness, MetricsServer, Sight
from tests.gateway.observe.seeing import FAILING, STATS, WEAR


class House:
    """What a sight looks at."""

    def __init__(self) -> None:
        self.spool = STATS
        self.health = Health()
        self.metrics = Metrics()
        self.sight = Sight(
            gateway_id="edge-7",
            max_bytes=1_000_000,
            health=self.health,
            metrics=self.metrics,
            freshness=Freshness(),
            spool=lambda: self.spool,
            uplink=lambda: None,
            chains=dict,
            wear=lambda: WEAR,
        )


def get(url: str, method: str = "GET") -> tuple[int, str, str]:
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


@asynccontextmanager
async def serving(house: House, host: str = "127.0.0.1"):
    port = free_port()
    up = asyncio.Event()
    server = MetricsServer(MetricsSettings(host=host, port=port), sight=house.sight, live=lambda _up: up.set())
    task = asyncio.create_task(server.run())
    try:
        async with asyncio.timeout(10):
            await up.wait()
        yield lambda path, method="GET": asyncio.to_thread(get, f"http://127.0.0.1:{port}{path}", method)
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_metrics_are_prometheus_text_without_times_of_making():
    house = House()
    house.metrics.dropped.labels("spool_full").inc(3)
    async with serving(house) as ask:
        status, kind, text = await ask("/metrics")
    assert status == 200
    assert kind.startswith("text/plain; version=0.0.4")
    assert 'tidegate_readings_dropped_total{cause="spool_full"} 3.0' in text
    for cause in set(DROP_CAUSES) - {"spool_full"}:
        assert f'tidegate_readings_dropped_total{{cause="{cause}"}} 0.0' in text
    assert "tidegate_backlog_readings 300.0" in text
    assert "process_resident_memory_bytes" in text
    assert "_created" not in text


async def test_ready_is_no_only_while_the_disk_refuses():
    house = House()
    house.health.set("uplink", State.WAITING, "MQTT broker at 10.0.0.9: nothing listens there")
    async with serving(house) as ask:
        status, _, body = await ask("/readyz")
        assert status == 200
        told = json.loads(body)
        assert (told["ready"], told["state"], told["degraded"]) == (True, "degraded", {"uplink": "waiting"})
        assert "10.0.0.9" not in body
        house.spool = FAILING
        status, _, body = await ask("/readyz")
        assert status == 503
        assert json.loads(body)["ready"] is False
        assert "secret-place" not in body
        # A restart cures no disk: the probe that restarts is answered yes.
        assert (await ask("/healthz"))[0] == 200
        house.spool = STATS
        assert (await ask("/readyz"))[0] == 200


async def test_it_can_only_be_looked_at():
    async with serving(House(), host="::") as ask:
        assert (await ask("/healthz"))[0] == 200
        assert (await ask("/status"))[0] == 404
        assert (await ask("/metrics", "POST"))[0] == 405


async def test_a_port_that_cannot_be_had_says_which():
    house = House()
    async with serving(house):
        taken = free_port()
        listener = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", taken)
        async with listener:
            with pytest.raises(TidegateError, match=rf"127\.0\.0\.1 port {taken}.*metrics\.port"):
                await MetricsServer(MetricsSettings(port=taken), sight=house.sight).run()
    with pytest.raises(TidegateError, match=r"metrics\.host"):
        await MetricsServer(MetricsSettings(host="192.0.2.1", port=taken), sight=house.sight).run()


async def test_the_probe_without_a_shell(tmp_path: Path, capsys):
    house = House()
    path = tmp_path / "control.sock"
    routes = {("GET", "/healthz"): house.sight.answer_alive, ("GET", "/readyz"): house.sight.answer_ready}
    assert main(["health", "--socket", str(path)]) == 1
    assert "no gateway listens" in capsys.readouterr().err
    up = asyncio.Event()
    task = asyncio.create_task(ControlServer(path, routes=routes, live=lambda _up: up.set()).run())
    try:
        async with asyncio.timeout(10):
            await up.wait()

        async def probe(*args: str) -> tuple[int, str]:
            status = await asyncio.to_thread(main, ["health", "--socket", str(path), *args])
            out, err = capsys.readouterr()
            return status, out + err

        assert await probe() == (0, "ready\n")
        house.health.set("device press", State.WAITING, "away")
        assert await probe() == (0, "ready; degraded: device press is waiting\n")
        house.spool = FAILING
        status, text = await probe()
        assert status == 1
        assert "gateway edge-7 is not ready" in text
        assert await probe("--alive") == (0, "alive\n")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_a_probe_of_nobody_is_a_mistake_of_the_command(monkeypatch):
    monkeypatch.delenv("TIDEGATE_CONFIG", raising=False)
    assert CliRunner().invoke(cli, ["health"]).exit_code == 2
