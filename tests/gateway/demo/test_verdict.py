from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.ledger import Hole
from gateway.demo.verdict import Facts, Window, judge, unexplained

GOOD = Facts(accepted=100, received=100, backlog_max=10, outages=1, kills=1, replayed=10)


def but(**changes: Any) -> Facts:
    return dataclasses.replace(GOOD, **changes)


def test_a_full_story_without_a_loss_is_good() -> None:
    verdict = judge(GOOD)
    assert (verdict.ok, verdict.lost, verdict.against) == (True, 0, ())


@pytest.mark.parametrize(
    ("facts", "lost", "word"),
    [
        (but(received=97), 3, "never arrived"),
        (but(received=101), 0, "before durable"),
        (but(missing_batches=2), 2, "sequence"),
        (but(conflicts=1), 0, "different content"),
        (but(counter_holes=4), 0, "counters"),
        (but(accepted=0, received=0), 0, "no readings"),
        (but(outages=0), 0, "outage"),
        (but(backlog_max=0), 0, "outage"),
        (but(kills=0), 0, "killed"),
        (but(replayed=0), 0, "replayed"),
        (but(clean_stop=False), 0, "stop"),
    ],
)
def test_one_thing_wrong_is_enough_and_is_named(facts: Facts, lost: int, word: str) -> None:
    verdict = judge(facts)
    assert not verdict.ok
    assert verdict.lost == lost
    assert [text for text in verdict.against if word in text]
    assert len(verdict.against) == 1


def test_a_missing_batch_is_not_counted_a_second_time() -> None:
    assert judge(but(received=90, missing_batches=2)).lost == 10


def test_what_still_waits_is_not_lost() -> None:
    assert judge(but(received=90, kept=10)).ok


@given(accepted=st.integers(0, 1000), received=st.integers(0, 1000), kept=st.integers(0, 1000), gone=st.integers(0, 9))
def test_good_means_that_the_books_agree(accepted: int, received: int, kept: int, gone: int) -> None:
    verdict = judge(but(accepted=accepted, received=received, kept=kept, missing_batches=gone))
    assert verdict.ok == (accepted == received + kept and gone == 0 and accepted > 0)
    assert verdict.lost >= 0
    assert verdict.ok == (not verdict.against)


@pytest.mark.parametrize(
    ("hole", "missing"),
    [
        (Hole(5, 9, 1000.0, 5000.0), 0),  # around the whole death
        (Hole(5, 9, 2500.0, 5000.0), 0),  # the last reading before it was taken but not accepted in time
        (Hole(5, 9, 100.0, 900.0), 5),  # before it
        (Hole(5, 9, 4100.0, 9000.0), 5),  # after it
    ],
)
def test_only_a_death_of_the_gateway_explains_missing_counts(hole: Hole, missing: int) -> None:
    assert unexplained([hole], [Window(2000.0, 4000.0)]) == missing
    assert unexplained([hole], []) == 5
