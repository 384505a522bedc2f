"""Small modules written by hand, most of them hostile, and batches to try them on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from wasmtime import wat2wasm

from gateway.batch import Batch, Flag, Kind, Reading
from gateway.wasm.manifest import SECTION
from gateway.wasm.sections import with_custom_section
from gateway.wasm.stage import BoundFilter

DEVICE_POINTS = (1, 2, 3)
KNOWN = frozenset(DEVICE_POINTS)

BATCH = Batch.of(
    [
        Reading(1_000, 1.5, 1),
        Reading(2_000, "on", 2, kind=Kind.STR),
        Reading(3_000, None, 3, status=0x8005),
        Reading(4_000, -7, 1, kind=Kind.I64, flags=Flag.LOST_BEFORE),
    ]
)

LOOP_FOR_EVER = "(loop $again (br $again)) (unreachable)"


def manifest(**changes: Any) -> dict[str, Any]:
    return {"name": "guest", "version": "1.0.0", "abi": 1, **changes}


def described(wat: str, **changes: Any) -> bytes:
    """A module in text form, with a manifest."""
    return with_custom_section(bytes(wat2wasm(wat)), SECTION, json.dumps(manifest(**changes)).encode())


def guest(
    process: str = "(i32.const 0)",
    *,
    abi: str = "(i32.const 1)",
    reserve: str = "(i32.const 1024)",
    configure: str = "(i32.const 0)",
    memory: str = '(memory (export "memory") 2)',
    extra: str = "",
) -> str:
    """A module that keeps ABI 1 but for what a test replaces. Its input block stands at address 1024."""
    return f"""(module {memory}
        (func (export "tg_abi") (result i32) {abi})
        (func (export "tg_reserve") (param $bytes i32) (result i32) {reserve})
        (func (export "tg_configure") (param $table i32) (param $rows i32) (param $params i32) (result i32) {configure})
        (func $process (export "tg_process")
            (param $at i32) (param $count i32) (param $heap i32) (result i32) {process})
        {extra})"""


def answer(records_at: str, count: str, heap_at: str = "(i32.const 0)", heap_bytes: str = "(i32.const 0)") -> str:
    """Code that returns an answer standing at address 16."""
    fields = enumerate((records_at, count, heap_at, heap_bytes))
    return "".join(f"(i32.store (i32.const {16 + 4 * n}) {value})" for n, value in fields) + "(i32.const 16)"


IN_PLACE = answer(
    "(local.get $at)",
    "(local.get $count)",
    "(i32.add (local.get $at) (i32.mul (local.get $count) (i32.const 24)))",
    "(local.get $heap)",
)
"""Answers with the input as it stands in memory."""


def bound(path: Path, wasm: bytes, **changes: Any) -> BoundFilter:
    """Writes a module's file, pins it, and binds it to points 1 and 2."""
    path.write_bytes(wasm)
    pin = hashlib.sha256(wasm).hexdigest()
    return BoundFilter(**{"name": path.stem, "module": str(path), "points": (1, 2), "sha256": pin, **changes})


def built_in(name: str, points: tuple[int, ...] = DEVICE_POINTS, **params: float) -> BoundFilter:
    return BoundFilter(name=name, module=name, points=points, params=params)
