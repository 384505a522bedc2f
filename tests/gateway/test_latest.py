from hypothesis import given
from hypothesis import strategies as st

from gateway.batch import EMPTY, Batch, Kind, Reading
from gateway.latest import FOLD_READINGS, Latest, fold

TIMES, POINTS = st.integers(0, 9), st.integers(1, 4)
READINGS = st.tuples(TIMES, st.text(max_size=5), POINTS).map(lambda parts: Reading(*parts, kind=Kind.STR)) | st.tuples(
    TIMES, st.floats(-9, 9), POINTS
).map(lambda parts: Reading(*parts))
BATCHES = st.lists(st.lists(READINGS, max_size=6).map(Batch.of), max_size=6)


@given(BATCHES)
def test_of_each_point_the_last_reading_stays(batches: list[Batch]) -> None:
    expected = {reading.point: reading for batch in batches for reading in batch}
    assert [*fold(batches)] == [expected[point] for point in sorted(expected)]


@given(BATCHES, st.integers(0, 6))
def test_folding_in_between_makes_no_difference(batches: list[Batch], at: int) -> None:
    assert [*fold([fold(batches[:at]), *batches[at:]])] == [*fold(batches)]


def test_devices_are_kept_apart_and_forgotten() -> None:
    latest = Latest()
    latest.put("press", Batch.of([Reading(1, 1.0, 1)]))
    latest.put("tank", Batch.of([Reading(1, 2.0, 2)]))
    latest.put("press", Batch.of([Reading(2, 3.0, 1)]))
    assert latest.devices() == ["press", "tank"]
    assert [reading.value for reading in latest.of("press")] == [3.0]
    latest.forget("press")
    latest.forget("press")
    assert latest.of("press") == EMPTY
    assert latest.devices() == ["tank"]


def test_what_is_kept_is_bounded() -> None:
    latest = Latest()
    batch = Batch.of([Reading(1, float(point), point) for point in range(1, 101)])
    for _ in range(1_000):
        latest.put("press", batch)
        kept = sum(len(one) for one in latest._shelves["press"]._batches)
        assert kept < FOLD_READINGS + len(batch)
    assert len(latest.of("press")) == 100
