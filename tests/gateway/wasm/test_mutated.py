"""Modules whose files were damaged, and pinned as they are: whatever they do, each reading goes on or is counted."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.batch import Batch, Kind, Reading
from gateway.metrics import Metrics
from gateway.wasm.chain import Chain
from gateway.wasm.host import Host
from gateway.wasm.library import built_in, resolve
from gateway.wasm.sections import MAX_WASM_BYTES, sections
from tests.gateway.wasm.guests import BATCH, KNOWN, bound
from tests.gateway.wasm.guests import built_in as sound

FILES = int(os.environ.get("TIDEGATE_MUTATED", "150"))
"""The long form is `make modules-long`."""
PARAMS = {
    "convert": {"from": "m", "to": "mm"},
    "downsample": {"interval_s": 1.0},
    "limit_alarm": {"above": 1.0},
    "swinging_door": {"deviation": 0.5},
    "window": {"length_s": 1.0},
}
BATCHES = [
    BATCH,
    Batch.of(Reading(n * 300_000_000, float(n % 7), 1 + n % 3, kind=Kind.F64) for n in range(200)),
    Batch.of(Reading(n * 300_000_000, n, 1 + n % 3, kind=Kind.U64) for n in range(200, 300)),
]


@pytest.fixture
def tight(tmp_path: Path) -> Iterator[Host]:
    with Host(cache_dir=None, memory_bytes=1 << 20, batch_ms=10, metrics=Metrics()) as host:
        yield host


def mutated(rng: random.Random, wasm: bytes) -> bytes:
    """The file with some damage that copying, disks and people do."""
    damaged = bytearray(wasm)
    parts = [section.raw for section in sections(wasm)]
    match rng.randrange(7):
        case 0:
            del damaged[rng.randrange(len(damaged)) :]
        case 1:
            at = rng.randrange(len(damaged))
            del damaged[at : at + rng.randint(1, 64)]
        case 2:
            at = rng.randrange(len(damaged))
            damaged[at:at] = rng.randbytes(rng.randint(1, 64))
        case 3:
            rng.shuffle(parts)
            return wasm[:8] + b"".join(parts)
        case 4:
            return wasm[:8] + b"".join([*parts, rng.choice(parts)])
        case _:
            # The code is most of it, and what is left valid in there is the worst: it runs.
            for _ in range(rng.randint(1, 4)):
                at = rng.randrange(8, len(damaged))
                damaged[at] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def total(metrics: Metrics, family: str) -> float:
    return metrics.snapshot().get(f"tidegate_readings_{family}_total", {}).get("mutated", 0.0)


def test_of_damaged_files_none_loses_a_reading_uncounted(tight: Host, tmp_path: Path) -> None:
    rng = random.Random(20_261_125)
    wholes = [(name, resolve(name, tmp_path).read_bytes()) for name in built_in()]
    neighbour = Chain(tight, [sound("scale", factor=2.0)], device="oven", known=KNOWN)
    at_work = 0
    for number in range(FILES):
        name, whole = wholes[number % len(wholes)]
        wasm = mutated(rng, whole)
        bad = bound(tmp_path / "mutated.wasm", wasm, params=PARAMS.get(name, {}))
        chain = Chain(tight, [bad], device="press", known=KNOWN)
        held = 0
        for turn, batch in enumerate(BATCHES):
            before = total(tight.metrics, "filtered"), total(tight.metrics, "derived")
            failures = chain.health(0)[0].failures
            out, aside = chain.apply(batch, 0)
            assert aside is None
            if chain.health(0)[0].failures > failures or chain.health(0)[0].state == "parked":
                assert out == batch, (number, turn)  # as it came
                continue
            left_out = total(tight.metrics, "filtered") - before[0]
            added = total(tight.metrics, "derived") - before[1]
            held += len(batch) + added - len(out)
            assert left_out >= 0
            assert held >= 0 or chain.health(0)[0].failures, (number, turn)
            assert {reading.point for reading in out} <= KNOWN
        chain.states()
        at_work += not chain.health(0)[0].failures
        chain.close()
        tight.forget()
        if number % 50 == 0:
            assert neighbour.apply(BATCH, 0).batch.values()[0] == 3.0
    assert 0 < at_work < FILES  # some are damaged where it does no harm, and not all
    neighbour.close()


def custom(body: bytes) -> bytes:
    size, leb = len(body) + 2, bytearray()
    while size >= 0x80:
        leb.append(size & 0x7F | 0x80)
        size >>= 7
    return b"\x00" + bytes([*leb, size]) + b"\x01x" + body


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (custom(bytes(4 << 20)), ""),  # useless, and allowed
        (custom(bytes(MAX_WASM_BYTES)), "larger than"),
        (custom(b"") * 1_001, "more than 1000 sections"),
        (b"\x00\xff\xff\xff\xff\x0f\x01x", "cut short"),
    ],
)
def test_huge_sections_are_bounded(extra: bytes, words: str, host: Host, tmp_path: Path) -> None:
    wasm = resolve("scale", tmp_path).read_bytes() + extra
    chain = Chain(host, [bound(tmp_path / "huge.wasm", wasm, params={"factor": 2.0})], device="d", known=KNOWN)
    out = chain.apply(BATCH, 0).batch
    health = chain.health(0)[0]
    if words:
        assert out == BATCH
        assert words in health.last_error
    else:
        assert out.values()[0] == 3.0
    chain.close()


def test_a_changed_file_is_named_with_both_digests(host: Host, tmp_path: Path) -> None:
    whole = resolve("scale", tmp_path).read_bytes()
    changed = whole[:-1] + bytes([whole[-1] ^ 1])
    pin = hashlib.sha256(whole).hexdigest()
    chain = Chain(host, [bound(tmp_path / "own.wasm", changed, sha256=pin)], device="d", known=KNOWN)
    assert chain.apply(BATCH, 0) == (BATCH, None)
    error = chain.health(0)[0].last_error
    assert pin in error
    assert hashlib.sha256(changed).hexdigest() in error
    unpinned = Chain(host, [bound(tmp_path / "own.wasm", changed, sha256=None)], device="d", known=KNOWN)
    assert unpinned.apply(BATCH, 0) == (BATCH, None)
    assert "no sha256 pins it" in unpinned.health(0)[0].last_error
    chain.close()
    unpinned.close()
