import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.batch import Batch, Kind, Reading
from gateway.errors import BadBatch
from gateway.spool.codec import checksum, decode, encode

readings = st.builds(
    Reading,
    ts_ns=st.integers(-(2**63), 2**63 - 1),
    value=st.text(st.characters(exclude_categories=["Cs"])),
    point=st.integers(0, 2**32 - 1),
    status=st.just(0),
    kind=st.just(Kind.STR),
    flags=st.integers(0, 7),
)


@given(st.lists(readings))
def test_a_blob_reads_back_as_the_batch_it_was_made_of(given_readings):
    batch = Batch.of(given_readings)
    codec, data = encode(batch)
    assert decode(codec, data, readings=len(batch)) == batch


def test_a_blob_of_an_unknown_codec_is_refused():
    _, data = encode(Batch.of([Reading(1, 2.0, 3)]))
    with pytest.raises(BadBatch, match="codec 99"):
        decode(99, data, readings=1)


@pytest.mark.parametrize("readings", [0, 1, 3])
def test_a_blob_that_holds_another_number_of_readings_is_refused(readings):
    codec, data = encode(Batch.of([Reading(1, 2.0, 3)] * 2))
    with pytest.raises(BadBatch, match="do not hold"):
        decode(codec, data, readings=readings)


@given(st.lists(readings, min_size=1), st.data())
def test_the_checksum_tells_a_changed_bit(given_readings, data):
    _, blob = encode(Batch.of(given_readings))
    bit = data.draw(st.integers(0, len(blob) * 8 - 1))
    changed = bytearray(blob)
    changed[bit // 8] ^= 1 << bit % 8
    assert checksum(b"plc", bytes(changed)) != checksum(b"plc", blob)
    assert checksum(b"plb", blob) != checksum(b"plc", blob)
