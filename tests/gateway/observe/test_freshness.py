import pytest

from gateway.batch import BAD_COMMUNICATION, EMPTY, GOOD, UNCERTAIN, Batch, Reading
from gateway.observe.freshness import Freshness, has_good


def batch(*statuses: int) -> Batch:
    return Batch.of(Reading(1, None if status >= 0x8000 else 1.0, 1, status=status) for status in statuses)


@pytest.mark.parametrize(
    ("statuses", "good"),
    [
        ((GOOD,), True),
        ((BAD_COMMUNICATION,), False),
        ((UNCERTAIN,), False),
        ((0x002F,), True),  # a good quality with more to say
        ((BAD_COMMUNICATION, GOOD), True),
        ((GOOD, BAD_COMMUNICATION), True),
        ((UNCERTAIN, BAD_COMMUNICATION), False),
    ],
)
def test_one_good_reading_makes_a_batch_good(statuses, good):
    assert has_good(batch(*statuses)) is good


def test_an_empty_batch_has_none():
    assert has_good(EMPTY) is False


def test_the_age_counts_from_the_last_good_reading_and_before_it_from_the_beginning():
    now_s = 100.0
    fresh = Freshness(lambda: now_s)
    assert fresh.age_s("press") is None
    note = fresh.begin("press")
    now_s = 110.0
    note(batch(BAD_COMMUNICATION))
    assert fresh.age_s("press") == 10.0
    note(batch(GOOD))
    assert fresh.age_s("press") == 0.0
    now_s = 115.0
    note(batch(UNCERTAIN))
    assert fresh.age_s("press") == 5.0
    fresh.begin("press")
    assert fresh.age_s("press") == 0.0
    assert fresh.age_s("tank") is None
