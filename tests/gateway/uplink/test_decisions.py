"""The pure parts: rate, live queue, window, holds, coverage, texts."""

from __future__ import annotations

import socket
import ssl

import pytest
from aiomqtt import MqttCodeError, MqttError
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from gateway.batch import Batch
from gateway.uplink.contract import LiveRow, Message
from gateway.uplink.coverage import Coverage
from gateway.uplink.holds import Holds
from gateway.uplink.live import LiveQueue
from gateway.uplink.rate import TokenBucket
from gateway.uplink.troubles import connect_trouble, lost_trouble
from gateway.uplink.window import Delivery, Flight, Window


def row(seq: int, readings: int = 1) -> LiveRow:
    return LiveRow(seq, "press", Batch(bytes(24 * readings)))


class TestTokenBucket:
    @given(st.integers(1, 10_000), st.lists(st.integers(1, 5_000), min_size=1, max_size=50))
    def test_the_long_run_rate_holds(self, rate, sizes) -> None:
        bucket = TokenBucket(rate=rate, burst=rate / 10, now_s=0.0)
        now_s = 0.0
        for size in sizes:
            now_s += bucket.wait_s(now_s)
            assert bucket.wait_s(now_s) < 1e-6
            bucket.take(size, now_s)
        # Everything but the last row was paid for: by the burst, or by time.
        assert sum(sizes[:-1]) <= rate / 10 + rate * now_s + 1e-3

    def test_what_gathers_is_bounded(self) -> None:
        bucket = TokenBucket(rate=100, burst=10, now_s=0.0)
        bucket.take(10, 1_000.0)
        assert bucket.wait_s(1_000.0) == pytest.approx(0.0, abs=1e-6)
        bucket.take(50, 1_000.0)
        assert bucket.wait_s(1_000.0) == pytest.approx(0.5)
        assert bucket.wait_s(1_000.6) == 0.0

    def test_a_clock_that_stands_still_or_steps_back_gives_nothing(self) -> None:
        bucket = TokenBucket(rate=100, burst=10, now_s=5.0)
        bucket.take(110, 5.0)
        assert bucket.wait_s(4.0) == pytest.approx(1.0)


class TestLiveQueue:
    def test_first_in_first_out(self) -> None:
        queue = LiveQueue(10)
        assert all(queue.offer(row(seq)) for seq in (1, 2, 3))
        assert [queue.take().seq for _ in range(3)] == [1, 2, 3]
        assert queue.take() is None
        assert queue.readings == 0

    def test_after_an_overflow_it_takes_nothing_until_half_empty(self) -> None:
        queue = LiveQueue(10)
        assert [queue.offer(row(seq, 3)) for seq in (1, 2, 3, 4)] == [True, True, True, False]
        assert not queue.offer(row(5, 1))  # it would fit, but 4 does not come before it
        queue.take()
        assert not queue.offer(row(6, 1))
        queue.take()
        assert queue.offer(row(7, 1))

    def test_a_row_larger_than_the_queue_never_enters(self) -> None:
        assert not LiveQueue(10).offer(row(1, 11))


class TestWindow:
    @staticmethod
    def fill(window: Window, count: int, *, replayed: bool, first_id: int = 1) -> None:
        for packet_id in range(first_id, first_id + count):
            delivery = Delivery(row(packet_id), replayed=replayed, messages=iter(()))
            window.sent(packet_id, Flight(delivery, Message("t", b"", 1, 0), float(packet_id)))

    @pytest.mark.parametrize(("size", "share"), [(1, 1), (2, 1), (3, 1), (16, 8), (1000, 500)])
    def test_the_backlog_gets_half(self, size, share) -> None:
        window = Window(size)
        self.fill(window, share, replayed=True)
        assert not window.has_room(replayed=True)
        assert window.has_room(replayed=False) == (size > 1)

    def test_live_may_use_all_of_it(self) -> None:
        window = Window(4)
        self.fill(window, 4, replayed=False)
        assert not window.has_room(replayed=False)
        window.answered(2)
        assert window.has_room(replayed=False)
        assert window.has_room(replayed=True)

    def test_the_oldest_is_the_first_unanswered(self) -> None:
        window = Window(4)
        assert window.oldest_s is None
        self.fill(window, 3, replayed=True)
        window.answered(1)
        assert window.oldest_s == 2.0
        assert window.answered(1) is None


class TestHolds:
    def test_pauses_double_with_each_try_up_to_the_longest(self) -> None:
        holds = Holds(5.0)
        now_s, pauses = 0.0, []
        for _ in range(5):
            holds.refused("press", reason="no", now_s=now_s)
            holds.refused("press", reason="no", now_s=now_s)  # in flight beside the first
            assert "press" in holds
            release_s = holds.next_release_s()
            pauses.append(release_s - now_s)
            assert not holds.release(release_s - 0.01)
            assert holds.release(release_s)
            assert "press" not in holds
            now_s = release_s
        assert pauses == [1.0, 2.0, 4.0, 5.0, 5.0]

    def test_success_starts_anew(self) -> None:
        holds = Holds(60.0)
        holds.refused("press", reason="no", now_s=0.0)
        holds.release(1.0)
        holds.accepted("press")
        holds.refused("press", reason="no", now_s=10.0)
        assert holds.next_release_s() == 11.0

    def test_a_late_success_does_not_end_a_hold(self) -> None:
        holds = Holds(60.0)
        holds.refused("press", reason="no", now_s=0.0)
        holds.accepted("press")
        assert "press" in holds
        assert "oven" not in holds
        assert holds.reasons() == {"press": "no"}


class CoverageMachine(RuleBasedStateMachine):
    """Any order of commits, offers, queries, answers, refusals: no row is out twice, and none is forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: dict[int, LiveRow] = {100: row(100)}
        self.next_saved = 1
        self.next_seq = 101
        self.unoffered: list[int] = []
        self.coverage = Coverage(None)
        self.out: set[int] = set()
        self.query: tuple[list[LiveRow], int | None] | None = None

    @rule()
    def commit(self) -> None:
        self.stored[self.next_seq] = row(self.next_seq)
        self.unoffered.append(self.next_seq)
        self.next_seq += 1

    @precondition(lambda self: self.unoffered)
    @rule(fits=st.booleans(), lost=st.sampled_from([False, False, False, True]))
    def offer(self, fits, lost) -> None:
        seq = self.unoffered.pop(0)
        if lost or not self.coverage.offered(seq):
            return
        if fits:
            self.send(seq)
        else:
            self.coverage.missed(seq)

    @rule(count=st.integers(1, 4))
    def save(self, count) -> None:
        """Rows of a damaged file come in below all others."""
        first, self.next_saved = self.next_saved, self.next_saved + count
        self.stored |= {seq: row(seq) for seq in range(first, self.next_saved) if seq < 100}
        if first < 100:
            self.coverage.came_late(first, min(99, self.next_saved - 1))

    @precondition(lambda self: self.query is None and self.coverage.due)
    @rule(limit=st.integers(1, 4))
    def ask(self, limit) -> None:
        after, upto = self.coverage.query()
        found = [r for seq, r in sorted(self.stored.items()) if seq > after and (upto is None or seq <= upto)]
        self.query = found[:limit], upto

    @precondition(lambda self: self.query is not None)
    @rule()
    def answer(self) -> None:
        rows, upto = self.query
        self.query = None
        for found in self.coverage.fetched(rows, upto=upto):
            self.send(found.seq)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), accepted=st.booleans())
    def puback(self, data, accepted) -> None:
        seq = data.draw(st.sampled_from(sorted(self.out)))
        self.out.discard(seq)
        if accepted:
            del self.stored[seq]
            self.coverage.settle(seq)
        else:
            self.coverage.hold(seq)

    @precondition(lambda self: self.query is None)  # the reader does both, one after the other
    @rule()
    def release(self) -> None:
        self.coverage.release()
        self.coverage.confirm()

    def send(self, seq: int) -> None:
        assert seq in self.stored, "sent after it was acknowledged"
        assert seq not in self.out, "sent while it was under way"
        self.coverage.own(seq)
        self.out.add(seq)

    def teardown(self) -> None:
        while self.unoffered:
            self.offer(fits=False, lost=False)
        self.commit()
        self.offer(fits=True, lost=False)  # numbers left out show with the next offer
        for _ in range(3 * self.next_seq):
            if self.query is not None:
                self.answer()
            for seq in sorted(self.out):
                self.out.discard(seq)
                del self.stored[seq]
                self.coverage.settle(seq)
            self.release()
            if self.coverage.due:
                self.ask(limit=4)
        assert not self.stored, "rows that nobody will ever send"
        assert not self.coverage.due


TestCoverage = CoverageMachine.TestCase
TestCoverage.settings = settings(max_examples=200, stateful_step_count=40)


class TestCoverageByHand:
    def test_a_row_settled_while_the_query_ran_is_not_sent_again(self) -> None:
        coverage = Coverage(None)
        coverage.query()
        assert coverage.offered(7)
        coverage.own(7)
        coverage.settle(7)
        assert coverage.fetched([row(6), row(7)], upto=None) == [row(6)]

    def test_an_offer_of_a_row_that_was_read_already_is_let_go(self) -> None:
        coverage = Coverage(None)
        coverage.query()
        assert coverage.fetched([row(6), row(7)], upto=None) == [row(6), row(7)]
        assert not coverage.offered(7)
        assert coverage.offered(8)
        assert not coverage.due

    def test_held_rows_are_not_due_until_they_are_released(self) -> None:
        coverage = Coverage(9)
        coverage.query()
        coverage.fetched([row(3), row(9)], upto=9)
        coverage.hold(3)
        coverage.offered(10)
        coverage.hold(10)
        assert not coverage.due
        coverage.release()
        assert coverage.query() == (2, 10)

    def test_numbers_left_out_before_the_first_offer_are_due(self) -> None:
        coverage = Coverage(None)
        coverage.query()
        coverage.fetched([], upto=None)
        assert not coverage.due
        assert coverage.offered(7)
        assert coverage.due
        assert coverage.query() == (0, 6)

    def test_rows_that_come_in_below_the_cursor_are_read_also_where_a_query_has_passed_them(self) -> None:
        coverage = Coverage(9)
        coverage.query()
        coverage.came_late(3, 5)
        assert coverage.fetched([row(9)], upto=9) == [row(9)]
        assert coverage.due
        assert coverage.query() == (2, 9)
        assert coverage.fetched([row(3), row(4), row(5)], upto=9) == [row(3), row(4), row(5)]
        assert coverage.query() == (5, 9)

    def test_a_late_offer_after_a_release_is_let_go(self) -> None:
        coverage = Coverage(None)
        coverage.query()
        coverage.fetched([row(1), row(2)], upto=None)
        coverage.hold(1)
        coverage.release()
        assert not coverage.offered(2)


def reason(packet: int, code: int) -> ReasonCode:
    return ReasonCode(packet, identifier=code)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "Is the broker running"),
        (TimeoutError(), "no answer within 10 s"),
        (socket.gaierror(-2, "Name or service not known"), "the name 'mq' is not known"),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), "Does this port speak TLS"),
        (OSError(113, "No route to host"), "No route to host"),
        (MqttCodeError(reason(PacketTypes.CONNACK, 134)), "Bad user name or password (0x86). Check uplink.username"),
        (MqttCodeError(reason(PacketTypes.CONNACK, 132)), "try uplink.protocol 3.1.1"),
        (MqttCodeError(reason(PacketTypes.CONNACK, 151)), "A quota there is used up."),
        (MqttCodeError(3), "it refused us: [code:3]"),
        (MqttError("it hung up"), "it hung up. Does this port want TLS? Then add [uplink.tls]."),
        (ConnectionResetError(104, "Connection reset by peer"), "Does this port want TLS? Then add [uplink.tls]."),
    ],
)
def test_why_connecting_failed(error, expected) -> None:
    assert expected in connect_trouble(error, host="mq", timeout_s=10.0, tls=False)


def test_a_port_that_does_not_speak_tls() -> None:
    told = connect_trouble(ConnectionResetError(104, "Connection reset by peer"), host="mq", timeout_s=10.0, tls=True)
    assert told.endswith("If this port does not speak TLS (usually 1883), leave [uplink.tls] out.")
    assert connect_trouble(MqttError("it hung up"), host="mq", timeout_s=10.0, tls=True) == "it hung up."


def test_a_certificate_for_another_name() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "IP address mismatch, certificate is not valid for '127.0.0.1'."
    told = connect_trouble(error, host="127.0.0.1", timeout_s=10.0, tls=True)
    assert "not valid for '127.0.0.1'. Check uplink.tls.ca_file" in told


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MqttCodeError(reason(PacketTypes.DISCONNECT, 142)), "Another client uses our client id"),
        (MqttCodeError(reason(PacketTypes.DISCONNECT, 128)), "closed the connection, or the network did"),
        (MqttCodeError(reason(PacketTypes.DISCONNECT, 149)), "lower uplink.max_message_bytes"),
        (ConnectionResetError(104, "Connection reset by peer"), "the connection broke: [Errno 104]"),
        (None, "it ended the connection"),
    ],
)
def test_why_a_connection_ended(error, expected) -> None:
    assert expected in lost_trouble(error)
