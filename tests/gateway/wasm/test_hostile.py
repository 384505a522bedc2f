"""Modules that do what they must not: the batch is never lost, and everything else goes on."""

import hashlib
from pathlib import Path

import msgspec
import pytest

from gateway.batch import Batch, Reading
from gateway.config.models import FilterSettings
from gateway.metrics import Metrics
from gateway.wasm.answer import weigh
from gateway.wasm.chain import Chain, build_chain
from gateway.wasm.failure import GuestFailure
from gateway.wasm.host import Host
from gateway.wasm.library import resolve
from gateway.wasm.plan import Tag
from tests.gateway.wasm.guests import (
    BATCH,
    IN_PLACE,
    KNOWN,
    LOOP_FOR_EVER,
    answer,
    bound,
    built_in,
    described,
    guest,
)

AT, COUNT = "(local.get $at)", "(local.get $count)"


def patched(store: str) -> str:
    """Code that changes the first record in place and answers with all of them."""
    return f"{store} {IN_PLACE}"


def _imported(what: str) -> str:
    return f'(import "wasi_snapshot_preview1" "fd_read" {what})'


PROC_EXIT = '(import "wasi_snapshot_preview1" "proc_exit" (func (param i32))) (memory (export "memory") 2)'
HOSTILE = {
    "endless loop": ("timeout", guest(LOOP_FOR_EVER)),
    "endless start function": ("timeout", guest(extra=f"(func $s {LOOP_FOR_EVER}) (start $s)")),
    "endless _initialize": ("timeout", guest(extra=f'(func (export "_initialize") {LOOP_FOR_EVER})')),
    "endless configure": ("timeout", guest(configure=LOOP_FOR_EVER)),
    "endless reserve": ("timeout", guest(reserve=LOOP_FOR_EVER)),
    "trap": ("trap", guest("(unreachable)")),
    "trap at start": ("trap", guest(extra="(func $s (unreachable)) (start $s)")),
    "division by zero": ("trap", guest("(i32.div_u (i32.const 1) (i32.const 0))")),
    "stack overflow": ("trap", guest(f"(call $process {AT} {COUNT} (local.get $heap))")),
    "read beyond memory": ("trap", guest("(i32.load (i32.const -8))")),
    "write beyond memory": ("trap", guest("(i32.store (i32.const 0x7ffffff0) (i32.const 1)) (i32.const 0)")),
    "table call out of bounds": (
        "trap",
        guest("(call_indirect (result i32) (i32.const 9))", extra="(table 1 funcref)"),
    ),
    "grows to 4 GiB": (
        "trap",
        guest(
            "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))"
            "(i32.store (i32.const 0x40000000) (i32.const 1)) (i32.const 0)"
        ),
    ),
    "declares 4 GiB": ("memory", guest(memory='(memory (export "memory") 65536)')),
    "declares a huge table": ("load", guest(extra="(table 100000000 funcref)")),
    "says it is out of memory": ("memory", guest("(i32.const -2)")),
    "no room": ("memory", guest(reserve="(i32.const 0)")),
    "room beyond memory": ("bad_output", guest(reserve="(i32.const 0x7ffffff8)")),
    "room half beyond memory": ("bad_output", guest(reserve="(i32.const 100000)")),
    "room not aligned": ("bad_output", guest(reserve="(i32.const 1028)")),
    "refuses its parameters": ("refused", guest(configure="(i32.const -3)")),
    "refuses a batch": ("refused", guest("(i32.const -77)")),
    "answer beyond memory": ("bad_output", guest("(i32.const 0x7ffffff0)")),
    "answer half beyond memory": ("bad_output", guest("(i32.const 131064)")),
    "records beyond memory": ("bad_output", guest(answer("(i32.const 0x7ffffff0)", COUNT))),
    "records at the end of 4 GiB": ("bad_output", guest(answer("(i32.const -24)", COUNT))),
    "too many records": ("bad_output", guest(answer(AT, "(i32.const -1)"))),
    "heap beyond memory": ("bad_output", guest(answer(AT, COUNT, "(i32.const 130000)", "(i32.const 5000)"))),
    "endless heap": ("bad_output", guest(answer(AT, COUNT, AT, "(i32.const -1)"))),
    "span beyond the heap": ("bad_output", guest(answer(AT, COUNT, AT, "(i32.const 1)"))),
    "kind 0": ("bad_output", guest(patched(f"(i32.store8 offset=22 {AT} (i32.const 0))"))),
    "kind 200": ("bad_output", guest(patched(f"(i32.store8 offset=22 {AT} (i32.const 200))"))),
    "another device's point": ("bad_output", guest(patched(f"(i32.store offset=16 {AT} (i32.const 99))"))),
    "bad reading with a value": ("bad_output", guest(patched(f"(i32.store16 offset=20 {AT} (i32.const 0x8000))"))),
    "another ABI": ("load", guest(abi="(i32.const 2)")),
    "imports": ("load", guest(memory='(import "env" "f" (func)) (memory (export "memory") 2)')),
    "wants files of WASI": (
        "load",
        guest(memory='(import "wasi_snapshot_preview1" "path_open" (func)) (memory (export "memory") 2)'),
    ),
    "a memory under the name of what is tolerated": (
        "load",
        guest(memory='(import "wasi_snapshot_preview1" "fd_read" (memory 2)) (export "memory" (memory 0))'),
    ),
    **{
        f"imports one name as {first} and as {second}": (
            "load",
            guest(memory=f'{_imported(first)} {_imported(second)} (memory (export "memory") 2)'),
        )
        for first, second in [
            ("(memory 2)", "(func)"),
            ("(global i32)", "(func)"),
            ("(func (param i32))", "(func (param i64))"),
            ("(func)", "(func)"),
        ]
    },
    "exits as it starts": (
        "trap",
        guest(memory=PROC_EXIT, extra="(func $s (call 0 (i32.const 1))) (start $s)"),
    ),
    "exits in a batch": ("trap", guest("(call 0 (i32.const 0)) (i32.const 0)", memory=PROC_EXIT)),
    "writes to standard output": (
        "trap",
        guest(
            "(call 0 (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 8))",
            memory='(import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32))) '
            '(memory (export "memory") 2)',
        ),
    ),
    "no memory": ("load", guest(memory="(memory 2)")),
    "no functions": ("load", '(module (memory (export "memory") 2))'),
    "function of another type": ("load", guest().replace("(param $count i32) (param $heap i32)", "(param $count i64)")),
    "_initialize with parameters": ("load", guest(extra='(func (export "_initialize") (param i32))')),
    "64-bit memory": ("load", guest(memory='(memory (export "memory") i64 2)')),
    "two memories": ("load", guest(extra="(memory 1)")),
}
# More readings than came in needs two rounds: the second record of a one-record batch is the module's own memory.
DOUBLED = guest(
    f"(memory.copy (i32.add {AT} (i32.const 24)) {AT} (i32.const 24)) {answer(AT, '(i32.const 2)')}",
)
FLOOD = guest(
    f"""(local $n i32)
    (loop $more
        (memory.copy (i32.add {AT} (i32.mul (local.get $n) (i32.const 24))) {AT} (i32.const 24))
        (i32.store8 offset=23 (i32.add {AT} (i32.mul (local.get $n) (i32.const 24))) (i32.const 4))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $more (i32.lt_u (local.get $n) (i32.const 2000))))
    {answer(AT, "(i32.const 2000)")}"""
)
HOSTILE["a flood of derived readings"] = ("bad_output", FLOOD)
HOSTILE["a flood of heap"] = ("bad_output", guest(answer(AT, COUNT, "(i32.const 0)", "(i32.const 131000)")))
LOG = '(import "tidegate" "log" (func $log (param i32 i32 i32))) (memory (export "memory") 2)'
HOSTILE["logs a text beyond its memory"] = (
    "trap",
    guest("(call $log (i32.const 1) (i32.const 131000) (i32.const 1000)) (i32.const 0)", memory=LOG),
)
HOSTILE["logs a text of 4 GiB"] = (
    "trap",
    guest("(call $log (i32.const 1) (i32.const -1) (i32.const -1)) (i32.const 0)", memory=LOG),
)
HOSTILE["wants the log in another shape"] = (
    "load",
    guest(memory='(import "tidegate" "log" (func (param i64))) (memory (export "memory") 2)'),
)
HOSTILE["tg_save of another type"] = ("load", guest(extra='(func (export "tg_save") (param i32))'))
HOSTILE["more readings than came in"] = ("bad_output", DOUBLED)


def failures(metrics: Metrics, name: str, cause: str) -> float:
    return metrics.snapshot().get("tidegate_filter_failures_total", {}).get(f"{name},{cause}", 0.0)


@pytest.mark.parametrize("policy", ["pass", "set_aside"])
@pytest.mark.parametrize("case", HOSTILE)
def test_no_batch_is_lost_and_others_go_on(case: str, policy: str, host: Host, tmp_path: Path) -> None:
    cause, wat = HOSTILE[case]
    batch = BATCH.slice(0, 1) if wat is DOUBLED else BATCH
    bad = bound(tmp_path / "bad.wasm", described(wat), on_failure=policy)
    chain = Chain(host, [bad, built_in("scale", factor=2.0)], device="press", known=KNOWN)
    neighbour = Chain(host, [built_in("scale", factor=2.0)], device="oven", known=KNOWN)

    applied = chain.apply(batch, 0)

    readings = list(applied.batch) + list(applied.set_aside or [])
    assert sorted(r.ts_ns for r in readings) == sorted(batch.ts_ns())
    if policy == "pass":
        assert applied.set_aside is None
        assert applied.batch == neighbour.apply(batch, 0).batch  # the filter after it did its work
    else:
        assert applied.set_aside is not None
        assert {r.point for r in applied.set_aside} <= {1, 2}
        assert list(applied.set_aside) == [r for r in batch if r.point in (1, 2)]  # as they came to the filter
        assert {r.point for r in applied.batch} <= {3}
    assert failures(host.metrics, "bad", cause) == 1
    health = chain.health(0)[0]
    assert health.state == "failing"
    assert "filter bad on device press" in health.last_error
    assert neighbour.apply(batch, 0).batch.values()[0] == 3.0
    chain.close()
    neighbour.close()


@pytest.mark.parametrize("keep", [0, 3, 8, 9, 40, -1])
def test_a_file_that_is_cut_short_fails_and_is_taken_up_when_it_is_whole_again(
    keep: int, host: Host, tmp_path: Path
) -> None:
    whole = resolve("scale", tmp_path).read_bytes()
    path = tmp_path / "mine.wasm"
    cut = bound(path, whole[:keep], sha256=hashlib.sha256(whole).hexdigest(), params={"factor": 2.0})
    chain = Chain(host, [cut], device="press", known=KNOWN)
    assert chain.apply(BATCH, 0).batch == BATCH
    assert failures(host.metrics, "mine", "load") == 1
    path.write_bytes(whole)
    assert chain.apply(BATCH, 0).batch.values()[0] == 3.0
    chain.close()


def test_growth_stops_at_the_limit(host: Host, tmp_path: Path) -> None:
    greedy = guest(
        f"(loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) {IN_PLACE}",
    )
    chain = Chain(host, [bound(tmp_path / "greedy.wasm", described(greedy))], device="press", known=KNOWN)
    assert chain.apply(BATCH, 0) == (BATCH, None)
    instance = chain._stages[0]._instance
    assert instance is not None
    assert instance.memory_bytes == host.memory_bytes
    chain.close()


def test_an_endless_loop_is_parked_and_costs_its_time_out_three_times_only(host: Host, tmp_path: Path) -> None:
    chain = Chain(host, [bound(tmp_path / "loop.wasm", described(guest(LOOP_FOR_EVER)))], device="d", known=KNOWN)
    for _ in range(50):
        assert chain.apply(BATCH, 1_000) == (BATCH, None)
    assert failures(host.metrics, "loop", "timeout") == 3
    assert failures(host.metrics, "loop", "parked") == 47
    health = chain.health(1_000)[0]
    assert (health.state, health.failures, health.parked_until_ns) == ("parked", 3, 1_000_001_000)
    assert "did not end its work within 100 ms" in health.last_error
    chain.apply(BATCH, 1_000_001_000)
    assert failures(host.metrics, "loop", "timeout") == 4
    assert chain.health(1_000_001_001)[0].parked_until_ns == 3_000_001_000
    chain.close()


def test_a_failed_instance_is_made_anew_without_its_state(host: Host, tmp_path: Path) -> None:
    counting = guest(
        "(i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))"
        "(if (i32.eq (i32.load (i32.const 8)) (i32.const 2)) (then (unreachable))) (i32.const 0)"
    )
    chain = Chain(host, [bound(tmp_path / "second.wasm", described(counting))], device="d", known=KNOWN)
    for _ in range(4):
        chain.apply(BATCH, 0)
    # One good, one trap, and the same again: a third count would have gone on.
    assert failures(host.metrics, "second", "trap") == 2
    chain.close()


def test_a_batch_beyond_the_memory_limit_passes(host: Host) -> None:
    big = Batch.of([Reading(1, 1.0, 1)] * 50_000)
    chain = Chain(host, [built_in("scale")], device="d", known=KNOWN)
    assert chain.apply(big, 0) == (big, None)
    assert failures(host.metrics, "scale", "memory") == 1
    assert chain.apply(BATCH, 0).batch.values()[0] == 1.5
    chain.close()


def test_a_file_that_was_refused_is_not_compiled_again(host: Host, tmp_path: Path, monkeypatch) -> None:
    compiled = []
    module = host._cache.module
    monkeypatch.setattr(host._cache, "module", lambda *given: compiled.append(1) or module(*given))
    path = tmp_path / "bad.wasm"
    bad = bound(path, described(guest(memory='(import "env" "f" (func)) (memory (export "memory") 2)')))
    chain = Chain(host, [bad], device="d", known=KNOWN)
    for turn in range(2):
        assert chain.apply(BATCH, 0) == (BATCH, None)
        assert failures(host.metrics, "bad", "load") == turn + 1
    assert chain.health(0)[0].last_error.count(str(path)) == 1
    assert compiled == [1]
    chain.close()


def test_a_flood_of_what_was_held_back_is_refused() -> None:
    record = BATCH.slice(0, 1)
    some, many = (Batch(record.records * count, b"") for count in (60_000, 70_000))
    assert weigh(record, some, KNOWN, held=10**9).filtered == 1 - 60_000
    with pytest.raises(GuestFailure, match="may let go 65536"):
        weigh(record, many, KNOWN, held=10**9)


WINDOW = FilterSettings(module="mine.wasm", params={"length_s": 1.0}, outputs={"mean": "mean"})


@pytest.mark.parametrize("before", [None, "validity"])
def test_a_file_that_was_not_there_at_the_start_makes_no_points_and_says_so(
    before: str | None, host: Host, tmp_path: Path
) -> None:
    whole = resolve("window", tmp_path).read_bytes()
    path = tmp_path / "mine.wasm"
    if before is not None:
        path.write_bytes(resolve(before, tmp_path).read_bytes())  # not the one that is pinned
    made: list[str] = []
    settings = msgspec.structs.replace(WINDOW, sha256=hashlib.sha256(whole).hexdigest())
    points = [(1, Tag("force")), (2, Tag("state")), (3, Tag("speed"))]
    chain = build_chain(
        host, [settings], device="d", points=points, base=tmp_path, intern=lambda tag, *_: made.append(tag) or 9
    )
    assert made == []
    path.write_bytes(whole)
    assert chain.apply(BATCH, 0) == (BATCH, None)
    assert "when the gateway starts anew" in chain.health(0)[0].last_error
    chain.close()
