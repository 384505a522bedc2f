"""The stream that a module reads and writes as a WASI command (modules/README.md), and some to try every module on."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.batch import RECORD_BYTES, Batch, Flag, Kind, Reading, Value
from gateway.metrics import Metrics
from gateway.wasm.host import Host
from gateway.wasm.instance import Instance, pack_table
from gateway.wasm.library import built_in, resolve
from gateway.wasm.manifest import Manifest, read_manifest, resolve_params
from tests.modules import HERE

__all__ = ["HEAD", "MAGIC", "SCENES", "Scene", "by_the_gateway", "frames", "read_frames"]

MAGIC: Final = b"TGS1"
HEAD: Final = struct.Struct("<4sIII")
FRAME: Final = struct.Struct("<II")
MINE: Final = (3, 70_000, 4_294_967_295)
OTHERS: Final = (1, 2)


@dataclass(frozen=True)
class Scene:
    """A module at work: its parameters, and the batches it is given."""

    module: str
    params: dict[str, Any]
    batches: Sequence[Batch]

    @property
    def stdin(self) -> bytes:
        """What the command is given."""
        values, outputs = self.values, self.outputs
        head = HEAD.pack(MAGIC, len(MINE), len(values), len(outputs))
        return head + pack_table(MINE, [values] * len(MINE), outputs) + frames(self.batches)

    @property
    def values(self) -> tuple[float, ...]:
        """The parameters as the module is given them."""
        return resolve_params(self.manifest, self.params)

    @property
    def outputs(self) -> list[list[int]]:
        """For each output the points that are made of `MINE`; nobody wants the one of the second."""
        count = len(self.manifest.outputs)
        return [[0 if row == 1 else 1_000 * (row + 1) + place for row in range(len(MINE))] for place in range(count)]

    @property
    def manifest(self) -> Manifest:
        """What the module says of itself."""
        return read_manifest(resolve(self.module, HERE))


def frames(batches: Iterable[Batch]) -> bytes:
    """Batches as they travel."""
    return b"".join(FRAME.pack(len(batch), len(batch.heap)) + batch.records + batch.heap for batch in batches)


def read_frames(stream: bytes) -> Iterator[Batch]:
    """What a command wrote."""
    at = 0
    while at < len(stream):
        count, heap_bytes = FRAME.unpack_from(stream, at)
        at += FRAME.size
        end = at + count * RECORD_BYTES
        yield Batch(stream[at:end], stream[end : end + heap_bytes]).check()
        at = end + heap_bytes


def by_the_gateway(scene: Scene) -> bytes:
    """What the gateway's own host makes of a scene, as a command would write it."""
    with Host(cache_dir=None, memory_bytes=16 << 20, batch_ms=10_000, metrics=Metrics()) as host:
        instance = Instance(
            host, host.load(scene.module, HERE), MINE, [scene.values] * len(MINE), outputs=scene.outputs
        )
        try:
            return frames([instance.process(batch) for batch in scene.batches])
        finally:
            instance.close()


def _reading(rng: random.Random, ts_ns: int) -> Reading:
    point = rng.choice(MINE + OTHERS)
    if rng.random() < 0.1:
        return Reading(ts_ns, None, point, rng.choice([0x8000, 0x8005]))
    kind = rng.choice([Kind.F64, Kind.F64, Kind.F64, Kind.I64, Kind.U64, Kind.BOOL, Kind.STR, Kind.BYTES])
    values: dict[Kind, Value] = {
        Kind.F64: rng.choice([rng.gauss(20, 1), float("inf"), float("nan"), 5e-324, -0.0]),
        Kind.I64: rng.choice([rng.randint(-5, 5), -(2**63), 2**53 + 1]),
        Kind.U64: rng.choice([rng.randint(0, 5), 2**64 - 1]),
        Kind.BOOL: rng.random() < 0.5,
        Kind.STR: rng.choice(["", "läuft", "停止"]),
        Kind.BYTES: rng.randbytes(rng.randint(0, 5)),
    }
    flags = rng.choice([0, 0, 0, int(Flag.LOST_BEFORE)])
    return Reading(ts_ns, values[kind], point, rng.choice([0, 0, 0x4000]), kind, flags)


def _batches(seed: int) -> list[Batch]:
    rng = random.Random(seed)
    sizes = [1, 0, 7, 1_000, 3, 5_000, 20]
    start = 1_800_000_000_000_000_000
    return [
        Batch.of([_reading(rng, start + (turn * 10_000 + n) * 1_000_000) for n in range(size)])
        for turn, size in enumerate(sizes)
    ]


_PARAMS: Final[dict[str, dict[str, Any]]] = {
    "scale": {"factor": 0.1, "offset": -273.15},
    "deadband": {"absolute": 0.5, "percent": 1.0, "span": 80.0, "max_silence_s": 2.0},
    "convert": {"from": "degF", "to": "degC"},
    "clamp": {"low": 0.0, "high": 21.0},
    "swinging_door": {"deviation": 1.0, "max_silence_s": 5.0},
    "downsample": {"interval_s": 0.05, "method": "mean"},
    "window": {"length_s": 0.5},
    "limit_alarm": {"above": 20.0, "hysteresis": 0.5},
    "total": {"modulus": 6},
    "validity": {"low": 0.0, "high": 30.0, "stuck_s": 1.0, "hold_off_s": 0.05},
}
SCENES: Final = [Scene(name, _PARAMS.get(name, {}), _batches(seed)) for name in built_in() for seed in (1, 2)]
"""Two for each module that ships. One that must be given parameters says so here, else its test fails."""
