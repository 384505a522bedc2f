"""A gateway whose spool is full after a long outage thins as its configuration says, before anything is dropped."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from adapters.plant.config import gateway_config
from gateway.batch import Batch, Reading
from gateway.demo.broker import free_port
from gateway.demo.gateway_process import GatewayProcess
from gateway.demo.plant_process import PlantProcess
from tests.gateway.spool.harness import drain, open_spool, read_gaps, running
from tests.waiting import until

MAX_BYTES = 1_000_000
TAGS = ("level", "inflow")
READINGS = 200


async def outage(database: Path, unit: str) -> None:
    """What an outage leaves: two tags that float a little, until there is hardly room any more."""
    began_ns = time.time_ns() - 86_400 * 10**9
    async with running(database, now_ns=lambda: began_ns, max_bytes=MAX_BYTES) as spool:
        points = [spool.points.intern(f"demo/hall-1/cell-1/tank/{tag}", device="tank", unit=unit) for tag in TAGS]
        number = 0
        while spool.stats.backlog_bytes < MAX_BYTES - 60_000:
            for _ in range(10):
                times = range(
                    began_ns + number * 10**9, began_ns + (number + 1) * 10**9, 10**9 // READINGS * len(points)
                )
                floats = [
                    (at_ns, 5 + math.sin(at_ns % 10_007 * point + number) / 3, point)
                    for at_ns in times
                    for point in points
                ]
                await spool.append("tank", Batch.of(Reading(*one) for one in floats))
                number += 1
            spool._merger.readings = 10 * READINGS
            await spool._merger.merge()


@pytest.mark.timeout(120)
async def test_a_full_spool_thins_what_may_be_thinned_and_drops_nothing(tmp_path: Path) -> None:
    database = tmp_path / "spool.db"
    async with PlantProcess(log=tmp_path / "plant.log", tags=100, rate_hz=10.0) as plant:
        config = gateway_config(
            gateway_id="full",
            database=str(database),
            opcua_url=plant.opcua_url,
            modbus_port=plant.modbus_port,
            broker_port=free_port(),
            tags=100,
        )
        config["database"] |= {"max_bytes": MAX_BYTES, "when_full": "thin"}
        (tank,) = (device for device in config["devices"] if device["name"] == "tank")
        (level,) = (tag for tag in tank["tags"] if tag["name"] == "level")
        (inflow,) = (tag for tag in tank["tags"] if tag["name"] == "inflow")
        inflow["unit"] = level["unit"]
        inflow["alarm"], tank["thin_error"] = True, 1.0
        await outage(database, level["unit"])
        async with GatewayProcess(folder=tmp_path, config=config) as gateway:

            async def thinned() -> bool:
                status = await gateway.status()
                return status is not None and status["spool"]["dropped"].get("thinned", 0) > 1_000

            await until(thinned, within_s=60, what="the gateway thinned")
            await gateway.stop()
    gaps = {(entry.gap.device, entry.gap.tag) for entry in read_gaps(database) if entry.gap.cause == "thinned"}
    assert gaps == {("tank", "level")}
    spool = await open_spool(database, max_bytes=MAX_BYTES)
    try:
        stats = spool.stats
        assert stats.dropped.keys() == {"thinned"}
        assert stats.accepted_readings == stats.backlog_readings + stats.dropped["thinned"]
        oldest = (await drain(spool))[0]
        tags = [spool.points[point].tag for point in oldest.batch.points()]
        assert tags.count("inflow") == READINGS / len(TAGS) > 10 * tags.count("level") > 0
    finally:
        await spool.close()
