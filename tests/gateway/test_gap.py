"""The arithmetic of gaps."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.batch import Batch, Reading
from gateway.gap import JOIN_NS, Gap, gap_of, join, join_near, near

gaps = st.builds(
    lambda device, cause, start, length, readings, tag, group: Gap(
        device, cause, start, start + length, readings, tag, group
    ),
    st.sampled_from(["press", "tank"]),
    st.sampled_from(["corrupt", "spool_full"]),
    st.integers(-3 * JOIN_NS, 3 * JOIN_NS),
    st.integers(0, 2 * JOIN_NS),
    st.none() | st.integers(0, 1000),
    st.sampled_from([None, "level"]),
    st.sampled_from([None, "unit 3"]),
)


def test_a_batch_is_missing_from_its_first_time_to_its_last():
    batch = Batch.of([Reading(30, 1.0, 1), Reading(10, 2.0, 1), Reading(20, 3.0, 2)])
    assert gap_of("press", "spool_full", batch) == Gap("press", "spool_full", 10, 30, 3)


@pytest.mark.parametrize(("apart_ns", "expected"), [(-5, True), (0, True), (JOIN_NS, True), (JOIN_NS + 1, False)])
def test_near_is_a_minute(apart_ns, expected):
    one, other = Gap("press", "corrupt", 0, 10, 1), Gap("press", "corrupt", 10 + apart_ns, 20 + JOIN_NS, 1)
    assert near(one, other) is expected
    assert near(other, one) is expected


def test_what_tells_of_two_names_only_what_they_share():
    one = Gap("press", "corrupt", 5, 9, 2, tag="force", group="unit 3")
    assert join(one, one._replace(from_ns=1, to_ns=2, readings=3)) == one._replace(from_ns=1, readings=5)
    assert join(one, one._replace(tag="level", readings=None)) == one._replace(tag=None, readings=None)
    # The same tag of another device is another tag.
    assert join(one, one._replace(device="tank")) == Gap("", "corrupt", 5, 9, 4)


@given(st.lists(gaps, max_size=12))
def test_joining_what_is_near_loses_no_reading_and_covers_every_time(noted):
    joined = join_near(noted)
    for gap in noted:
        assert any(one.kind == gap.kind and one.from_ns <= gap.from_ns and gap.to_ns <= one.to_ns for one in joined)
    if None not in [gap.readings for gap in noted]:
        assert counted(joined) == counted(noted)


def counted(some):
    readings = Counter()
    for gap in some:
        readings[gap.kind] += gap.readings
    return readings
