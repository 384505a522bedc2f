"""One measured run: a PLC, a broker, a listener and the gateway, each a process of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.demo import child
from gateway.demo.broker import Broker
from tests.bench.disk import folder as bench_folder
from tests.bench.load.judge import Usage, pin, usage

__all__ = ["GATEWAY_CORE", "OTHER_CORE", "Load", "Measured", "floor", "measure", "publisher_floor"]

GATEWAY_CORE: Final = 0
OTHER_CORE: Final = 1
DEVICE: Final = "plc"
READY_S: Final = 120.0
_DECODED_A_SECOND: Final = 20_000
_QUIET_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """What is offered.

    Attributes:
        protocol: `opcua` or `modbus`.
        tags: of all devices together.
        devices: the tags are shared among so many; OPC UA has one.
        interval_s: each tag gives one reading in each.
        warm_s: time before the measurement.
        seconds: time of the measurement.
    """

    protocol: str
    tags: int
    devices: int = 1
    interval_s: float = 0.1
    warm_s: float = 5.0
    seconds: float = 20.0

    @property
    def readings_s(self) -> float:
        """Readings offered each second."""
        return self.tags / self.interval_s

    @property
    def name(self) -> str:
        """In tables."""
        return f"{self.protocol}, {self.tags} tags at {self.interval_s:g} s = {self.readings_s:,.0f}/s"


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of it. Latencies in ms, from the source's clock to the subscriber.

    Attributes:
        delivered_s: readings the subscriber got a second.
        lost: readings that the PLC gave out from first to last, and that the subscriber never got.
        cpu_us: CPU of the gateway a reading delivered.
        core_percent: of one core that the gateway used.
        pss_bytes: at its peak.
        growth_bytes: of PSS from the first to the last second.
        written: bytes sent to the disk a reading.
        start_s: from the start of the process to its first message.
    """

    delivered_s: float
    lost: int
    cpu_us: float
    core_percent: float
    pss_bytes: int
    growth_bytes: int
    written: float
    start_s: float
    readings_a_message: float
    p50_ms: float
    p99_ms: float
    p99_9_ms: float
    worst_ms: float


class Talker:
    """A process that prints JSON lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def line(self) -> dict[str, Any]:
        """Its next line."""
        assert self._process.stdout is not None
        async with asyncio.timeout(READY_S):
            text = await self._process.stdout.readline()
        if not text:
            raise RuntimeError(f"process {self.pid} ended before it said what was waited for; see its log")
        said: dict[str, Any] = json.loads(text)
        return said

    async def ask(self, word: str) -> dict[str, Any]:
        """The line that answers a word."""
        assert self._process.stdin is not None
        self._process.stdin.write(word.encode() + b"\n")
        await self._process.stdin.drain()
        return await self.line()

    def terminate(self) -> None:
        """Asks it to end."""
        self._process.terminate()


@asynccontextmanager
async def talker(module: str, *arguments: str, folder: Path, core: int = OTHER_CORE) -> AsyncIterator[Talker]:
    """One of our modules as a process, ended with the block."""
    log = folder / f"{module.rpartition('.')[2]}.log"
    process = await child.spawn(child.python_command(module, *arguments), log=log, pipes=True)
    try:
        pin(process.pid, core)
        yield Talker(process)
    finally:
        await child.end(process)


def _devices(load: Load, said: Mapping[str, Any]) -> list[dict[str, Any]]:
    if load.protocol == "opcua":
        return [
            {
                "name": DEVICE,
                "type": "opcua",
                "url": f"opc.tcp://127.0.0.1:{said['port']}/load",
                "publishing_interval_ms": round(load.interval_s * 1000),
                "tags": [
                    {"name": f"T{number:06}", "node": f"ns={said['namespace']};s=T{number}"}
                    for number in range(load.tags)
                ],
            }
        ]
    each = load.tags // load.devices
    return [
        {
            "name": f"{DEVICE}-{number}",
            "type": "modbus",
            "host": "127.0.0.1",
            "port": said["port"],
            "unit_id": number + 1,
            "interval_s": load.interval_s,
            "tags": [{"name": f"T{tag:05}", "address": 2 * tag, "type": "uint32"} for tag in range(each)],
        }
        for number in range(load.devices)
    ]


def _config(load: Load, said: Mapping[str, Any], broker: Broker, folder: Path) -> Path:
    file = folder / "tidegate.json"
    config = {
        "gateway": {"id": "bench"},
        "database": {"path": str(folder / "tidegate.db")},
        "uplink": {"host": broker.host, "port": broker.port},
        "log": {"level": "warning"},
        "filters": [{"module": "scale", "params": {"factor": 1}}],
        "devices": _devices(load, said),
    }
    file.write_text(json.dumps(config))
    return file


async def _sample(pid: int, seconds: float) -> tuple[list[int], Usage, float]:
    """PSS each second, what was used meanwhile, and how long it was."""
    sizes = [usage(pid).pss_bytes]
    first, began_s = usage(pid), time.monotonic()
    while (left_s := began_s + seconds - time.monotonic()) > 0:
        await asyncio.sleep(min(1.0, left_s))
        sizes.append(usage(pid).pss_bytes)
    return sizes, usage(pid) - first, time.monotonic() - began_s


async def measure(load: Load) -> Measured:
    """Runs the gateway under this load."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(bench_folder())
        plc, said = await _plc(stack, load, folder)
        broker = await stack.enter_async_context(Broker(folder=folder / "broker", kind="mosquitto"))
        pin(broker.pid, OTHER_CORE)
        every = max(1, round(load.readings_s / _DECODED_A_SECOND))  # it shares a core with the PLC and the broker
        arguments = ["--port", str(broker.port), "--every", str(every)]
        arguments += ["--clock"] if load.protocol == "modbus" else []
        listener = await stack.enter_async_context(talker("tests.bench.load.listener", *arguments, folder=folder))
        await listener.line()
        file = _config(load, said, broker, folder)
        command = [str(Path(sys.executable).with_name("tidegate")), "run", str(file)]
        # A first start compiles the modules; a box in the field starts with its cache.
        subprocess.run([command[0], "check", str(file)], check=True, capture_output=True)
        started_ns = time.time_ns()
        gateway = await child.spawn(command, log=folder / "gateway.log")
        stack.push_async_callback(child.end, gateway)
        pin(gateway.pid, GATEWAY_CORE)
        await asyncio.sleep(load.warm_s)
        waited_s = 0.0
        first_ns = 0
        while not first_ns:
            first_ns = (await listener.ask("mark"))["first_ns"]
            await asyncio.sleep(0.5)
            waited_s += 0.5
            if waited_s > READY_S or gateway.returncode is not None:
                raise RuntimeError(f"no message came: {child.last_lines(folder / 'gateway.log')}")
        await asyncio.sleep(load.warm_s)
        await listener.ask("mark")
        sizes, used, seconds = await _sample(gateway.pid, load.seconds)
        heard = await listener.ask("mark")
        plc.terminate()
        sent = (await plc.line())["sent"]
        while (late := await listener.ask("mark"))["readings"]:
            await asyncio.sleep(_QUIET_S)
        return Measured(
            delivered_s=heard["readings"] / seconds,
            lost=sent - late["good_ever"],
            cpu_us=used.cpu_s * 1e6 / max(1, heard["readings"]),
            core_percent=100 * used.cpu_s / seconds,
            pss_bytes=max(sizes),
            growth_bytes=sizes[-1] - sizes[0],
            written=used.written_bytes / max(1, heard["readings"]),
            start_s=(first_ns - started_ns) / 1e9,
            readings_a_message=heard["readings"] / max(1, heard["messages"]),
            p50_ms=heard["p50"] or 0.0,
            p99_ms=heard["p99"] or 0.0,
            p99_9_ms=heard["p99.9"] or 0.0,
            worst_ms=heard["p100"] or 0.0,
        )


async def floor(load: Load) -> float:
    """CPU in us a reading of a bare subscriber or poller of the same PLC, that does nothing with what it gets."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(bench_folder())
        _, said = await _plc(stack, load, folder)
        return await _floor(load.protocol, said["port"], load, folder)


async def publisher_floor(load: Load) -> float:
    """CPU in us a reading of a bare publisher of payloads that are ready."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(bench_folder())
        broker = await stack.enter_async_context(Broker(folder=folder / "broker", kind="mosquitto"))
        pin(broker.pid, OTHER_CORE)
        return await _floor("mqtt", broker.port, load, folder)


async def _floor(library: str, port: int, load: Load, folder: Path) -> float:
    arguments = [library, f"--port={port}", f"--tags={load.tags // load.devices}", f"--interval={load.interval_s}"]
    arguments.append(f"--seconds={load.seconds / 2}")
    async with talker("tests.bench.load.floors", *arguments, folder=folder, core=GATEWAY_CORE) as library_alone:
        cpu_us: float = (await library_alone.line())["cpu_us"]
        return cpu_us


async def _plc(stack: AsyncExitStack, load: Load, folder: Path) -> tuple[Talker, dict[str, Any]]:
    arguments = ["--tags", str(load.tags)] if load.protocol == "opcua" else []
    plc = await stack.enter_async_context(talker(f"tests.bench.load.{load.protocol}_plc", *arguments, folder=folder))
    return plc, await plc.line()
