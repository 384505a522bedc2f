"""Thinning of batches: what goes is within each point's bound, what must stay stays, what is told of it adds up."""

from collections import defaultdict
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from gateway.batch import BAD_COMMUNICATION, GOOD, UNCERTAIN, Batch, Flag, Kind, Reading
from gateway.spool.block import Entry, decode_block, encode_block
from gateway.spool.budget.thinning import Removed, thin
from tests.gateway.spool.budget.test_door import NOW_NS, is_told

# Point 1 to 3 have bounds, 4 and 5 have none; 3 is of any kind.
BOUNDS = {1: 0.5, 2: 0.0, 3: 1.0, 9: 1.0}
times = st.integers(0, 40).map(lambda n: NOW_NS + n * 100_000_000)
statuses = st.sampled_from([GOOD, GOOD, GOOD, UNCERTAIN, BAD_COMMUNICATION])
flags = st.sampled_from([0, 0, 0, Flag.GATEWAY_TIME, Flag.LOST_BEFORE])
numbers = st.integers(-300, 300).map(lambda n: n / 100) | st.integers(0, 2).map(float)
readings = st.one_of(
    st.builds(Reading, times, numbers, st.sampled_from([1, 2, 4]), statuses, st.just(Kind.F64), flags),
    st.builds(Reading, times, st.integers(-3, 3), st.just(3), statuses, st.just(Kind.I64), flags),
    st.builds(Reading, times, st.integers(0, 3), st.just(3), statuses, st.just(Kind.U64), flags),
    st.builds(Reading, times, st.booleans(), st.just(3), statuses, st.just(Kind.BOOL), flags),
    st.builds(
        Reading,
        times,
        st.sampled_from(["", "on", "off"]),
        st.sampled_from([3, 5]),
        st.just(GOOD),
        st.just(Kind.STR),
        st.just(0),
    ),
)
batches = st.lists(st.lists(readings, min_size=1, max_size=20).map(Batch.of), min_size=1, max_size=8)
in_order = st.booleans()


def entries_of(found, *, ordered=None):
    """The batches; no two readings have the same time. `ordered`: whether those of a point go forward."""
    at = iter(range(10**6))
    if ordered is not None:
        found = [
            Batch.of([one._replace(ts_ns=NOW_NS * ordered + one.ts_ns * (not ordered) + next(at)) for one in batch])
            for batch in found
        ]
    return [Entry(100 + 2 * number, NOW_NS, "plc", batch) for number, batch in enumerate(found)]


def series(entries):
    """The readings of each point, each with its batch."""
    found = defaultdict(list)
    for entry in entries:
        for reading in entry.batch:
            found[reading.point].append((entry.seq, reading))
    return found


def key(reading):
    return (reading.status, reading.kind, reading.flags)


@given(batches, in_order, st.sets(st.integers(0, 7)))
def test_what_goes_may_go_and_the_account_is_right(found, ordered, fixed):
    entries = entries_of(found, ordered=ordered)
    untouched = {entries[number].seq for number in fixed if number < len(entries)}
    result = thin(entries, BOUNDS, untouched=lambda entry: entry.seq in untouched)
    left_of = {entry.seq: entry for entry in result.entries}
    assert [entry.seq for entry in result.entries] == [entry.seq for entry in entries if entry.seq in left_of]
    assert all(left_of[entry.seq] == entry for entry in entries if entry.seq in untouched)
    left, told = series(result.entries), {one.point: one for one in result.removed}
    for point, before in series(entries).items():
        stays, gone = [], []
        waiting = list(left.get(point, ()))
        for place, one in enumerate(before):
            if waiting and waiting[0] == one and one[0] == waiting[0][0]:
                stays.append(place)
                waiting.pop(0)
            else:
                gone.append(place)
        assert not waiting, "a reading that was not there, or in another order"
        assert point in BOUNDS or not gone
        at = [reading.ts_ns for _, reading in before]
        for place in gone:
            _, reading = before[place]
            assert reading.status < 0x8000
            assert not reading.flags & Flag.LOST_BEFORE
            first = max(one for one in stays if one < place)
            last = min(one for one in stays if one > place)
            assert {key(before[one][1]) for one in range(first, last + 1)} == {key(reading)}
            assert not untouched & {before[one][0] for one in range(first, last + 1)}
            values = [one.value for _, one in before]
            if reading.kind in (Kind.STR, Kind.BOOL):
                assert values[first] == reading.value == values[last]
                assert at[first] < at[place] < at[last]
            else:
                assert is_told(at, values, place, first, last, BOUNDS[point])
        if gone:
            gone_at = [at[place] for place in gone]
            assert told.pop(point) == Removed(point, "plc", len(gone), min(gone_at), max(gone_at))
    assert not told
    if result.entries:
        count = sum(len(entry.batch) for entry in result.entries)
        data = encode_block(result.entries)
        assert decode_block(data, batches=len(result.entries), readings=count) == result.entries
        assert all(entry.batch.check() for entry in result.entries)


def test_an_even_plant_keeps_a_few_and_texts_close_up():
    found = [
        Batch.of(
            [
                Reading(NOW_NS + n * 10**9, 20.0 + n / 10, 1),
                Reading(NOW_NS + n * 10**9, "running" if n < 60 else "stopped", 3, kind=Kind.STR),
                Reading(NOW_NS + n * 10**9, f"alarm {n}", 5, kind=Kind.STR),
            ]
        )
        for n in range(100)
    ]
    result = thin(entries_of(found), BOUNDS)
    left = {point: [reading.value for _, reading in one] for point, one in series(result.entries).items()}
    assert left[1] == [20.0, 29.9]
    assert left[3] == ["running", "running", "stopped", "stopped"]
    assert len(left[5]) == 100
    assert result.readings == 98 + 96
    assert len(result.entries[50].batch.heap) == len("alarm 50")


def test_a_batch_of_which_nothing_is_left_goes():
    found = [Batch.of([Reading(NOW_NS + n * 10**9, 1.0, 1)]) for n in range(10)]
    result = thin(entries_of(found), BOUNDS)
    assert [entry.seq for entry in result.entries] == [100, 118]
    assert result.removed == [Removed(1, "plc", 8, NOW_NS + 10**9, NOW_NS + 8 * 10**9)]


def test_runs_of_points_side_by_side():
    """Two points in turn are two series, not one."""
    found = [Batch.of([Reading(NOW_NS + n * 10**9, 5.0 * (n % 2), 1 + 8 * (n % 2)) for n in range(20)])]
    (entry,) = thin(entries_of(found), BOUNDS).entries
    assert [point for point, _ in groupby(entry.batch.points())] == [1, 9, 1, 9]
