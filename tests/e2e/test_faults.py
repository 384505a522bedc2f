"""Disks that fail, as the whole gateway meets them: it comes up, says what is wrong, and goes on by itself.

The gateway's own disk is the folder of its spool, in which each call can be made to fail (`tests/faults`). A Modbus
device with a register that never changes is read all the time.
"""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.demo.books import read_books
from gateway.demo.broker import free_port
from gateway.demo.gateway_process import GatewayProcess
from tests.adapters.modbus import rig
from tests.faults.disk import FaultyDisk
from tests.waiting import until


class Box:
    """A gateway on a disk that can fail."""

    def __init__(self, folder: Path, *, modbus_port: int) -> None:
        self.spool = folder / "disk" / "spool.db"
        self.spool.parent.mkdir()
        self.disk = FaultyDisk(self.spool.parent, control=folder / "faults")
        self.metrics_port = free_port()
        self.gateway = GatewayProcess(
            folder=folder,
            config={
                "gateway": {"id": "box"},
                "database": {"path": str(self.spool)},
                "control": {"socket": str(folder / "control.sock")},
                "wasm": {"cache_dir": str(folder / "wasm")},
                "metrics": {"host": "127.0.0.1", "port": self.metrics_port},
                "devices": [
                    {
                        "name": "meter",
                        "type": "modbus",
                        "host": "127.0.0.1",
                        "port": modbus_port,
                        "interval_s": 0.05,
                        "tags": [{"name": "power", "register": "holding", "address": 0, "type": "uint16"}],
                    }
                ],
            },
            environment=self.disk.environment,
        )

    def ask(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


async def spool_of(gateway: GatewayProcess) -> dict[str, Any]:
    status = await gateway.status()
    assert status is not None
    return status["spool"] | {"why": status["components"].get("spool", {}).get("why", "")}


async def accepts(gateway: GatewayProcess, *, above: int = 0) -> int:
    """Waits until more readings than that are stored; how many there are."""
    spool: dict[str, Any] = {}

    async def more() -> bool:
        spool.update(await spool_of(gateway))
        return spool["accepted_readings"] > above and spool["state"] == "ok"

    await until(more, within_s=60, what=lambda: gateway.log.read_text()[-2000:])
    return int(spool["accepted_readings"])


async def says(gateway: GatewayProcess, text: str) -> str:
    """Waits until the spool's state has this text in it; the whole of it."""
    spool: dict[str, Any] = {}

    async def said() -> bool:
        spool.update(await spool_of(gateway))
        return text in spool["why"]

    await until(said, what=lambda: spool)
    return str(spool["why"])


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    async with rig.plc(rig.device(holding={0: [7]})) as plc:
        box = Box(tmp_path, modbus_port=plc.port)
        yield box
        await box.gateway.kill()


FAULTS = [
    (FaultyDisk.is_full, "Free space"),
    (FaultyDisk.is_read_only, "mounted for writing"),
    (FaultyDisk.cannot_write, "disk errors"),
    (FaultyDisk.cannot_read, "disk errors"),
]


@pytest.mark.parametrize(("fault", "advice"), FAULTS)
async def test_it_comes_up_on_a_disk_that_fails_and_goes_on_without_a_restart(
    box: Box, fault: Callable[[FaultyDisk], None], advice: str
) -> None:
    fault(box.disk)
    await box.gateway.start()
    why = await says(box.gateway, "sources are held back")
    assert str(box.spool) in why
    assert advice in why
    code, ready = box.ask("readyz")
    assert code == 503
    assert msgspec.json.decode(ready)["reasons"] == [
        "the spool does not take what comes in; `tidegate status` tells why"
    ]
    assert box.ask("healthz")[0] == 200
    code, metrics = box.ask("metrics")
    assert "tidegate_spool_failing 1.0" in metrics
    assert "tidegate_ready 0.0" in metrics
    box.disk.works()
    accepted = await accepts(box.gateway)
    assert box.ask("readyz")[0] == 200
    fault(box.disk)
    if fault is not FaultyDisk.cannot_read:  # what was just written is read from the memory of SQLite
        await until(lambda: box.ask("readyz")[0] == 503, what="it is not ready")
    box.disk.works()
    await accepts(box.gateway, above=accepted)
    assert (await spool_of(box.gateway))["dropped"] == {}
    assert await box.gateway.stop() == 0


async def test_a_deleted_folder_is_written_anew_and_nothing_is_lost(box: Box) -> None:
    await box.gateway.start()
    accepted = await accepts(box.gateway, above=20)
    shutil.rmtree(box.spool.parent)
    accepted = await accepts(box.gateway, above=accepted + 20)
    await says(box.gateway, "were written anew")
    await box.gateway.kill()  # what is not in the file by now is gone
    books = await read_books(box.spool)
    assert books.accepted >= accepted
    assert sum(books.waiting.values()) == books.accepted


async def test_a_second_gateway_waits_and_takes_over(box: Box, tmp_path: Path) -> None:
    folder = tmp_path / "second"
    folder.mkdir()
    config = msgspec.json.decode((tmp_path / "gateway.json").read_bytes(), type=dict[str, Any])
    config["control"]["socket"] = str(folder / "control.sock")
    config["metrics"]["port"] = free_port()
    await box.gateway.start()
    accepted = await accepts(box.gateway)
    async with GatewayProcess(folder=folder, config=config) as second:
        await says(second, "another gateway is using it")
        accepted = await accepts(box.gateway, above=accepted)
        assert (await spool_of(second))["accepted_readings"] == 0
        assert await box.gateway.stop() == 0
        await accepts(second, above=accepted)
        assert await second.stop() == 0
