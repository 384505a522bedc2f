"""Batches of every sort, for Hypothesis: any bits where bits are free, and what plants send."""

import struct

from hypothesis import strategies as st

from gateway.batch import Batch, Kind, Reading
from gateway.spool.block import Entry

i64 = st.integers(-(2**63), 2**63 - 1)
times = st.integers(0, 50).map(lambda n: 1_763_900_000_000_000_000 + n * 1_000_000) | i64
words = (
    st.integers(0, 2**64 - 1)
    | st.integers(0, 3)
    | st.floats().map(lambda x: struct.unpack("<Q", struct.pack("<d", x))[0])
    | st.integers(-500, 500).map(lambda n: struct.unpack("<Q", struct.pack("<d", n / 100))[0])
    | st.sampled_from([0x7FF8000000000000, 0x7FF8000000000001, 0x8000000000000000, 0xFFF0000000000000])
)
records = st.builds(
    lambda ts, word, point, status, kind, flags: struct.pack("<qQIHBB", ts, word, point, status, kind, flags),
    times,
    words,
    st.integers(0, 5) | st.integers(0, 2**32 - 1),
    st.sampled_from([0, 0, 0x8005]) | st.integers(0, 2**16 - 1),
    st.sampled_from(list(Kind)) | st.integers(0, 255),
    st.integers(0, 255),
)
# Any records with any heap: also words of texts that point nowhere.
wild = st.builds(
    lambda found, heap: Batch(b"".join(found), heap), st.lists(records, min_size=1, max_size=4), st.binary(max_size=9)
)
numbers = st.builds(lambda *fields: Reading(*fields), times, st.floats(width=32), st.integers(1, 4))
texts = st.builds(
    lambda ts_ns, text, point: Reading(ts_ns, text, point, kind=Kind.STR),
    times,
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    st.integers(5, 6),
)
tame = st.lists(numbers | texts, min_size=1, max_size=6).map(Batch.of)
sliced = st.builds(lambda batch, start: batch.slice(start % len(batch), len(batch)), tame, st.integers(0, 11))
entries = st.lists(
    st.builds(Entry, st.integers(1, 2**53), times, st.sampled_from(["press", "tank", "Füller"]), tame | wild | sliced),
    min_size=1,
    max_size=6,
)
