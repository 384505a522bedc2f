"""How fast modules start, and what a chain of them costs, on this machine."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from gateway.batch import Kind, Reading
from gateway.config.models import FilterSettings
from gateway.wasm.library import resolve
from gateway.wasm.manifest import KINDS, Manifest, read_manifest
from gateway.workshop.cases import Case, Row
from gateway.workshop.shown import some_params
from gateway.workshop.trial import Rig, settings_of, trial_host

__all__ = ["Measured", "bench", "bench_text"]

_WARM_UP: Final = 10
_VALUES: Final[dict[Kind, float | str | bytes | bool]] = {Kind.BOOL: True, Kind.STR: "text", Kind.BYTES: b"bytes"}


class Measured(NamedTuple):
    """What a bench found.

    Attributes:
        starts_ms: for each module its cold starts, from its name to its first answer, compiled modules cached.
        batches_us: for each batch the whole chain.
        readings: readings in a batch.
    """

    starts_ms: dict[str, list[float]]
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
    manifests = [read_manifest(resolve(module, Path())) for module in modules]
    tags = [f"tag{number}" for number in range(readings)]
    batches = [_rows(tags, manifests[0], cycle) for cycle in range(rounds)]
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        starts_ms = {
            module: _starts_ms(Path(folder), one, tags, batches[0], rounds)
            for module, one in zip(modules, filters, strict=True)
        }
        with trial_host(Path(folder)) as host, Rig(host, filters, tags) as rig:
            prepared = [rig.batch(rows) for rows in batches]
            batches_us = []
            for batch in prepared:
                began_ns = time.perf_counter_ns()
                rig.chain.apply(batch, 0)
                batches_us.append((time.perf_counter_ns() - began_ns) / 1e3)
            rig.raise_failure()
    return Measured(starts_ms, batches_us, readings)


def bench_text(found: Measured) -> str:
    """A table of it."""
    lines = [f"{'':<28}{'p50':>10}{'p99':>10}"]
    for module, starts_ms in found.starts_ms.items():
        lines.append(f"{f'{Path(module).stem}: cold start, ms':<28}{_p50(starts_ms):>10.3f}{_p99(starts_ms):>10.3f}")
    batch_us = found.batches_us
    lines.append(f"{f'{found.readings} readings, us':<28}{_p50(batch_us):>10.1f}{_p99(batch_us):>10.1f}")
    each = [us / found.readings for us in batch_us]
    lines.append(f"{'one reading, us':<28}{_p50(each):>10.3f}{_p99(each):>10.3f}")
    return "\n".join(lines)


def _settings(module: str) -> FilterSettings:
    manifest = read_manifest(resolve(module, Path()))
    outputs = None
    if manifest.outputs and all(output.optional for output in manifest.outputs):
        outputs = {manifest.outputs[0].name: manifest.outputs[0].name}
    return settings_of(module, Case([], dict(some_params(manifest)), outputs))


def _rows(tags: Sequence[str], manifest: Manifest, cycle: int) -> list[Row]:
    """A batch of what the first module works on; every second tag moves from batch to batch."""
    kind = Kind.F64 if "f64" in manifest.accepts else KINDS[manifest.accepts[0]]
    rows = []
    for place, tag in enumerate(tags):
        moving = place % 50 + (cycle % 7) * 20 * (place % 2)
        value = _VALUES.get(kind, float(moving) if kind == Kind.F64 else moving)
        rows.append(Row(tag, Reading((cycle + 1) * 1_000_000_000, value, 0, 0, kind)))
    return rows


def _starts_ms(
    cache_dir: Path, settings: FilterSettings, tags: Sequence[str], rows: Sequence[Row], rounds: int
) -> list[float]:
    took = []
    with trial_host(cache_dir) as host:
        for _ in range(_WARM_UP + rounds):
            host.forget()
            with Rig(host, [settings], tags, start=False) as rig:
                batch = rig.batch(rows)
                began_ns = time.perf_counter_ns()
                rig.chain.apply(batch, 0)
                took.append((time.perf_counter_ns() - began_ns) / 1e6)
                rig.raise_failure()
    return took[_WARM_UP:]


def _p50(values: Sequence[float]) -> float:
    return statistics.median(values)


def _p99(values: Sequence[float]) -> float:
    return sorted(values)[-1 - len(values) // 100]
