"""Holds modules/sdk/tidegate.h against gateway/batch.py: a guest is compiled that tells what the header says."""

import json
import struct
from pathlib import Path

import pytest
from wasmtime import Engine, Func, Instance, Module, Store

from gateway import batch
from gateway.batch import RECORD_BYTES, Flag, Kind
from gateway.metrics import Metrics
from gateway.wasm.chain import Chain
from gateway.wasm.host import Host
from gateway.wasm.manifest import ABI, SECTION
from gateway.wasm.sections import with_custom_section
from modules.build import MODULES, compile_c
from tests.gateway.wasm.guests import BATCH, KNOWN, bound

FACTS = {
    "sizeof(tg_record)": RECORD_BYTES,
    "offsetof(tg_record, ts_ns)": 0,
    "offsetof(tg_record, value)": 8,
    "offsetof(tg_record, value.span.offset)": 8,
    "offsetof(tg_record, value.span.length)": 12,
    "offsetof(tg_record, point)": 16,
    "offsetof(tg_record, status)": 20,
    "offsetof(tg_record, kind)": 22,
    "offsetof(tg_record, flags)": 23,
    "sizeof(((tg_record *)0)->ts_ns)": 8,
    "sizeof(tg_value)": 8,
    "sizeof(((tg_record *)0)->point)": 4,
    "sizeof(((tg_record *)0)->status)": 2,
    "sizeof(((tg_record *)0)->kind)": 1,
    "sizeof(((tg_record *)0)->flags)": 1,
    **{f"TG_{kind.name}": kind.value for kind in Kind},
    **{f"TG_{flag.name}": flag.value for flag in Flag},
    "TG_GOOD": batch.GOOD,
    "TG_UNCERTAIN": batch.UNCERTAIN,
    "TG_BAD": 0x8000,
    "(TG_NO_VALUE_BITS >> 32)": struct.unpack("<Q", struct.pack("<d", batch.NO_VALUE))[0] >> 32,
    "(TG_NO_VALUE_BITS & 0xFFFFFFFF)": struct.unpack("<Q", struct.pack("<d", batch.NO_VALUE))[0] & 0xFFFFFFFF,
    "TG_ABI": ABI,
    "sizeof(tg_answer)": 16,
    "offsetof(tg_answer, records_at)": 0,
    "offsetof(tg_answer, count)": 4,
    "offsetof(tg_answer, heap_at)": 8,
    "offsetof(tg_answer, heap_bytes)": 12,
    "sizeof(tg_row)": 8,
    "offsetof(tg_row, point)": 0,
    "offsetof(tg_row, param)": 8,
    "sizeof(tg_state)": 8,
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[int]:
    folder = tmp_path_factory.mktemp("sdk")
    source = folder / "facts.c"
    facts = ", ".join(f"(uint32_t)({fact})" for fact in FACTS)
    source.write_text(
        f'#include "tidegate.h"\nstatic const uint32_t facts[] = {{{facts}}};\n'
        "TG_EXPORT(fact) uint32_t fact(uint32_t n) { return ((const volatile uint32_t *)facts)[n]; }\n"
    )
    compile_c(source, folder / "facts.wasm", folder)
    engine = Engine()
    store = Store(engine)
    exports = Instance(store, Module.from_file(engine, str(folder / "facts.wasm")), []).exports(store)
    fact = exports["fact"]
    assert isinstance(fact, Func)
    return [fact(store, n) for n in range(len(FACTS))]


@pytest.mark.parametrize("fact", FACTS)
def test_the_header_says_what_the_gateway_says(fact: str, told: list[int]) -> None:
    assert told[list(FACTS).index(fact)] == FACTS[fact]


def test_the_header_names_no_kind_or_flag_that_the_gateway_does_not_know() -> None:
    header = (MODULES / "sdk" / "tidegate.h").read_text()
    for enum, members in (("tg_kind", Kind), ("tg_flag", Flag)):
        body = header.split(f"enum {enum} {{")[1].split("}")[0]
        assert body.count("TG_") == len(members)


def test_the_example_in_the_readme_works(host_for_example: Host, tmp_path: Path) -> None:
    source = tmp_path / "example.c"
    source.write_text((MODULES / "README.md").read_text().split("```c\n")[1].split("```")[0])
    compile_c(source, tmp_path / "example.wasm", tmp_path)
    wasm = (tmp_path / "example.wasm").read_bytes()
    manifest = json.dumps(
        {"name": "example", "version": "1", "abi": 1, "params": [{"name": "lowest"}], "outputs": [{"name": "left_out"}]}
    )
    described = with_custom_section(wasm, SECTION, manifest.encode())
    example = bound(tmp_path / "described.wasm", described, params={"lowest": 0.0}, outputs=((9, 0),))
    chain = Chain(host_for_example, [example], device="d", known=KNOWN | {9})
    *others, last = chain.apply(BATCH, 0).batch
    assert others == [r for r in BATCH if r.value != -7]
    assert (last.ts_ns, last.value, last.point, last.kind, last.flags) == (4_000, 1, 9, Kind.U64, Flag.DERIVED)
    chain.close()


@pytest.fixture
def host_for_example(tmp_path: Path):
    with Host(cache_dir=None, memory_bytes=1 << 20, batch_ms=1_000, metrics=Metrics()) as host:
        yield host
