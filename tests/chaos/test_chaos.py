"""The short form: twenty rounds, and the parts that decide.

Planted to see that the rounds notice it: acknowledging rows when they are sent instead of when the broker has them
(`courier.py`) loses readings within twenty rounds of seed 1.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.ledger import Hole, Message, MessageReading
from gateway.demo.verdict import Window
from gateway.gap import Gap
from tests.chaos.book import Book
from tests.chaos.plan import LONGEST_S, MOST_FAULTS, Kind, plan
from tests.chaos.tap import Tap
from tests.chaos.verdict import LATE_MS, Facts, judge

SEED = 1
ROUNDS = 20

CLEAN = Facts(
    accepted=100,
    received=90,
    kept=10,
    dropped=0,
    missing_batches=0,
    conflicts=0,
    backwards=0,
    opcua_holes=(),
    modbus_holes=(),
    unread=(),
    gaps=(),
    opcua_device="o",
    modbus_device="m",
)


@pytest.mark.timeout(300)
def test_twenty_rounds_lose_nothing_and_explain_the_rest() -> None:
    command = [sys.executable, "-m", "tests.chaos", "--seed", str(SEED), "--rounds", str(ROUNDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "0 lost, 0 unexplained"


@given(st.integers(0, 1 << 32), st.integers(1, 30))
def test_a_seed_gives_the_same_faults_again_and_more_rounds_only_more_of_them(seed: int, rounds: int) -> None:
    drawn = plan(seed, rounds)
    assert plan(seed, rounds + 5)[:rounds] == drawn
    for faults in drawn:
        assert 1 <= len(faults) <= MOST_FAULTS
        assert len({fault.kind for fault in faults}) == len(faults)
        assert all(fault.at_s >= 0 and 0 < fault.for_s <= 2 * LONGEST_S for fault in faults)


def test_the_short_form_has_every_kind_of_fault() -> None:
    assert {fault.kind for faults in plan(SEED, ROUNDS) for fault in faults} == set(Kind)


HOLE = Hole(5, 7, 1_000.0, 4_000.0)
COVERING = Gap("o", "overflow", 2_000_000_000, 3_000_000_000, 3)


@pytest.mark.parametrize(
    ("facts", "lost", "unexplained", "says"),
    [
        (CLEAN, 0, 0, ""),
        (replace(CLEAN, received=89), 1, 0, "neither arrived nor count"),
        (replace(CLEAN, received=95), 0, 0, "never accepted"),
        (replace(CLEAN, missing_batches=2), 0, 0, "missing in the sequence"),
        (replace(CLEAN, received=80, dropped=10), 0, 0, "the gap ledger tells of 0"),
        (replace(CLEAN, received=80, dropped=10, gaps=[Gap("", "spool_full", 0, 9, 10)]), 0, 0, ""),
        (replace(CLEAN, conflicts=1), 0, 0, "different content"),
        (replace(CLEAN, backwards=1), 0, 0, "from before"),
        (replace(CLEAN, opcua_holes=[HOLE]), 0, 3, "OPC UA"),
        (replace(CLEAN, opcua_holes=[HOLE], unread=[Window(0, 9e9)]), 0, 3, "OPC UA"),
        (replace(CLEAN, opcua_holes=[HOLE], gaps=[COVERING]), 0, 0, ""),
        (replace(CLEAN, opcua_holes=[HOLE], gaps=[COVERING._replace(device="m")]), 0, 3, "OPC UA"),
        (replace(CLEAN, modbus_holes=[HOLE]), 0, 3, "Modbus"),
        (replace(CLEAN, modbus_holes=[HOLE], unread=[Window(3_000, 3_500)]), 0, 0, ""),
        (replace(CLEAN, modbus_holes=[HOLE], unread=[Window(5_000, 5_500)]), 0, 3, "Modbus"),
        (replace(CLEAN, modbus_holes=[HOLE._replace(to_ms=HOLE.from_ms + LATE_MS)]), 0, 0, ""),
        (replace(CLEAN, modbus_holes=[HOLE], gaps=[COVERING._replace(device="m")]), 0, 0, ""),
    ],
)
def test_the_verdict(facts: Facts, lost: int, unexplained: int, says: str) -> None:
    verdict = judge(facts)
    assert (verdict.lost, verdict.unexplained) == (lost, unexplained)
    assert says in " ".join(verdict.against)
    assert bool(verdict.against) == bool(says)


def test_the_book_finds_counts_that_came_between_no_two_samples() -> None:
    book = Book()
    for seq, (at_ms, count) in enumerate([(30.0, 7), (10.0, 3), (20.0, 3), (40.0, 8), (50.0, 5)]):
        reading = MessageReading("Count.0001", at_ms, count, "good")
        message = Message("g", "m", seq, 0, replayed=False, readings=[reading])
        assert book.add(message, arrived_ms=99.0)
        assert not book.add(message, arrived_ms=99.0)
    assert book.modbus_holes() == {"Count.0001": [Hole(4, 6, 20.0, 30.0)]}
    assert book.backwards() == 1
    assert book.samples == 5


def publish(packet_id: int, payload: bytes) -> bytes:
    """MQTT 5, 3.3: QoS 1, a topic, one property."""
    body = b"\x00\x03a/b" + packet_id.to_bytes(2, "big") + b"\x02\x01\x01" + payload
    size = bytes([len(body) & 0x7F | 0x80, len(body) >> 7]) if len(body) > 127 else bytes([len(body)])
    return b"\x32" + size + body


@given(st.data())
def test_the_tap_sees_what_was_acknowledged_however_it_is_cut_into_pieces(data: st.DataObject) -> None:
    taken: list[bytes] = []
    tap = Tap(taken.append)
    there = b"\x10\x02xx" + publish(1, b"x" * 300) + b"\xc0\x00" + publish(2, b"two") + publish(3, b"three")
    back = b"\x40\x02\x00\x02" + b"\x40\x03\x00\x03\x87" + b"\xd0\x00" + b"\x40\x04\x00\x01\x10\x00"
    for stream, from_broker in ((there, False), (back, True)):
        at = 0
        while at < len(stream):
            step = data.draw(st.integers(1, 40))
            tap.feed(stream[at : at + step], from_broker=from_broker)
            at += step
    assert taken == [b"two", b"x" * 300], "and not the one that was refused"


def test_what_the_broker_acknowledged_and_forgot_has_arrived() -> None:
    book = Book()
    payload = b'{"gateway":"g","device":"m","seq":%d,"part":0,"replayed":false,"readings":[%s]}'
    reading = b'{"tag":"Count.0001","ts":1.0,"value":1,"quality":"good"}'
    for seq in (1, 2):
        book.taken(payload % (seq, reading))
    book.taken(b'{"cause":"overflow"}')
    book.add(msgspec.json.decode(payload % (1, reading), type=Message), arrived_ms=2.0)
    book.take_the_forgotten()
    assert (book.received, book.forgotten, book.duplicates, book.conflicts) == (2, 1, 0, 0)
