"""What a module may ask of the host: a line in the log, and the time of the batch. And a state that it saves."""

import logging
from pathlib import Path

import pytest

from gateway.batch import Batch, Kind, Reading
from gateway.wasm.chain import Chain
from gateway.wasm.failure import GuestFailure
from gateway.wasm.host import Host
from gateway.wasm.hostcalls import MOST_LINES
from gateway.wasm.instance import Instance
from tests.gateway.wasm.guests import BATCH, IN_PLACE, KNOWN, bound, described, guest

LOG = '(import "tidegate" "log" (func $log (param i32 i32 i32)))'
TIME = '(import "tidegate" "batch_ns" (func $batch_ns (result i64)))'
MEMORY = '(memory (export "memory") 2)'


def test_a_module_writes_into_the_log_and_cannot_fill_it(host: Host, tmp_path: Path, caplog) -> None:
    text = '(data (i32.const 64) "level is high\\0a{}")'
    many = """(local $n i32) (loop $again
        (call $log (i32.const 2) (i32.const 64) (i32.const 16))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $n) (i32.const 1000)))) (i32.const 0)"""
    wasm = described(guest(many, memory=f"{LOG} {MEMORY}", extra=text))
    chain = Chain(host, [bound(tmp_path / "talks.wasm", wasm)], device="press", known=KNOWN)
    with caplog.at_level(logging.WARNING):
        assert chain.apply(BATCH, 0) == (BATCH, None)
    assert [record.message for record in caplog.records] == [
        "filter talks on device press says: level is high {}"
    ] * MOST_LINES
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    chain.close()


def test_a_module_is_told_when_the_batch_came(host: Host, tmp_path: Path) -> None:
    stamps = f"(i64.store (local.get $at) (call $batch_ns)) {IN_PLACE}"
    wasm = described(guest(stamps, memory=f"{TIME} {MEMORY}"))
    chain = Chain(host, [bound(tmp_path / "stamps.wasm", wasm)], device="press", known=KNOWN)
    for now_ns in (5, 1_800_000_000_000_000_000):
        assert chain.apply(BATCH, now_ns).batch.ts_ns()[0] == now_ns
    chain.close()


def reading(value: int) -> Batch:
    return Batch.of([Reading(value, value, 2, kind=Kind.U64)])


def test_a_state_goes_from_one_instance_to_the_next(host: Host) -> None:
    loaded = host.load("total", Path())
    values, outputs = [(0.0, 0.0, 1.0, 0.0)] * 2, [[7, 8]]
    first = Instance(host, loaded, [1, 2], values, outputs=outputs)
    first.process(reading(100))
    assert first.process(reading(130)).values() == [30.0]
    state = first.save()
    first.close()
    # A point that is gone, one that is new, and another order are no matter.
    second = Instance(host, loaded, [3, 2], values, outputs=outputs)
    second.load(state)
    assert second.process(reading(135)).values() == [35.0]
    second.close()


@pytest.mark.parametrize("state", [b"x", b"x" * 24, bytes(1 << 20)])
def test_a_state_that_is_none_is_refused(host: Host, state: bytes) -> None:
    instance = Instance(host, host.load("total", Path()), [1], [(0.0, 0.0, 1.0, 0.0)])
    with pytest.raises(GuestFailure):
        instance.load(state)
    instance.close()


def test_a_state_outside_of_memory_is_no_state(host: Host) -> None:
    saves = guest(
        extra='(func (export "tg_save") (result i32) (i32.store (i32.const 8) (i32.const -8))'
        "(i32.store (i32.const 12) (i32.const 16)) (i32.const 8))"
    )
    instance = Instance(host, host.load_bytes(described(saves), Path("saves.wasm")), [1], [()])
    with pytest.raises(GuestFailure, match="not in its memory"):
        instance.save()
    assert instance.process(BATCH) == BATCH
    instance.close()
