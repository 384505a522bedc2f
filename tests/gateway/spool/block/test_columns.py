import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadBatch
from gateway.spool.block.columns import ColumnReader, ColumnWriter
from gateway.spool.block.lanes import pack
from gateway.spool.block.times import read_numbers, read_rising, write_numbers, write_rising

i64 = st.integers(-(2**63), 2**63 - 1)


def written(write):
    writer = ColumnWriter()
    write(writer)
    return ColumnReader(writer.done())


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 300)), st.binary(), st.integers(0, 2**64 - 1))
def test_columns_read_back_as_they_were_written(words, content, number):
    def write(writer):
        writer.words(pack(words))
        writer.number(number)
        writer.stream(content)

    reader = written(write)
    assert reader.words(len(words)) == pack(words)
    assert reader.number() == number
    assert reader.stream(len(content)) == content
    reader.end()


@given(st.lists(i64, max_size=30), st.integers(1, 10**12))
def test_numbers_read_back_whatever_divides_them(numbers, step):
    assert read_numbers(written(lambda writer: write_numbers(writer, numbers)), len(numbers)) == numbers
    multiples = [(number >> 45) * step for number in numbers]
    assert read_numbers(written(lambda writer: write_numbers(writer, multiples)), len(numbers)) == multiples


def test_a_common_step_is_taken_out():
    sizes = []
    for step in (1, 1_000_000):
        writer = ColumnWriter()
        write_numbers(writer, [number * number * step for number in range(100)])
        sizes.append(len(writer.done()))
    assert sizes[0] == sizes[1]


@given(st.lists(i64, min_size=1))
def test_rising_numbers_need_not_rise(numbers):
    assert read_rising(written(lambda writer: write_rising(writer, numbers)), len(numbers)) == numbers


@pytest.mark.parametrize(
    ("data", "read", "match"),
    [
        (b"", lambda r: r.number(), "too early"),
        (b"\x00", lambda r: r.end(), "too many"),
        (b"\x02\x01\0\0\0x", lambda r: r.stream(1), "way 2"),
        (b"\x00\x01\0\0\0x", lambda r: r.stream(2), "1 bytes where 2"),
        (b"\x00\xff\xff\xff\xffx", lambda r: r.stream(1), "too early"),
        (b"\x01\x02\0\0\0xx", lambda r: r.stream(1), "cannot be unpacked"),
    ],
)
def test_what_is_no_column_is_refused(data, read, match):
    with pytest.raises(BadBatch, match=match):
        read(ColumnReader(data))


@pytest.mark.parametrize("length", [0, 1, 999_999, 1_000_001])
def test_a_stream_gives_no_more_than_was_asked_for(length):
    packed = zlib.compress(bytes(1_000_000))
    with pytest.raises(BadBatch):
        ColumnReader(b"\x01" + len(packed).to_bytes(4, "little") + packed).stream(length)
