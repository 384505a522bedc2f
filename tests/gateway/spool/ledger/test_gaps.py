"""The ledger's arithmetic: rows grow, become fewer, are told; and nothing that was noted is missing from them."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.gap import JOIN_NS, Gap
from gateway.spool.ledger.gaps import LONGEST_NS, MOST_WAITING, QUIET_NS, Ledger, Noted, Telling

START_NS = 1_763_900_000_000_000_000
MOST = 6

gaps = st.builds(
    lambda device, cause, start, length, readings, tag: Gap(device, cause, start, start + length, readings, tag),
    st.sampled_from(["a", "b", "c", "d"]),
    st.sampled_from(["corrupt", "spool_full"]),
    st.integers(START_NS, START_NS + 5 * JOIN_NS),
    st.integers(0, JOIN_NS),
    st.integers(1, 9),
    st.sampled_from([None, "x", "y", "z"]),
)


def full(at_s, readings=1, device="a", **more):
    at_ns = START_NS + int(at_s * 1e9)
    return Gap(device, "spool_full", at_ns, at_ns + 10**9, readings, **more)


def noted(ledger, *some, now_ns=START_NS):
    change = ledger.change(some, now_ns=now_ns)
    if change is not None:
        ledger.adopt(change)
    return [entry.number for entry in change.rows] if change else []


def test_nothing_to_note_is_no_change():
    assert Ledger().change([], now_ns=START_NS) is None


def test_what_is_lost_next_to_it_lets_a_row_grow_and_what_is_lost_later_does_not():
    ledger = Ledger(last=7)
    assert noted(ledger, full(0), full(2), full(1)) == [8]
    assert noted(ledger, full(30, readings=5), now_ns=START_NS + 5) == [8]
    assert noted(ledger, full(300)) == [9]
    assert noted(ledger, full(301, device="b")) == [10]
    assert noted(ledger, full(302, tag="x")) == [11]
    (first, *_) = ledger.entries.values()
    assert first.gap == full(0)._replace(to_ns=full(30).to_ns, readings=8)
    assert (first.noted_ns, first.changed_ns) == (START_NS, START_NS + 5)


def test_a_row_that_is_being_told_does_not_grow():
    ledger = Ledger()
    noted(ledger, full(0))
    ledger.offered([1])
    assert noted(ledger, full(1)) == [2]
    assert noted(ledger, full(2)) == [2]
    ledger.told([1, 2])
    assert noted(ledger, full(3)) == [3]
    assert list(ledger.entries) == [3]


def test_a_row_is_told_when_it_is_quiet_and_also_when_it_never_is():
    ledger = Ledger()
    noted(ledger, full(0))

    def due(now_ns):
        return [entry.number for entry in ledger.due(now_ns=START_NS + now_ns, limit=9)]

    assert due(0) == due(QUIET_NS - 1) == []
    assert due(QUIET_NS) == [1]
    assert due(-1) == [1], "the clock was set back"
    for at_ns in range(0, LONGEST_NS, QUIET_NS // 2):
        assert due(at_ns) == []
        noted(ledger, full(at_ns / 1e9), now_ns=START_NS + at_ns)
    assert due(LONGEST_NS) == [1]
    ledger.offered([1])
    assert due(0) == [1], "what is being told waits for nothing"
    assert ledger.due(now_ns=START_NS, limit=9, but={1}) == []


def test_too_many_rows_become_one_for_each_device_and_cause_and_if_need_be_for_each_cause():
    ledger = Ledger(most_waiting=4)
    noted(ledger, *(full(1000 * n, tag="x") for n in range(4)))
    ledger.offered([1])
    noted(ledger, full(9000, device="b"))
    assert [entry.gap for entry in ledger.entries.values()] == [
        full(0, tag="x"),
        full(1000, tag="x")._replace(to_ns=full(3000).to_ns, readings=3),
        full(9000, device="b"),
    ]
    noted(ledger, *(full(0, device=device) for device in "cdef"))
    assert [(entry.number, entry.gap.device, entry.gap.readings) for entry in ledger.entries.values()] == [
        (1, "a", 1),
        (2, "", 8),
    ]
    assert noted(ledger, full(0)) == [10]


class LedgerLife(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.ledger = Ledger(most_waiting=MOST)
        self.disk = {}
        """What is in the file, told rows included."""
        self.numbers = set()
        self.noted = []
        self.frozen = {}

    @rule(some=st.lists(gaps, max_size=9), committed=st.booleans())
    def note(self, some, committed):
        change = self.ledger.change(some, now_ns=START_NS)
        assert change == self.ledger.change(some, now_ns=START_NS), "it changes nothing"
        if change is None or not committed:
            return
        fresh = [entry.number for entry in change.rows if entry.number > self.ledger.last]
        assert not self.numbers & set(fresh)
        self.numbers.update(range(self.ledger.last + 1, change.last + 1))
        for number in change.gone:
            self.disk.pop(number, None)
        self.disk.update({entry.number: entry for entry in change.rows})
        self.ledger.adopt(change)
        self.noted += some

    @rule(data=st.data())
    def offer(self, data):
        waiting = [number for number, entry in self.ledger.entries.items() if entry.telling is Telling.WAITING]
        if waiting:
            number = data.draw(st.sampled_from(waiting))
            self.ledger.offered([number])
            self.disk[number] = self.disk[number]._replace(telling=Telling.OFFERED)
            self.frozen[number] = self.disk[number].gap

    @rule(data=st.data())
    def tell(self, data):
        offered = [number for number, entry in self.ledger.entries.items() if entry.telling is Telling.OFFERED]
        if offered:
            number = data.draw(st.sampled_from(offered))
            self.ledger.told([number])
            self.disk[number] = self.disk[number]._replace(telling=Telling.TOLD)

    @rule()
    def start_again(self):
        """With what is in the file."""
        untold = [entry for entry in self.disk.values() if entry.telling is not Telling.TOLD]
        self.ledger = Ledger(untold, last=self.ledger.last, changes=self.ledger.changes, most_waiting=MOST)

    @invariant()
    def memory_is_what_is_in_the_file(self):
        untold = {number: entry for number, entry in self.disk.items() if entry.telling is not Telling.TOLD}
        assert dict(self.ledger.entries) == untold
        assert list(self.ledger.entries) == sorted(untold)

    @invariant()
    def what_was_handed_out_never_changes(self):
        assert all(self.disk[number].gap == gap for number, gap in self.frozen.items())

    @invariant()
    def rows_are_few(self):
        waiting = [entry for entry in self.ledger.entries.values() if entry.telling is Telling.WAITING]
        assert len(waiting) <= MOST

    @invariant()
    def everything_that_was_noted_is_told_of_and_counted_once(self):
        rows = [entry.gap for entry in self.disk.values()]
        for gap in self.noted:
            assert any(
                row.cause == gap.cause
                and row.device in ("", gap.device)
                and (row.tag is None or (row.device, row.tag) == (gap.device, gap.tag))
                and row.from_ns <= gap.from_ns
                and gap.to_ns <= row.to_ns
                for row in rows
            )
        assert by_cause(rows) == by_cause(self.noted)


def by_cause(some):
    readings = Counter()
    for gap in some:
        readings[gap.cause] += gap.readings
    return readings


LedgerLife.TestCase.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
TestLedgerLife = LedgerLife.TestCase


def test_what_waits_for_a_transaction_is_bounded_and_keeps_its_count():
    waiting = Noted()
    waiting.add([full(1000 * n, tag=f"t{n}") for n in range(5)])
    in_doubt = waiting.take()
    for n in range(MOST_WAITING + 10):
        waiting.add([full(1000 * n, device=f"d{n}")])
    assert len(waiting) < MOST_WAITING
    assert waiting.take()[:5] == in_doubt
    assert sum(gap.readings for gap in waiting.take()) == MOST_WAITING + 15
    waiting.done(5)
    assert sum(gap.readings for gap in waiting.take()) == MOST_WAITING + 10
