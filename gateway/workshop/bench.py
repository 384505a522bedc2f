"""How fast modules start, and what a chain of them costs, on this machine."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from gateway.batch import Batch, Kind, Reading
from gateway.config.models import FilterSettings
from gateway.wasm.library import resolve
from gateway.wasm.manifest import KINDS, Manifest, read_manifest
from gateway.workshop.cases import Case
from gateway.workshop.shown import some_params
from gateway.workshop.trial import Rig, settings_of, trial_host

__all__ = ["Measured", "bench", "bench_text"]

_WARM_UP: Final = 10
_VALUES: Final[dict[Kind, float | str | bytes | bool]] = {Kind.BOOL: True, Kind.STR: "text", Kind.BYTES: b"bytes"}


class Measured(NamedTuple):
    """What a bench found.

    Processor time is told beside wall time: on a machine that does other work the slowest wall times tell of that work.

    Attributes:
        starts_cpu_ms: the processor time of the same starts.
        starts_ms: for each module its cold starts, from its name to its first answer, compiled modules cached.
        batches_us: for each batch the whole chain.
        readings: readings in a batch.
    """

    starts_ms: dict[str, list[float]]
    starts_cpu_ms: dict[str, list[float]]
    batches_us: list[float]
    readings: int


def bench(modules: Sequence[str], *, readings: int, rounds: int) -> Measured:
    """Measures. Parameters are the defaults, and something that fits where there are none.

    Args:
        modules: the chain, built-in names or paths.
        readings: readings in a batch, each of a tag of its own.
        rounds: batches, and starts of each module.

    Raises:
        ModuleError: a module cannot be used.
    """
    filters = [_settings(module) for module in modules]
    first = read_manifest(resolve(modules[0], Path()))
    tags = [f"tag{number}" for number in range(readings)]
    # Points are numbered from 1 on in each rig. As batches, not as objects: a collector at work would be measured too.
    batches = [_batch(readings, first, cycle) for cycle in range(rounds)]
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        starts = {
            module: _starts_ms(Path(folder), one, tags, batches[0], rounds)
            for module, one in zip(modules, filters, strict=True)
        }
        with trial_host(Path(folder)) as host, Rig(host, filters, tags) as rig:
            batches_us = []
            for batch in batches:
                began_ns = time.perf_counter_ns()
                rig.chain.apply(batch, 0)
                batches_us.append((time.perf_counter_ns() - began_ns) / 1e3)
            rig.raise_failure()
    wall = {module: [ms for ms, _ in took] for module, took in starts.items()}
    processor = {module: [ms for _, ms in took] for module, took in starts.items()}
    return Measured(wall, processor, batches_us, readings)


def bench_text(found: Measured) -> str:
    """A table of it."""
    lines = [f"{'':<40}{'p50':>10}{'p99':>10}"]
    for module, starts_ms in found.starts_ms.items():
        for what, told in (("", starts_ms), ("processor ", found.starts_cpu_ms[module])):
            lines.append(f"{f'{Path(module).stem}: cold start, {what}ms':<40}{_p50(told):>10.3f}{_p99(told):>10.3f}")
    batch_us = found.batches_us
    lines.append(f"{f'{found.readings} readings, us':<40}{_p50(batch_us):>10.1f}{_p99(batch_us):>10.1f}")
    each = [us / found.readings for us in batch_us]
    lines.append(f"{'one reading, us':<40}{_p50(each):>10.3f}{_p99(each):>10.3f}")
    return "\n".join(lines)


def _settings(module: str) -> FilterSettings:
    manifest = read_manifest(resolve(module, Path()))
    outputs = None
    if manifest.outputs and all(output.optional for output in manifest.outputs):
        outputs = {manifest.outputs[0].name: manifest.outputs[0].name}
    return settings_of(module, Case([], dict(some_params(manifest)), outputs))


def _batch(readings: int, manifest: Manifest, cycle: int) -> Batch:
    """A batch of what the first module works on; every second tag moves from batch to batch."""
    kind = Kind.F64 if "f64" in manifest.accepts else KINDS[manifest.accepts[0]]
    found = []
    for place in range(readings):
        moving = place % 50 + (cycle % 7) * 20 * (place % 2)
        value = _VALUES.get(kind, float(moving) if kind == Kind.F64 else moving)
        found.append(Reading((cycle + 1) * 1_000_000_000, value, place + 1, 0, kind))
    return Batch.of(found)


def _starts_ms(
    cache_dir: Path, settings: FilterSettings, tags: Sequence[str], batch: Batch, rounds: int
) -> list[tuple[float, float]]:
    """Wall time and processor time of each start."""
    took = []
    with trial_host(cache_dir) as host:
        for _ in range(_WARM_UP + rounds):
            host.forget()
            with Rig(host, [settings], tags, start=False) as rig:
                began_ns, began_cpu_ns = time.perf_counter_ns(), time.thread_time_ns()
                rig.chain.apply(batch, 0)
                wall_ns, cpu_ns = time.perf_counter_ns() - began_ns, time.thread_time_ns() - began_cpu_ns
                took.append((wall_ns / 1e6, cpu_ns / 1e6))
                rig.raise_failure()
    return took[_WARM_UP:]


def _p50(values: Sequence[float]) -> float:
    return statistics.median(values)


def _p99(values: Sequence[float]) -> float:
    return sorted(values)[-1 - len(values) // 100]
