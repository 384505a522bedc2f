from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import sys
from pathlib import Path

import aiomqtt
import pytest

from adapters.plant.config import gateway_config
from gateway.batch import Batch, Reading
from gateway.check import load
from gateway.config.models import DatabaseSettings
from gateway.demo import child
from gateway.demo.books import read_books
from gateway.demo.broker import Broker
from gateway.demo.ledger import Ledger, Message, MessageReading
from gateway.demo.plant_process import PlantProcess
from gateway.demo.show import summary
from gateway.demo.story import Report, timeline
from gateway.demo.subscriber import Subscriber
from gateway.demo.verdict import Facts
from gateway.demo.waiting import running
from gateway.demo.waiting import until as until_or_error
from gateway.demo.watch import machines
from gateway.errors import TidegateError
from gateway.metrics import Metrics
from gateway.plan_text import plan_text
from gateway.spool import Spool
from tests.waiting import until


def payload(seq: int) -> str:
    reading = {"tag": "t", "ts": 1.5, "value": seq, "quality": "good"}
    return json.dumps({"gateway": "g", "device": "d", "seq": seq, "part": 0, "replayed": False, "readings": [reading]})


async def test_the_subscriber_misses_nothing_while_it_is_away(tmp_path: Path) -> None:
    ledger = Ledger()
    async with Broker(folder=tmp_path) as broker:

        def subscriber() -> Subscriber:
            return Subscriber(host=broker.host, port=broker.port, topic="x/#", ledger=ledger, now_ms=lambda: 4.0)

        async with aiomqtt.Client(broker.host, broker.port) as publisher:
            first = subscriber()
            async with running(first.run(), name="subscriber"):
                await until(first.subscribed.is_set)
                await publisher.publish("x/d", payload(1), qos=1)
                await until(lambda: ledger.received == 1)
            await publisher.publish("x/d", payload(2), qos=1)
            async with running(subscriber().run(), name="subscriber"):
                await until(lambda: ledger.received == 2)
    assert ledger.last["d", "t"].value == 2
    assert ledger.latency_ms(1.0) == [2.5]


async def test_the_books_tell_what_was_accepted_and_what_waits(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    spool = await Spool.open(path, settings=DatabaseSettings(path=str(path)), metrics=Metrics())
    async with running(spool.run(), name="spool"):
        point = spool.points.intern("a/b/c/d/t", device="d")
        seqs = [await spool.append("d", Batch.of([Reading(1, 1.0, point)] * size)) for size in (3, 4, 5)]
        spool.ack(seqs[:1])
        await spool.flush()
    await spool.close()
    books = await read_books(path)
    assert (books.accepted, books.first_seq, books.last_seq) == (12, seqs[0], seqs[-1])
    assert dict(books.waiting) == {seqs[1]: 4, seqs[2]: 5}
    assert books.kept({seqs[1]}) == 5
    assert books.kept_batches({seqs[1]}) == 1


async def test_work_beside_a_block_ends_with_it() -> None:
    async with running(asyncio.sleep(3600), name="sleep") as task:
        pass
    assert task.cancelled()


async def test_work_that_fails_is_told() -> None:
    async def fail() -> None:
        raise TidegateError("no")

    with pytest.raises(TidegateError, match="no"):
        async with running(fail(), name="fail") as task:
            await until(task.done)


async def test_waiting_has_a_bound_and_says_what_for() -> None:
    with pytest.raises(TidegateError, match="no tide within 0 s"):
        await until_or_error(lambda: False, within_s=0.0, otherwise="no tide")


async def test_a_plant_that_does_not_start_is_told_with_its_log(tmp_path: Path) -> None:
    plant = PlantProcess(log=tmp_path / "plant.log", tags=-1, rate_hz=0.0)
    with pytest.raises(TidegateError, match="argument --tags"):
        await plant.__aenter__()


async def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import asyncio, pathlib, sys\n"
        "from gateway.demo import child\n"
        "async def main():\n"
        "    log = pathlib.Path(sys.argv[1])\n"
        "    process = await child.spawn([sys.executable, '-c', 'import time; time.sleep(600)'], log=log)\n"
        "    print(process.pid, flush=True)\n"
        "    await process.wait()\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path / "log"), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    async with asyncio.timeout(60):
        pid = int(await parent.stdout.readline())
    os.kill(pid, 0)
    parent.kill()
    await parent.wait()
    await until(lambda: is_gone(pid))


def is_gone(pid: int) -> bool:
    """No such process, or one that only waits for its new parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_a_child_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    process = await child.spawn([sys.executable, "-c", script], log=tmp_path / "log")
    await until(lambda: "up" in child.last_lines(tmp_path / "log"))
    assert await child.end(process, grace_s=0.1) == -signal.SIGKILL
    assert await child.end(process) == -signal.SIGKILL  # ended is ended


def test_machines_are_shown_by_their_good_values() -> None:
    ledger = Ledger()
    readings = [MessageReading("force", 1.0, 412.6, "good"), MessageReading("strokes", 1.0, None, "bad")]
    ledger.add(Message("g", "press", 1, 0, False, readings), arrived_ms=2.0)
    assert machines(ledger) == "press 413 kN"


@pytest.mark.parametrize("tags", [0, 3])
def test_the_configuration_of_the_plant_passes_the_check(tags: int, tmp_path: Path) -> None:
    file = tmp_path / "gateway.json"
    told = gateway_config(
        gateway_id="demo",
        database=str(tmp_path / "t.db"),
        opcua_url="opc.tcp://127.0.0.1:4840/plant",
        modbus_port=5020,
        broker_port=1883,
        tags=tags,
    )
    file.write_text(json.dumps(told))
    config = load(file)
    assert len(config.devices) == (5 if tags else 3)
    assert "inflow" in plan_text(config)


def test_the_timeline_fills_the_whole_time() -> None:
    assert sum(timeline(40.0)) == pytest.approx(40.0)


def test_the_summary_is_json_whatever_is_missing() -> None:
    report = Report(
        facts=Facts(accepted=3, received=2),
        duplicates=0,
        latency_ms=(math.nan, math.nan),
        counters=0,
        missed_while_dead=0,
        outage_s=0.0,
        drain_s=math.nan,
        seconds=1.0,
        broker="amqtt",
        filters={},
        log=(),
    )
    told = json.loads(json.dumps(summary(report), allow_nan=False))
    assert (told["ok"], told["produced"], told["received"], told["lost"]) == (False, 3, 2, 1)
    assert told["latency_ms"] == {"p50": None, "p99": None}
