"""How the backlog flows: its rate follows the broker's answers, and devices take turns."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.batch import Batch, Reading
from gateway.config.models import OfflineSettings, UplinkSettings
from gateway.demo.broker import Broker
from gateway.uplink.throttle import FALL, FORGET_S, LEAST_PART, PATIENCE_S, ROUND_S, STEPS, Throttle, next_rate
from gateway.uplink.turns import in_turns
from tests.gateway.uplink.support import Plant, StoredRow, subscribed
from tests.waiting import until

MOST = 10_000.0
STEP = MOST / STEPS


@pytest.mark.parametrize(
    ("rate", "answer_s", "usual_s", "expected"),
    [
        (1_000.0, 0.002, 0.002, 1_000 + STEP),
        (1_000.0, 0.002 + PATIENCE_S, 0.002, 1_000 + STEP),
        (1_000.0, 0.003 + PATIENCE_S, 0.002, 1_000 * FALL),
        (1_000.0, 0.390, 0.200, 1_000 + STEP),  # a long way: it may take twice as long
        (1_000.0, 0.410, 0.200, 1_000 * FALL),
        (MOST, 0.002, 0.002, MOST),
        (MOST * LEAST_PART, 9.0, 0.002, MOST * LEAST_PART),
    ],
)
def test_one_round(rate, answer_s, usual_s, expected):
    assert next_rate(rate, most=MOST, answer_s=answer_s, usual_s=usual_s) == pytest.approx(expected)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1), st.booleans()), max_size=60))
def test_the_rate_stays_within_its_bounds_and_changes_only_while_the_backlog_flows(answers):
    throttle, now_s = Throttle(most=MOST, now_s=0.0), 0.0
    for took_s, later_s, draining in answers:
        before, now_s = throttle.rate, now_s + later_s
        throttle.answered(took_s, now_s, draining=draining)
        assert MOST * LEAST_PART <= throttle.rate <= MOST
        assert draining or throttle.rate == before


def line(capacity, *, rounds=400, seed=5):
    """The mean rate of the last half, of a backlog over a way that bears `capacity` readings a second.

    What is sent beyond it queues up, and each answer takes as long as the queue before it.
    """
    chance = random.Random(seed)
    throttle, queue, now_s, rates = Throttle(most=MOST, now_s=0.0), 0.0, 0.0, []
    throttle.answered(0.002, 0.0, draining=False)
    longest_s = 0.0
    for round_ in range(rounds):
        for _ in range(10):
            now_s += ROUND_S / 10
            queue = max(0.0, queue + (throttle.rate - capacity) * ROUND_S / 10)
            took_s = 0.002 + chance.random() * 0.001 + queue / capacity
            throttle.answered(took_s, now_s, draining=True)
            longest_s = max(longest_s, took_s if round_ > rounds / 2 else 0.0)
        rates.append(throttle.rate)
    return sum(rates[rounds // 2 :]) / (rounds - rounds // 2), longest_s


@pytest.mark.parametrize("capacity", [500, 2_000, 6_000])
def test_it_finds_what_the_way_bears_and_keeps_its_queue_short(capacity):
    rate, longest_s = line(capacity)
    assert capacity * 0.7 < rate < capacity * 1.15
    assert longest_s < 0.3


def test_a_way_that_bears_all_gets_all():
    assert line(50_000)[0] == MOST


def test_live_answers_between_those_of_the_backlog_do_not_hold_the_rate_where_it_is():
    throttle = Throttle(most=MOST, now_s=0.0)
    for number in range(200):
        throttle.answered(0.001, number * 0.05, draining=number % 2 == 0)
    assert throttle.rate == MOST


def test_what_is_usual_is_learned_anew():
    throttle = Throttle(most=MOST, now_s=0.0)
    throttle.answered(0.001, 0.0, draining=False)
    now_s = 0.0
    while now_s < 3 * FORGET_S:  # the network now leads another way, which is longer
        now_s += 0.1
        throttle.answered(0.1, now_s, draining=True)
    falls = throttle.falls
    assert falls
    while now_s < 4 * FORGET_S:
        now_s += 0.1
        throttle.answered(0.1, now_s, draining=True)
    assert throttle.falls == falls
    assert throttle.rate == MOST


def row(seq, device, readings):
    return StoredRow(seq, device, Batch.of(Reading(seq, 1.0, 1) for _ in range(readings)))


def test_a_small_device_does_not_wait_for_all_that_a_large_one_has():
    rows = [*(row(seq, "large", 100) for seq in range(1, 51)), *(row(seq, "small", 1) for seq in range(51, 56))]
    sent = in_turns(rows)
    assert [one.seq for one in sent if one.device == "small"] == [51, 52, 53, 54, 55]
    assert [place for place, one in enumerate(sent) if one.device == "small"] == [1, 2, 3, 4, 5]


rows_of_three = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 20)), max_size=40).map(
    lambda drawn: [row(seq, device, readings) for seq, (device, readings) in enumerate(drawn, start=1)]
)


@given(rows_of_three)
def test_turns_keep_each_devices_order_and_let_no_device_get_ahead(rows):
    sent = in_turns(rows)
    assert sorted(one.seq for one in sent) == [one.seq for one in rows]
    for device in "abc":
        own = [one.seq for one in sent if one.device == device]
        assert own == sorted(own)
    had: Counter[str] = Counter()
    left = Counter(one.device for one in rows)
    for one in sent:
        others = [had[device] for device in left if left[device] and device != one.device]
        assert all(had[one.device] <= other for other in others), "another one had less and still has some"
        had[one.device] += len(one.batch)
        left[one.device] -= 1


async def test_the_small_devices_backlog_arrives_between_the_large_ones(broker: Broker):
    plant = Plant(UplinkSettings(host="127.0.0.1", port=broker.port), OfflineSettings())
    for value in range(60):
        plant.store(*[float(value)] * 20, device="large")
    small = [plant.store(float(value), device="small") for value in range(5)]
    async with subscribed(broker.port, "tidegate/gw/data/#") as subscriber, plant.connected():
        await until(lambda: len(subscriber.data()) == 65)
        places = [place for place, seq in enumerate(subscriber.seqs(replayed=True)) if seq in small]
        assert max(places) < 10
        drain = plant.uplink.status["drain"]
        assert drain["readings_per_s"] > 0
    assert not plant.spool.rows
