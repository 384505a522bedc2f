"""How fast a filter starts from the cache of compiled modules, and what filters cost per reading.

A cold start is everything between a filter's name and the first batch's answer, on a running engine: read the module
and its manifest, look it up in the cache, verify and load the machine code, make an instance, configure 1,000 points,
and process a batch of 1,000 readings. Making the host itself (engine, watchdog, opening the cache's folder), which a
gateway does once, and compiling, which the cache saves, stand beside it. CPU time is shown too: on a machine that does
other work, the slowest wall times tell of that work.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from gateway.batch import Batch, Reading
from gateway.config.models import FilterSettings
from gateway.metrics import Metrics
from gateway.wasm.chain import Chain, bind
from gateway.wasm.host import Host
from gateway.wasm.plan import Tag

__all__ = ["main", "run"]

READINGS = 1_000
STARTS = 300
COMPILES = 20
ROUNDS = 400
WARM_UP = 20

SCALE = FilterSettings(module="scale", params={"factor": 0.1, "offset": -40.0})
DEADBAND = FilterSettings(module="deadband", params={"absolute": 0.5})
POINTS = [(number, Tag(f"tag{number}")) for number in range(1, READINGS + 1)]
KNOWN = frozenset(number for number, _ in POINTS)


def run() -> dict[str, float]:
    """Measures and prints a table; milliseconds and microseconds as the names say."""
    results: dict[str, float] = {}
    batches = [_batch(cycle) for cycle in range(ROUNDS)]
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        for name, setting in (("scale", SCALE), ("deadband", DEADBAND)):
            starts = _starts_ms(Path(folder), setting, batches[0], STARTS)
            for clock, starts_ms in zip(("", "CPU "), zip(*starts, strict=True), strict=True):
                results[f"{name} cold start {clock}p50 ms"] = statistics.median(starts_ms)
                results[f"{name} cold start {clock}p99 ms"] = statistics.quantiles(starts_ms, n=100)[98]
            compiles_ms = [wall_ms for wall_ms, _ in _starts_ms(None, setting, batches[0], COMPILES)]
            results[f"{name} start with compiling p50 ms"] = statistics.median(compiles_ms)
        for name, settings in (("scale", [SCALE]), ("deadband", [DEADBAND]), ("scale + deadband", [SCALE, DEADBAND])):
            with _host(Path(folder)) as host:
                batch_us = _batch_us(_chain(host, settings), batches)
            results[f"{name} us per batch of {READINGS}"] = batch_us
            results[f"{name} us per reading"] = batch_us / READINGS
        results["host p50 ms"] = statistics.median(_host_ms(Path(folder)) for _ in range(COMPILES))
    for name, value in results.items():
        print(f"{name:<44}{value:>10.3f}")
    return results


def main() -> None:
    """For a run by itself."""
    run()


def _host(cache_dir: Path | None) -> Host:
    return Host(cache_dir=cache_dir, memory_bytes=16 << 20, batch_ms=50, metrics=Metrics())


def _chain(host: Host, settings: list[FilterSettings]) -> Chain:
    filters = bind(settings, device="bench", points=POINTS, base=Path())
    return Chain(host, filters, device="bench", known=KNOWN)


def _host_ms(cache_dir: Path) -> float:
    began = time.perf_counter_ns()
    host = _host(cache_dir)
    took = time.perf_counter_ns() - began
    host.close()
    return took / 1e6


def _starts_ms(cache_dir: Path | None, setting: FilterSettings, batch: Batch, times: int) -> list[tuple[float, float]]:
    """Wall time and CPU time of each start."""
    took = []
    with _host(cache_dir) as host:
        for _ in range(WARM_UP + times):
            host.forget()  # what was loaded before must come from the disk again
            chain = _chain(host, [setting])  # nothing is read or loaded before the first batch
            began, began_cpu = time.perf_counter_ns(), time.thread_time_ns()
            applied = chain.apply(batch, 0)
            took.append(((time.perf_counter_ns() - began) / 1e6, (time.thread_time_ns() - began_cpu) / 1e6))
            assert len(applied.batch) == READINGS, chain.health(0)
            chain.close()
    return took[WARM_UP:]


def _batch_us(chain: Chain, batches: list[Batch]) -> float:
    took_us = []
    for batch in batches:
        began = time.perf_counter_ns()
        chain.apply(batch, 0)
        took_us.append((time.perf_counter_ns() - began) / 1e3)
    assert {health.state for health in chain.health(0)} == {"working"}, chain.health(0)
    chain.close()
    return statistics.median(took_us)


def _batch(cycle: int) -> Batch:
    """Every second point moves from cycle to cycle, so the deadband drops about half."""
    return Batch.of(
        Reading((1_000_000 * cycle + 1) * 1_000, float(number % 50 + (cycle % 7) * 20 * (number % 2)), number)
        for number, _ in POINTS
    )


if __name__ == "__main__":
    main()
