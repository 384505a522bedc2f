"""The high-water mark as a line of text, and what it says about a database."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.spool.highwater import HighWater
from gateway.spool.totals import LARGEST_SEQ, Totals

numbers = st.integers(0, LARGEST_SEQ - 1)
marks = st.builds(HighWater, *[numbers] * 7)


@given(marks)
def test_it_reads_what_it_writes(mark):
    assert HighWater.read(mark.packed) == mark
    assert len(mark.packed) == len(HighWater().packed)


def test_a_line_of_an_older_version_says_nothing_of_what_it_did_not_know():
    line = " ".join(f"{number:020}" for number in range(1, 7))
    assert HighWater.read(f"{line} {zlib.crc32(line.encode()):010}\n".encode()) == HighWater(1, 2, 3, 4, 5, 6)


@given(st.binary(max_size=200))
def test_whatever_else_stands_there_says_nothing(content):
    assert HighWater.read(content) == HighWater()


@given(marks, st.data())
def test_a_changed_line_says_nothing(mark, data):
    changed = bytearray(mark.packed.rstrip())
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] ^= data.draw(st.integers(1, 255))
    assert HighWater.read(bytes(changed)) in (HighWater(), mark)


@pytest.mark.parametrize(
    ("accepted", "waiting", "there", "lost"),
    [
        (100, 100, 100, 0),
        (100, 100, 70, 30),
        (100, 10, 70, 10),  # of the 30 that are gone 20 had been delivered
        (100, 0, 0, 0),
        (100, 40, 0, 40),
        (100, 40, 130, 0),  # the mark is older than the database
    ],
)
def test_at_most_what_waited_is_lost(accepted, waiting, there, lost):
    mark = HighWater(7, 5, accepted, waiting)
    assert mark.lost_readings(Totals(last_seq=7, accepted_readings=there)) == lost
