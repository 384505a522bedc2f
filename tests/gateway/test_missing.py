"""What a device's batches, and its adapter, tell of what is missing."""

import pytest

from gateway.batch import BAD_COMMUNICATION, EMPTY, Batch, Flag, Reading
from gateway.gap import CAUSES, Gap
from gateway.latest import Latest
from gateway.missing import Missing

S_NS = 1_000_000_000
START_NS = 1_763_900_000 * S_NS
TAGS = ["", "force", "level", "speed"] + [f"tag-{number}" for number in range(4, 200)]


class Device:
    """A device whose batches go past `Missing`, as in the flow."""

    def __init__(self):
        self.latest = Latest()
        self.now_ns = START_NS
        self.missing = Missing("press", tags=TAGS, latest=lambda: self.latest.of("press"), now_ns=lambda: self.now_ns)

    def give(self, *readings):
        batch = Batch.of(readings)
        gaps = self.missing.look(batch)
        self.latest.put("press", batch)
        assert all(gap.cause in CAUSES for gap in gaps)
        return gaps


def good(at_s, point=1, flags=0):
    return Reading(START_NS + int(at_s * S_NS), 1.0, point, flags=flags)


def lost(at_s, point=1):
    return good(at_s, point, Flag.LOST_BEFORE | Flag.GATEWAY_TIME)


def bad(at_s, point=1):
    return Reading(START_NS + int(at_s * S_NS), None, point, BAD_COMMUNICATION)


def gap(cause, from_s, to_s, tag=None, group=None, readings=None):
    return Gap("press", cause, START_NS + int(from_s * S_NS), START_NS + int(to_s * S_NS), readings, tag, group)


@pytest.fixture
def device():
    return Device()


def test_readings_that_nothing_is_missing_before_leave_no_gap(device):
    assert device.give(good(0), bad(1), good(2, flags=Flag.GATEWAY_TIME)) == []
    assert device.missing.look(EMPTY) == []


def test_a_marked_reading_ends_a_gap_that_began_with_the_one_before_it(device):
    device.give(good(1), good(2, point=2))
    assert device.give(good(3), lost(5), lost(6, point=2), lost(7)) == [
        gap("queue_overflow", 3, 5, "force"),
        gap("queue_overflow", 2, 6, "level"),
        gap("queue_overflow", 5, 7, "force"),
    ]


def test_of_a_tag_that_never_spoke_the_gap_is_as_short_as_its_reading_unless_there_was_an_earlier_life(device):
    assert device.give(lost(5)) == [gap("queue_overflow", 5, 5, "force")]
    device.missing.stopped_before(START_NS)
    assert device.give(lost(6, point=2)) == [gap("queue_overflow", 0, 6, "level"), gap("gateway_stopped", 0, 6)]


def test_many_tags_at_once_are_one_gap_of_the_device(device):
    device.give(*(good(1, point) for point in range(1, 151)))
    assert device.give(*(lost(4, point) for point in range(1, 101)))[-1].tag == "tag-100"
    assert device.give(*(lost(9, point) for point in range(1, 151))) == [gap("queue_overflow", 1, 9)]


def test_what_an_adapter_misses_lasts_until_a_good_reading_comes(device):
    device.give(good(1), good(2, point=2))
    device.missing.missed("unreachable")
    assert device.give(bad(3), bad(3, point=2)) == []
    device.missing.missed("unreachable")
    assert device.give(good(9, point=2), good(8)) == [gap("unreachable", 2, 8)]
    assert device.give(good(10)) == []


def test_a_unit_has_its_own_gap_and_its_last_word_counts(device):
    device.give(good(1), good(1, point=2), good(2, point=3))
    device.missing.missed("unreachable", points=[1, 2], group="unit 3")
    assert device.give(good(3), bad(4), bad(4, point=2), good(5, point=3)) == [], "it answered, and fell silent again"
    assert device.give(good(7, point=2)) == [gap("unreachable", 1, 7, group="unit 3")]


def test_readings_marked_for_a_gap_of_the_whole_device_have_none_of_their_own(device):
    device.give(good(1), good(2, point=2))
    device.missing.missed("lost_notification")
    assert device.give(lost(5)) == [gap("lost_notification", 2, 5)]
    assert device.give(lost(6)) == [gap("queue_overflow", 5, 6, "force")]
    assert device.give(lost(7, point=2)) == [], "the first of this tag since"
    device.missing.missed("lost_notification")
    assert device.give(lost(8), lost(8, point=2)) == [gap("lost_notification", 7, 8)]


def test_the_time_in_which_the_gateway_did_not_run_is_a_gap_unless_the_source_goes_on(device):
    device.missing.stopped_before(START_NS)
    device.missing.missed("unreachable")
    assert device.give(bad(3)) == []
    assert device.give(good(4)) == [gap("gateway_stopped", 0, 4)]
    device.missing.stopped_before(START_NS)
    device.missing.resumed()
    assert device.give(good(5)) == []


@pytest.mark.parametrize("stopped", [True, False])
def test_what_was_told_to_be_missing_is_missing_also_where_a_later_connection_goes_on(device, stopped):
    device.give(good(1))
    if stopped:
        device.missing.stopped_before(START_NS)
    device.missing.missed("lost_notification")
    device.missing.resumed()
    assert device.give(good(5)) == [gap("gateway_stopped", 0, 5) if stopped else gap("lost_notification", 1, 5)]


def test_a_device_that_was_never_heard_misses_nothing_before_its_first_reading(device):
    device.missing.missed("unreachable")
    device.missing.missed("unreachable", points=[2], group="unit 3")
    assert device.give(good(5), good(6, point=2)) == []
    device.missing.missed("unreachable")
    assert device.give(good(9)) == [gap("unreachable", 6, 9)]


def test_a_clock_that_was_set_back_makes_no_gap_that_ends_before_it_begins(device):
    device.give(good(100))
    device.missing.missed("unreachable")
    assert device.give(good(10)) == [gap("unreachable", 10, 100)]


def test_a_clock_that_is_off_is_told_at_its_beginning_once_an_hour_and_at_its_end(device):
    device.missing.clock(is_off=False)
    assert device.give(good(0)) == []
    told = []
    for minute in range(130):
        device.now_ns = START_NS + minute * 60 * S_NS
        device.missing.clock(is_off=True)
        told += device.give(good(minute * 60), good(minute * 60 + 1))
    assert told == [
        gap("clock", 0, 1, readings=2),
        gap("clock", 60, 3601, readings=120),
        gap("clock", 3660, 7201, readings=120),
    ]
    device.missing.clock(is_off=False)
    assert device.give(good(7800)) == [gap("clock", 7260, 7741, readings=18)]
    assert device.give(good(7801)) == []
