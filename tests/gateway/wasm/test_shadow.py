"""A module beside the one at work: it changes nothing, and where it differs is shown."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from gateway.batch import Batch, Kind, Reading
from gateway.config.models import FilterSettings, ShadowSettings
from gateway.points import PointTable
from gateway.wasm import stage
from gateway.wasm.allowance import Allowance
from gateway.wasm.chain import Chain, build_chain
from gateway.wasm.host import Host
from gateway.wasm.plan import Tag
from gateway.wasm.shadow import Difference, differences
from tests.gateway.wasm.guests import BATCH, KNOWN, LOOP_FOR_EVER, bound, built_in, described, guest

S = 1_000_000_000
NAMES = {1: "force", 2: "state"}


def with_shadow(host: Host, shadow, **params: float) -> Chain:
    main = replace(built_in("deadband", **params), shadow=shadow)
    return Chain(host, [main], device="press", known=KNOWN, names=NAMES)


def numbers(*values: float, at_s: int = 0) -> Batch:
    return Batch.of(Reading((at_s + n) * S, value, 1) for n, value in enumerate(values))


def test_it_changes_nothing_and_differences_are_told(host: Host) -> None:
    chain = with_shadow(host, built_in("deadband", absolute=5.0), absolute=1.0)
    alone = Chain(host, [built_in("deadband", absolute=1.0)], device="press", known=KNOWN)
    for turn, batch in enumerate([numbers(1.0, 1.5), numbers(3.0, 9.0, at_s=10), numbers(9.5, at_s=20)]):
        assert chain.apply(batch, turn * S) == alone.apply(batch, turn * S)
    assert host.metrics.snapshot()["tidegate_readings_filtered_total"] == {"deadband": 2 * 2.0}  # both chains' own
    told = chain.health(3 * S)[0].shadow
    assert (told.module, told.state, told.failures) == ("deadband 1.1.0", "working", 0)
    assert (told.batches, told.differing, told.readings, told.kept, told.shadow_kept) == (3, 1, 5, 3, 2)
    assert told.examples == (Difference("force", 10 * S, "3.0 (f64)", "left out"),)
    assert told.cost_us > 0
    assert told.shadow_cost_us > 0
    assert alone.health(0)[0].shadow is None
    chain.close()
    alone.close()


def test_one_that_fails_is_parked_and_harms_nothing(host: Host, tmp_path: Path) -> None:
    looping = bound(tmp_path / "loop.wasm", described(guest(LOOP_FOR_EVER)))
    chain = with_shadow(host, looping, absolute=0.0)
    for turn in range(6):
        assert len(chain.apply(numbers(float(turn), at_s=turn), 1).batch) == 1
    health = chain.health(1)[0]
    assert (health.state, health.failures) == ("working", 0)
    assert (health.shadow.state, health.shadow.failures, health.shadow.batches) == ("parked", 3, 0)
    assert "did not end its work" in health.shadow.last_error
    assert "tidegate_filter_failures_total" not in host.metrics.snapshot()
    chain.close()


def test_what_the_filter_fails_on_is_not_compared(host: Host, tmp_path: Path) -> None:
    failing = replace(bound(tmp_path / "bad.wasm", described(guest("(unreachable)"))), shadow=built_in("deadband"))
    chain = Chain(host, [failing], device="press", known=KNOWN)
    assert chain.apply(BATCH, 0) == (BATCH, None)
    assert chain.health(0)[0].shadow.batches == 0
    assert chain.health(0)[0].shadow.state == "working"
    chain.close()


def test_it_makes_the_points_of_its_filter(host: Host) -> None:
    table = PointTable()
    window = FilterSettings(
        module="window",
        params={"length_s": 1.0},
        outputs={"mean": "mean"},
        shadow=ShadowSettings(module="window", params={"length_s": 2.0}),
    )

    def intern(tag: str, unit: str, kind: Kind) -> int:
        return table.intern(tag, device="press", unit=unit, kind=kind)

    points = [(table.intern("force", device="press"), Tag("force"))]
    chain = build_chain(host, [window], device="press", points=points, base=Path(), intern=intern)
    chain.apply(numbers(1.0, 2.0, 3.0), 0)
    told = chain.health(0)[0].shadow
    assert (told.kept, told.shadow_kept) == (5, 4)
    assert {example.tag for example in told.examples} == {"force.mean"}
    chain.close()


@pytest.mark.parametrize(
    ("now", "shadow", "expected"),
    [
        ([Reading(1, 1.0, 1)], [Reading(1, 1.0, 1)], []),
        ([Reading(1, 1.0, 1)], [Reading(1, 1, 1, kind=Kind.I64)], [Difference("force", 1, "1.0 (f64)", "1 (i64)")]),
        ([Reading(1, "a", 9, kind=Kind.STR)], [], [Difference("9", 1, "'a' (str)", "left out")]),
        (
            [Reading(1, 1.0, 1), Reading(1, 2.0, 1)],
            [Reading(1, 1.0, 1), Reading(1, None, 1, 0x8000)],
            [Difference("force", 1, "2.0 (f64)", "no value (f64, status 0x8000)")],
        ),
    ],
)
def test_differences_are_told_reading_by_reading(now, shadow, expected) -> None:
    assert differences(Batch.of(now), Batch.of(shadow), NAMES) == expected


def test_long_answers_are_compared_in_part_and_nothing_is_made_up_at_the_cut() -> None:
    now = Batch.of(Reading(n, float(n), 1 + n % 2) for n in range(3_000))
    every_third = Batch.of(reading for reading in now if reading.ts_ns % 3)
    found = differences(now, every_third, NAMES)
    assert 0 < len(found) < 3_000
    assert {(one.now != "left out", one.shadow, one.ts_ns % 3) for one in found} == {(True, "left out", 0)}
    late = now.records[: 2_900 * 24] + Batch.of([Reading(2_900, -1.0, 1)]).records + now.records[2_901 * 24 :]
    assert differences(now, Batch(late, b""), NAMES) == [Difference("force", 2_900, "2900.0 (f64)", "-1.0 (f64)")]


def test_any_number_of_readings_of_one_time_takes_a_moment() -> None:
    # Looking for a free place among those before it, each of them, this would take hours.
    many = Batch(Batch.of([Reading(1, 1.0, 1)]).records * 300_000, b"")
    other = Batch(Batch.of([Reading(1, 2.0, 1)]).records * 300_000, b"")
    assert differences(many, other, NAMES)[0] == Difference("force", 1, "1.0 (f64)", "2.0 (f64)")


def test_one_that_takes_its_time_at_every_batch_is_parked(host: Host, monkeypatch) -> None:
    clock = count(step=0.3)  # what each look at the clock takes: no call is too long by itself
    monkeypatch.setattr(stage.time, "perf_counter", lambda: next(clock))
    chain = with_shadow(host, built_in("deadband", absolute=5.0), absolute=0.0)
    failures = []
    for turn in range(15):
        assert len(chain.apply(numbers(float(turn), at_s=turn), turn).batch) == 1
        failures.append(chain.health(turn)[0].shadow.failures)
    assert failures == [0] * 3 + [1] * 12  # and then it is not called
    health = chain.health(15)[0]
    assert (health.state, health.failures, health.shadow.state) == ("working", 0, "parked")
    assert "more than 10% of 10 s" in health.shadow.last_error
    chain.close()


def test_what_may_be_spent_is_counted_by_windows() -> None:
    allowance = Allowance()
    assert all(allowance.spend(0.09, n * S) for n in range(1_000))
    assert allowance.spend(0.8, 2_000 * S)
    assert not allowance.spend(0.8, 2_001 * S)
    assert allowance.spend(0.8, 2_001 * S)
    assert allowance.spend(0.8, -5 * S)  # the clock was set back
