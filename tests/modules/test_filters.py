"""Scale and deadband by their details, and what every module has from the SDK: an index of points, room for batches."""

import math
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.batch import Batch, Flag, Kind, Reading
from gateway.metrics import Metrics
from gateway.wasm.chain import Chain
from gateway.wasm.host import Host
from gateway.wasm.stage import BoundFilter

NAN, INF, S = math.nan, math.inf, 1_000_000_000
ALL_POINTS = (1, 2, 70_000, 4_294_967_295)
SOME_POINTS = (4_294_967_295, 1, 70_000)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("cache")
    with Host(cache_dir=folder, memory_bytes=16 << 20, batch_ms=10_000, metrics=Metrics()) as host:
        yield host


def through(host: Host, module: str, batches: list[list[Reading]], points=SOME_POINTS, **params: float):
    """What comes out of a fresh instance, batch by batch."""
    bound = BoundFilter(name=module, module=module, points=tuple(points), params=params)
    chain = Chain(host, [bound], device="d", known=frozenset(ALL_POINTS) | set(points))
    out = [list(chain.apply(Batch.of(readings), 0).batch) for readings in batches]
    assert chain.health(0)[0].failures == 0, chain.health(0)[0].last_error
    chain.close()
    return out


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 2**32 - 1), unique=True, min_size=1, max_size=200), st.integers(0, 12))
def test_any_point_numbers_find_their_row(host: Host, points, shift):
    points = sorted({(point << shift) & 0xFFFFFFFF or 1 for point in points})
    readings = [Reading(n, 1.0, point) for n, point in enumerate(points)]
    (backwards,) = through(host, "scale", [readings[::-1]], points=points, factor=3.0)
    assert [r.value for r in backwards] == [3.0] * len(points)


def test_a_large_batch_after_a_small_one_finds_room_and_state(host: Host):
    small = [Reading(0, 1.0, 1)]
    large = [Reading(n, 1.0, 1) for n in range(20_000)] + [Reading(20_001, 9.0, 1)]
    assert [len(out) for out in through(host, "deadband", [small, large, small, large])] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (10.0, Kind.F64, 25.0),
        (-4, Kind.I64, -3.0),
        (2**64 - 1, Kind.U64, 2.0 * 2**64 + 5),
        (INF, Kind.F64, INF),
        (True, Kind.BOOL, True),
        ("10", Kind.STR, "10"),
        (b"10", Kind.BYTES, b"10"),
        (None, Kind.F64, None),
    ],
)
def test_scale_turns_numbers_into_doubles_and_leaves_the_rest(host: Host, value, kind, expected):
    status = 0x8005 if value is None else 0
    ((out,),) = through(host, "scale", [[Reading(7, value, 1, status, kind)]], factor=2.0, offset=5.0)
    numeric = kind in (Kind.F64, Kind.I64, Kind.U64)
    assert out == Reading(7, expected, 1, status, Kind.F64 if numeric else kind)
    assert type(out.value) is type(expected)


def kept(host: Host, values, *, kind=Kind.F64, **params):
    readings = [Reading(n, value, 1, 0x8005 if value is None else 0, kind) for n, value in enumerate(values)]
    (out,) = through(host, "deadband", [readings], **params)
    return [reading.ts_ns for reading in out]


@pytest.mark.parametrize(
    ("values", "params", "indices"),
    [
        ([5.0, 5.0, 5.0], {}, [0]),
        ([5.0, 5.0, 5.1], {}, [0, 2]),
        ([0.0, 0.5, 1.0, 1.01], {"absolute": 1.0}, [0, 3]),  # equal to the band is still inside
        ([0.0, 0.6, 1.2, 1.8], {"absolute": 1.0}, [0, 2]),  # a drift is caught: compared with what was sent
        ([0.0, 5.0, 5.1], {"percent": 5.0, "span": 100.0}, [0, 2]),
        ([0.0, 5.1, 8.1], {"percent": 5.0, "span": 100.0, "absolute": 8.0}, [0, 2]),
        ([NAN, NAN, 1.0, NAN, NAN], {"absolute": 1e300}, [0, 2, 3]),
        ([INF, INF, -INF, 0.0], {"absolute": 1e300}, [0, 2, 3]),
        ([1.0, None, None, 1.0, 1.0], {"absolute": 10.0}, [0, 1, 3]),
        ([0.0, -0.0], {}, [0]),
    ],
)
def test_deadband_keeps_what_tells_something(host: Host, values, params, indices):
    assert kept(host, values, **params) == indices


@pytest.mark.parametrize(
    ("kind", "values", "params", "indices"),
    [
        (Kind.I64, [2**62, 2**62, 2**62 + 1], {}, [0, 2]),
        (Kind.I64, [-(2**63), 2**63 - 1], {"absolute": 1e19}, [0, 1]),
        (Kind.U64, [2**64 - 1, 0], {"absolute": 1.0}, [0, 1]),
        (Kind.U64, [3, 2, 1], {"absolute": 1.0}, [0, 2]),
        (Kind.BOOL, [True, True, False, False], {"absolute": 5.0}, [0, 2]),
        (Kind.STR, ["a", "a"], {"absolute": 5.0}, [0, 1]),
        (Kind.BYTES, [b"a", b"a"], {"absolute": 5.0}, [0, 1]),
    ],
)
def test_deadband_compares_each_kind_in_its_own_way(host: Host, kind, values, params, indices):
    assert kept(host, values, kind=kind, **params) == indices


def test_deadband_sends_a_quiet_value_now_and_then(host: Host):
    every_10_s = [[Reading(n * 10 * S, 5.0, 1)] for n in range(10)]
    assert [len(out) for out in through(host, "deadband", every_10_s, max_silence_s=30)] == [1, 0, 0] * 3 + [1]
    assert sum(len(out) for out in through(host, "deadband", every_10_s, max_silence_s=0)) == 1


def test_deadband_never_holds_back_a_change_of_status_a_loss_or_a_step_back_in_time(host: Host):
    first = Reading(10, 5.0, 1)
    news = [first._replace(status=0x4000), first, first._replace(flags=int(Flag.LOST_BEFORE)), first._replace(ts_ns=9)]
    assert through(host, "deadband", [[first, *news, first._replace(ts_ns=9)]], absolute=9.0) == [[first, *news]]


def test_deadband_keeps_its_points_apart_and_leaves_others_alone(host: Host):
    readings = [Reading(n, float(n % 2), point) for n in range(6) for point in (1, 2, 70_000)]
    (out,) = through(host, "deadband", [readings], points=(1, 70_000), absolute=2.0)
    assert [(r.ts_ns, r.point) for r in out] == [(0, 1), (0, 2), (0, 70_000)] + [(n, 2) for n in range(1, 6)]
