"""Filters are swapped while readings flow, and the gateway is started anew: no reading is lost, and modules go on."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.registry import protocol
from gateway.batch import Batch, Kind, Reading
from gateway.config.models import Config, FilterSettings, ShadowSettings
from gateway.crew import Crew
from gateway.fleet import Fleet
from gateway.flow import Flow
from gateway.health import Health
from gateway.latest import Latest
from gateway.metrics import Metrics
from gateway.reconcile import reconcile
from gateway.spool import Spool
from gateway.states import States, memory_name
from gateway.wasm.chain import Chain
from gateway.wasm.host import Host, LoadedModule
from gateway.wasm.library import resolve
from gateway.wasm.manifest import SECTION
from gateway.wasm.sections import custom_section, with_custom_section
from gateway.wasm.stage import BoundFilter
from gateway.wasm.state import MOST_BYTES, KeptState, decode, encode, fitting, shadow_key
from tests.gateway.spool.harness import drain, running
from tests.gateway.wasm.guests import BATCH, KNOWN, LOOP_FOR_EVER, bound, described, guest

MS = 1_000_000
TAGS = [f"t{n}" for n in range(10)]


def config(*filters: FilterSettings) -> Config:
    device = msgspec.convert(
        {
            "name": "press",
            "type": "modbus",
            "host": "127.0.0.1",
            "port": 1,
            "tags": [{"name": tag, "address": n} for n, tag in enumerate(TAGS)],
        },
        protocol("modbus").settings,
    )
    return Config(devices=[device], filters=list(filters))


class Silent(Crew):
    """Runs nothing of a device: what it says comes from the test."""

    def start(self, name: str, work: object, *_: Any, **__: Any) -> Any:
        return super().start(name, asyncio.Event().wait)


@asynccontextmanager
async def fleet(spool: Spool, told: Config) -> AsyncIterator[tuple[Fleet, Callable[[Batch], Any]]]:
    """A fleet whose one device is silent, and the emit that a test speaks for it with."""
    metrics, latest = Metrics(), Latest()
    with Host(cache_dir=None, memory_bytes=16 << 20, batch_ms=1_000, metrics=metrics) as host:
        async with asyncio.TaskGroup() as group:
            flow = Flow(spool, None, metrics)
            found = Fleet(
                host=host,
                flow=flow,
                points=spool.points,
                latest=latest,
                crew=Silent(group, health=Health(lambda: 0), metrics=metrics),
                metrics=metrics,
                now_ns=lambda: 0,
                memory=spool.memory,
            )
            await found.states.recall(["press"])
            found.begin(told)
            yield found, flow.emit("press", lambda: found.chains["press"])
            await found.stop()
            await found.states.keep()


async def stored(spool: Spool) -> dict[str, list[Reading]]:
    """Everything in the spool, by tag, in its order."""
    by_tag: dict[str, list[Reading]] = {}
    for row in await drain(spool):
        for reading in row.batch:
            by_tag.setdefault(spool.points[reading.point].tag, []).append(reading)
    return by_tag


def of(factor: float) -> tuple[FilterSettings, ...]:
    """A chain that differs from swap to swap; what `total` remembers must not."""
    clamp = FilterSettings(module="clamp", params={"high": 1e9 * factor})
    return clamp, FilterSettings(module="total", tags=["t0", "t1"])


async def test_hot_swaps_under_10_000_readings_a_second(tmp_path: Path) -> None:
    async with running(tmp_path / "t.db") as spool, fleet(spool, config(*of(1.0))) as (found, emit):
        points = found.sources["press"].points
        rounds, began = 100, asyncio.get_running_loop().time()

        async def feed() -> None:
            for turn in range(rounds):
                # 100 readings every 10 ms, the ten of each tag in the order of their times.
                rows = [
                    Reading((turn * 10 + n) * MS, float(turn * 10 + n), point) for n in range(10) for point in points
                ]
                await emit(Batch.of(rows))
                await asyncio.sleep(max(0.0, began + (turn + 1) * 0.01 - asyncio.get_running_loop().time()))

        feeding = asyncio.create_task(feed())
        now, swaps = config(*of(1.0)), 0
        while not feeding.done():
            then = config(*of(2.0 if swaps % 2 == 0 else 1.0))
            plan = reconcile(now, then, tags=lambda _device: TAGS)
            assert plan.rebuild == ("press",)
            await found.apply(found.prepare(plan, then))
            now, swaps = then, swaps + 1
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(feeding), 0.02)
        await feeding
        assert swaps > 10
        by_tag = await stored(spool)
        everything = [n * MS for n in range(rounds * 10)]
        for tag in TAGS:
            assert [reading.ts_ns for reading in by_tag[tag]] == everything, tag
        for tag in ("t0.total", "t1.total"):
            assert [reading.value for reading in by_tag[tag]] == [float(n) for n in range(rounds * 10)]


async def test_a_shadow_is_promoted_and_rolled_back_and_each_goes_on_from_its_own(tmp_path: Path) -> None:
    by_one, by_ten = {"factor": 1.0}, {"factor": 10.0}
    # The same module by name and version in two files: two digests.
    other = tmp_path / "other.wasm"
    wasm = resolve("total", tmp_path).read_bytes()
    other.write_bytes(with_custom_section(wasm, SECTION, custom_section(wasm, SECTION) + b" "))
    pin = hashlib.sha256(other.read_bytes()).hexdigest()
    old = FilterSettings(
        module="total", name="sum", params=by_one, shadow=ShadowSettings(module=str(other), sha256=pin, params=by_ten)
    )
    new = FilterSettings(
        module=str(other), sha256=pin, name="sum", params=by_ten, shadow=ShadowSettings(module="total", params=by_one)
    )
    async with running(tmp_path / "t.db") as spool, fleet(spool, config()) as (found, emit):
        point, now, sent = found.sources["press"].points[0], config(), []
        for turn, told in enumerate([old, new, old, new]):
            then = config(told)
            await found.apply(found.prepare(reconcile(now, then, tags=lambda _device: TAGS), then))
            now = then
            for n in range(3):
                sent.append(float(10 * turn + n))
                await emit(Batch.of([Reading(len(sent), sent[-1], point)]))
        health = found.chains["press"].health(0)[0].shadow
        assert (health.batches, health.differing) == (3, 3)
        by_tag = await stored(spool)
    assert [reading.value for reading in by_tag["t0"]] == sent
    # The counts went on in both all the time: only the factor of the one at work differs.
    factors = [1.0] * 3 + [10.0] * 3 + [1.0] * 3 + [10.0] * 3
    assert [reading.value for reading in by_tag["t0.total"]] == [
        value * factor for value, factor in zip(sent, factors, strict=True)
    ]


async def test_a_module_goes_on_after_a_restart(tmp_path: Path) -> None:
    door = FilterSettings(module="swinging_door", tags=["t1"], params={"deviation": 1.0})
    told = config(FilterSettings(module="total", tags=["t0"]), door)
    for life, value in enumerate([100.0, 130.0, 135.0]):
        async with running(tmp_path / "t.db") as spool, fleet(spool, told) as (found, emit):
            first, second = found.sources["press"].points[:2]
            await emit(Batch.of([Reading(life * 1_000 * MS, value, point) for point in (first, second)]))
    async with running(tmp_path / "t.db") as spool:
        by_tag = await stored(spool)
    assert [reading.value for reading in by_tag["t0.total"]] == [0.0, 30.0, 35.0]
    # 130 was held over the end of its life; 135 showed that it is a corner.
    assert [reading.value for reading in by_tag["t1"]] == [100.0, 130.0]


@pytest.mark.parametrize("garbage", [b"no state at all", encode([KeptState("total", "total", 1, "", 0, b"x" * 7)])])
async def test_a_state_that_cannot_be_used_is_begun_anew(tmp_path: Path, garbage: bytes, caplog) -> None:
    async with running(tmp_path / "t.db") as spool:
        assert await spool.memory(memory_name("press")).keep(garbage)
        async with fleet(spool, config(FilterSettings(module="total", tags=["t0"]))) as (found, emit):
            await emit(Batch.of([Reading(1, 5, found.sources["press"].points[0], kind=Kind.I64)]))
            assert found.chains["press"].health(0)[0].state == "working"
        assert [reading.value for reading in (await stored(spool))["t0.total"]] == [0.0]


async def test_what_no_filter_has_any_more_is_forgotten(tmp_path: Path) -> None:
    async with running(tmp_path / "t.db") as spool:
        for filters, names in (
            ([FilterSettings(module="total"), FilterSettings(module="rate")], ["rate", "total"]),
            ([FilterSettings(module="rate")], ["rate"]),
            ([], []),
        ):
            async with fleet(spool, config(*filters)) as (found, emit):
                await emit(Batch.of([Reading(1, 5.0, found.sources["press"].points[0])]))
            kept, _ = await spool.memory(memory_name("press")).recall()
            assert [one.filter for one in decode(kept)] == names


def test_a_state_fits_by_name_version_and_file() -> None:
    main = KeptState("total", "total", 1, "old", 0, b"main")
    shadow = KeptState(shadow_key("total"), "total", 1, "new", 2, b"shadow")

    def fits(digest: str, version: int = 1, module: str = "total") -> KeptState | None:
        keys = ("total", shadow_key("total"))
        return fitting([main, shadow], keys=keys, module=module, version=version, digest=digest)

    assert fits("old") is main
    assert fits("new") is shadow  # it was promoted
    assert fits("other") is main
    assert fits("old", version=2) is None
    assert fits("old", version=0) is None
    assert fits("old", module="other") is None
    assert decode(encode([shadow, main])) == [main, shadow]


COUNTS = """
    (func (export "tg_save") (result i32)
        (i32.store (i32.const 16) (i32.const 8)) (i32.store (i32.const 20) (i32.const {size})) {save} (i32.const 16))
    (func (export "tg_load") (param $at i32) (param $bytes i32) (result i32)
        (i32.store (i32.const 8) (i32.load (local.get $at))) (i32.const 0))"""


def counting(path: Path, *, save: str = "", size: int = 4, pages: int = 2) -> BoundFilter:
    """A module that counts its batches, saves the count, and traps at a batch of one reading."""
    process = """(if (i32.eq (local.get $count) (i32.const 1)) (then (unreachable)))
        (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1))) (i32.const 0)"""
    extra = COUNTS.format(save=save, size=size)
    wat = guest(process, extra=extra, memory=f'(memory (export "memory") {pages})')
    return bound(path, described(wat, stateful=True, state=1))


def kept_of(states: States) -> list[bytes]:
    return [one.state for one in states._kept["d"].values()]


class _NoMemory:
    async def recall(self) -> tuple[bytes, bytes]:
        return b"", b""

    async def keep(self, state: bytes) -> bool:
        return True


def test_what_was_kept_before_a_failure_is_not_gone_on_from(tmp_path: Path) -> None:
    """It may hold readings back that have gone on since: they would come twice."""
    states = States(lambda _name: _NoMemory(), dict)
    with Host(cache_dir=None, memory_bytes=16 << 20, batch_ms=100, metrics=Metrics()) as host:
        one = counting(tmp_path / "count.wasm")
        chain, then = (Chain(host, [one], device="d", known=KNOWN) for _ in range(2))
        for _ in range(3):
            chain.apply(BATCH, 0)
        states.take("d", chain)
        assert kept_of(states) == [b"\3\0\0\0"]
        chain.apply(BATCH.slice(0, 1), 0)
        assert chain.health(0)[0].failures == 1
        states.take("d", chain)
        assert kept_of(states) == []
        chain.apply(BATCH, 0)
        states.take("d", chain)
        states.give("d", then)
        then.apply(BATCH, 0)
        states.take("d", then)
        assert kept_of(states) == [b"\2\0\0\0"]
        chain.close()
        then.close()


def test_one_that_fails_at_saving_is_not_asked_again(tmp_path: Path) -> None:
    with Host(cache_dir=None, memory_bytes=16 << 20, batch_ms=20, metrics=Metrics()) as host:
        chain = Chain(host, [counting(tmp_path / "count.wasm", save=LOOP_FOR_EVER)], device="d", known=KNOWN)
        for _ in range(5):
            assert chain.apply(BATCH, 0).batch == BATCH
            assert chain.states() == []
        assert host.metrics.snapshot()["tidegate_filter_failures_total"] == {"count,timeout": 1.0}
        health = chain.health(0)[0]
        assert (health.state, health.failures) == ("working", 1)
        assert "did not end its work" in health.last_error
        chain.close()


def test_a_state_that_is_too_large_costs_the_module_nothing(tmp_path: Path) -> None:
    with Host(cache_dir=None, memory_bytes=16 << 20, batch_ms=100, metrics=Metrics()) as host:
        one = counting(tmp_path / "count.wasm", size=MOST_BYTES + 1, pages=(MOST_BYTES >> 16) + 1)
        chain = Chain(host, [one], device="d", known=KNOWN)
        for _ in range(3):
            chain.apply(BATCH, 0)
            assert chain.states() == []
        instance = chain._stages[0]._instance
        assert instance is not None
        assert instance.save(MOST_BYTES + 1)[:4] == b"\3\0\0\0"
        assert "tidegate_filter_failures_total" not in host.metrics.snapshot()
        chain.close()


async def test_modules_are_compiled_beside_the_flow_before_they_are_needed(tmp_path: Path, monkeypatch) -> None:
    asked: list[tuple[str, bool]] = []
    load = Host.load

    def watched(self: Host, module: str, *rest: Any) -> LoadedModule:
        asked.append((module, threading.current_thread() is threading.main_thread()))
        return load(self, module, *rest)

    monkeypatch.setattr(Host, "load", watched)
    new = FilterSettings(module="scale", shadow=ShadowSettings(module="gone.wasm", sha256="0" * 64))
    async with running(tmp_path / "t.db") as spool, fleet(spool, config()) as (found, _):
        await found.warm(config(new))
        assert asked == [("scale", False), ("gone.wasm", False)]
