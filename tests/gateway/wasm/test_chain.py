from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.batch import EMPTY, Batch, Flag, Kind, Reading
from gateway.config.models import FilterSettings
from gateway.points import PointTable
from gateway.wasm.answer import Change, weigh
from gateway.wasm.chain import Chain, bind, build_chain
from gateway.wasm.failure import GuestFailure
from gateway.wasm.host import Host
from gateway.wasm.plan import Tag
from gateway.wasm.split import join, split
from tests.gateway.wasm.guests import BATCH, IN_PLACE, KNOWN, answer, bound, built_in, described, guest

POINTS = [(n, Tag(name)) for n, name in enumerate(["temperature", "state", "pressure_in", "pressure_out"], 1)]


def test_without_filters_the_batch_itself_goes_on(host: Host) -> None:
    chain = build_chain(host, [], device="press", points=POINTS, base=Path())
    applied = chain.apply(BATCH, 0)
    assert applied.batch is BATCH
    assert applied.set_aside is None


def test_filters_apply_in_order_and_are_counted(host: Host) -> None:
    scale, deadband = built_in("scale", factor=10.0), built_in("deadband", absolute=5.0)
    batch = Batch.of([Reading(1, 1.0, 1), Reading(2, 1.4, 1), Reading(3, 1.6, 1)])
    chain = Chain(host, [scale, deadband], device="press", known=KNOWN)
    assert chain.apply(batch, 0).batch.values() == [10.0, 16.0]
    assert host.metrics.snapshot()["tidegate_readings_filtered_total"] == {"scale": 0.0, "deadband": 1.0}
    other = Chain(host, [deadband, scale], device="press", known=KNOWN)
    assert other.apply(batch, 0).batch.values() == [10.0]
    chain.close()
    other.close()


def test_a_batch_that_is_filtered_away_ends_the_chain(host: Host, tmp_path: Path) -> None:
    nothing = bound(tmp_path / "nothing.wasm", described(guest(answer("(i32.const 0)", "(i32.const 0)"))))
    never = bound(tmp_path / "never.wasm", described(guest("(unreachable)")))
    chain = Chain(host, [nothing, never], device="d", known=KNOWN)
    assert chain.apply(BATCH, 0) == (EMPTY, None)
    assert host.metrics.snapshot()["tidegate_readings_filtered_total"]["nothing"] == len(BATCH)
    assert chain.health(0)[1].failures == 0
    chain.close()


def test_a_module_may_add_derived_readings(host: Host, tmp_path: Path) -> None:
    doubles = guest(
        "(memory.copy (i32.add (local.get $at) (i32.const 24)) (local.get $at) (i32.const 24))"
        "(i32.store8 offset=47 (local.get $at) (i32.const 4))" + answer("(local.get $at)", "(i32.const 2)")
    )
    chain = Chain(host, [bound(tmp_path / "doubles.wasm", described(doubles))], device="d", known=KNOWN)
    first = Reading(1, 1.5, 1)
    assert list(chain.apply(Batch.of([first]), 0).batch) == [first, first._replace(flags=Flag.DERIVED)]
    assert host.metrics.snapshot()["tidegate_readings_derived_total"] == {"doubles": 1.0}
    chain.close()


def test_strings_and_bytes_come_through_guest_memory_whole(host: Host, tmp_path: Path) -> None:
    same = bound(tmp_path / "same.wasm", described(guest(IN_PLACE)))
    chain = Chain(host, [same], device="d", known=KNOWN)
    batch = Batch.of([Reading(1, "Grüße", 1, kind=Kind.STR), Reading(2, bytes(range(256)), 2, kind=Kind.BYTES)])
    applied = chain.apply(batch, 0)
    assert applied.batch == batch
    assert applied.batch is not batch
    chain.close()


def test_two_filters_may_both_set_readings_aside(host: Host, tmp_path: Path) -> None:
    wasm = described(guest("(unreachable)"))
    filters = [
        bound(tmp_path / "a.wasm", wasm, points=(2,), on_failure="set_aside"),
        bound(tmp_path / "b.wasm", wasm, points=(1,), on_failure="set_aside"),
    ]
    batch = Batch.of(
        [
            Reading(1, "one", 1, kind=Kind.STR),
            Reading(2, "two", 2, kind=Kind.STR),
            Reading(3, "three", 3, kind=Kind.STR),
        ]
    )
    chain = Chain(host, filters, device="d", known=KNOWN)
    applied = chain.apply(batch, 0)
    assert applied.batch.values() == ["three"]
    assert applied.set_aside is not None
    assert applied.set_aside.check().values() == ["two", "one"]
    chain.close()


def test_health_goes_from_idle_to_working(host: Host) -> None:
    chain = Chain(host, [built_in("scale")], device="d", known=KNOWN)
    assert (chain.health(0)[0].state, chain.health(0)[0].module) == ("idle", "scale")
    chain.start(0)
    assert chain.health(0)[0].module == "scale 1.1.0"
    chain.apply(BATCH, 0)
    assert chain.health(0)[0].state == "working"
    chain.close()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"module": "nonsense"}, "not built in. There are bits, change_only, "),
        ({"module": "gone.wasm"}, "there is no file"),
        ({"module": "scale", "params": {"fctor": 2.0}}, "did you mean factor?"),
        ({"module": "deadband", "params": {"absolute": -1.0}}, "at least 0"),
    ],
)
def test_a_filter_that_cannot_start_says_why_and_loses_nothing(host: Host, changes, words) -> None:
    chain = build_chain(host, [FilterSettings(**changes)], device="press", points=POINTS, base=Path("/nowhere"))
    chain.start(0)
    health = chain.health(0)[0]
    assert health.state == "failing"
    assert words in health.last_error
    assert chain.apply(BATCH, 0) == (BATCH, None)
    chain.close()


def test_filters_are_bound_by_device_and_tag() -> None:
    settings = [
        FilterSettings(module="scale", devices=["press-*"], tags=["pressure_*"], params={"factor": 2.0}),
        FilterSettings(module="filters/own.wasm", devices=["oven", "press-?"], on_failure="set_aside"),
        FilterSettings(module="deadband", name="quiet", tags=["STATE"]),
        FilterSettings(module="deadband", name="calm", tags=["state", "temperature"]),
    ]

    def names(device: str) -> list[tuple[str, tuple[int, ...]]]:
        return [(b.name, b.points) for b in bind(settings, device=device, points=POINTS, base=Path("/etc"))]

    assert names("press-1") == [("scale", (3, 4)), ("own", (1, 2, 3, 4)), ("calm", (1, 2))]
    assert names("press-12") == [("scale", (3, 4)), ("calm", (1, 2))]
    assert names("oven") == [("own", (1, 2, 3, 4)), ("calm", (1, 2))]
    own = bind(settings, device="oven", points=POINTS, base=Path("/etc"))[0]
    assert (own.base, own.on_failure) == (Path("/etc"), "set_aside")


values = st.one_of(
    st.tuples(st.floats(allow_nan=False), st.just(Kind.F64)),
    st.tuples(st.text(max_size=5), st.just(Kind.STR)),
    st.tuples(st.binary(max_size=5), st.just(Kind.BYTES)),
)
readings = st.lists(
    st.tuples(values, st.integers(1, 4)).map(lambda drawn: Reading(1, drawn[0][0], drawn[1], kind=drawn[0][1])),
    max_size=12,
)


@given(readings, readings, st.frozensets(st.integers(1, 4)))
def test_splitting_and_joining_keep_every_reading(first, second, points):
    others, theirs = split(Batch.of(first), points)
    assert list(others.check()) == [r for r in first if r.point not in points]
    assert list(theirs.check()) == [r for r in first if r.point in points]
    assert list(join(theirs, Batch.of(second)).check()) == [*theirs, *second]


A, B, DERIVED = Reading(1, 1.0, 1), Reading(2, 2.0, 2), Reading(3, 3.0, 2, flags=Flag.DERIVED | Flag.GATEWAY_TIME)


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ([A, B], [A, B], Change(0, 0)),
        ([A, B], [B], Change(1, 0)),
        ([A, B], [], Change(2, 0)),
        ([A, B], [A, B, DERIVED], Change(0, 1)),
        ([A, B], [DERIVED], Change(2, 1)),
        ([A, DERIVED], [A, DERIVED], Change(0, 0)),
        ([A, DERIVED], [A], Change(1, 0)),
        ([A, DERIVED], [DERIVED, DERIVED], Change(1, 1)),
    ],
)
def test_what_a_module_did_is_counted(before, after, change):
    assert weigh(Batch.of(before), Batch.of(after), KNOWN) == change


def test_what_no_module_may_do_is_refused():
    with pytest.raises(GuestFailure, match="added 1 readings without marking"):
        weigh(Batch.of([A]), Batch.of([A, A]), KNOWN)
    with pytest.raises(GuestFailure, match="0, 4, 5, 6, 7 and 2 more"):
        weigh(EMPTY, Batch.of(A._replace(point=n) for n in (0, 4, 5, 6, 7, 8, 9)), KNOWN)
    with pytest.raises(GuestFailure, match="its texts take 3000 bytes, and may take 2050"):
        weigh(Batch(Batch.of([A, B]).records, b"ab"), Batch(Batch.of([A, B]).records, bytes(3_000)), KNOWN)
    with pytest.raises(GuestFailure, match="added 3 readings to 1, and may add 2"):
        weigh(Batch.of([A]), Batch.of([A, DERIVED, DERIVED, DERIVED]), KNOWN, outputs=2)


def test_a_module_may_let_go_what_it_held_back_and_no_more():
    assert weigh(Batch.of([A]), Batch.of([A, B, A]), KNOWN, held=2) == Change(-2, 0)
    with pytest.raises(GuestFailure, match="added 1 readings without marking"):
        weigh(Batch.of([A]), Batch.of([A, B, A]), KNOWN, held=1)


def test_what_was_held_back_is_counted_once(host: Host) -> None:
    door = built_in("swinging_door", deviation=0.5)
    chain = Chain(host, [door], device="press", known=KNOWN)
    counted = []
    for second, value in enumerate([1.0, 2.0, 3.0, 3.0, 3.0, None]):
        status = 0x8000 if value is None else 0
        chain.apply(Batch.of([Reading(second * 1_000_000_000, value, 1, status)]), 0)
        counted.append(host.metrics.snapshot()["tidegate_readings_filtered_total"]["swinging_door"])
    # Held, a corner let go for another held, and at the end the held one is let go: 1.0, 3.0, 3.0 and the bad one went.
    assert counted == [0, 1, 2, 2, 3, 3]
    assert chain.health(0)[0].failures == 0
    chain.close()


def test_a_module_makes_points_that_later_filters_work_on(host: Host) -> None:
    table = PointTable()
    settings = [
        FilterSettings(module="bits", tags=["state"], outputs={"bit0": "on", "bit2": "fault"}),
        FilterSettings(module="change_only", tags=["state.*"]),
    ]

    def intern(tag: str, unit: str, kind: Kind) -> int:
        return table.intern(f"site/press/{tag}", device="press", unit=unit, kind=kind)

    points = [(table.intern(f"site/press/{tag.name}", device="press"), tag) for _, tag in POINTS]
    chain = build_chain(host, settings, device="press", points=points, base=Path(), intern=intern)
    assert [(point.tag, point.kind) for point in table.unsaved()[4:]] == [
        ("state.on", Kind.BOOL),
        ("state.fault", Kind.BOOL),
    ]
    out = list(chain.apply(Batch.of([Reading(1, 5, 2, kind=Kind.U64), Reading(2, 1, 2, kind=Kind.U64)]), 0).batch)
    assert [(table[r.point].tag, r.value, r.flags) for r in out] == [
        ("state", 5, 0),
        ("state.on", True, Flag.DERIVED),
        ("state.fault", True, Flag.DERIVED),
        ("state", 1, 0),
        ("state.fault", False, Flag.DERIVED),
    ]
    chain.close()


def test_single_tags_have_parameters_of_their_own(host: Host) -> None:
    settings = FilterSettings(
        module="scale",
        params={"factor": 2.0},
        tag_params={"pressure_in": {"factor": 3.0}, "pressure_*": {"offset": 1.0}},
    )
    chain = build_chain(host, [settings], device="press", points=POINTS, base=Path())
    batch = Batch.of(Reading(n, 10.0, n) for n in (1, 2, 3, 4))
    assert chain.apply(batch, 0).batch.values() == [20.0, 20.0, 30.0, 21.0]
    chain.close()
