"""The backlog of a running gateway is carried to the broker by hand; it comes once more when the cable is back."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from adapters.plant.config import gateway_config
from gateway.demo.broker import Broker
from gateway.demo.cutter import Cutter
from gateway.demo.gateway_process import GatewayProcess
from gateway.demo.ledger import Ledger
from gateway.demo.plant_process import PlantProcess
from tests.listening import listening
from tests.waiting import until

WAITING = 100


async def tidegate(folder: Path, *words: str) -> dict[str, Any]:
    """What a command of `tidegate spool` tells."""
    command = [str(Path(sys.executable).with_name("tidegate")), "spool", *words, "--json"]
    ended = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await ended.communicate()
    assert ended.returncode == 0, err.decode()
    told: dict[str, Any] = json.loads(out)
    return told


async def test_what_was_carried_and_what_the_gateway_sends_later_are_the_same(tmp_path: Path) -> None:
    book = Ledger()
    async with (
        PlantProcess(log=tmp_path / "plant.log", tags=0, rate_hz=1.0) as plant,
        Broker(folder=tmp_path / "broker") as broker,
        Cutter(target_port=broker.port) as cable,
        listening(broker, book, "tidegate/e2e/data/#"),
    ):
        await cable.cut()
        config = gateway_config(
            gateway_id="e2e",
            database=str(tmp_path / "spool.db"),
            opcua_url=plant.opcua_url,
            modbus_port=plant.modbus_port,
            broker_port=cable.port,
        )
        async with GatewayProcess(folder=tmp_path, config=config) as gateway:

            async def many_wait() -> bool:
                status = await gateway.status()
                return status is not None and status["spool"]["backlog_readings"] > WAITING

            await until(many_wait, within_s=60, what="readings wait for the broker")
            exported = await tidegate(tmp_path, "export", "out.tide", "--config", "gateway.json")
            assert exported["readings"] > WAITING
            to = ("forward", "out.tide", "--broker", f"127.0.0.1:{broker.port}", "--any-origin")
            sent = await tidegate(tmp_path, *to)
            assert (sent["batches"], sent["readings"]) == (exported["batches"], exported["readings"])
            await until(lambda: book.received == exported["readings"])
            assert (book.duplicates, book.replayed) == (0, exported["readings"])

            cable.mend()
            await until(
                lambda: book.duplicates == exported["readings"] < book.received and not book.seq_holes(),
                within_s=60,
                what="what was carried came once more, and what came after it",
            )
            assert await gateway.stop() == 0
        assert (book.duplicates, book.conflicts) == (exported["readings"], 0)
