"""Whatever a disk makes of the columns of a row or a block, it is refused as damaged, and nothing else is raised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.batch import Batch, Kind, Reading
from gateway.errors import BadBatch
from gateway.spool.block import Entry
from gateway.spool.blocks import Left, open_block, seal
from gateway.spool.codec import checksum, encode
from gateway.spool.rows import read_row
from gateway.spool.stored import StoredBlock
from tests.gateway.spool.harness import batch_of, drain, execute, running
from tests.waiting import until

BATCH = Batch.of([Reading(1, 2.5, 3), Reading(1, "text", 4, kind=Kind.STR)])
_, DATA = encode(BATCH)
ROW = (7, b"plc", 1_000, 2, 1, checksum(b"plc", DATA), DATA)
SEALED = seal([Entry(seq, 1_000, "plc", BATCH) for seq in (10, 11, 13)])
BLOCK = (*SEALED.columns[:5], *SEALED.columns[6:])

# What SQLite can hand out with `text_factory = bytes`.
fields = st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 20) | st.floats() | st.binary(max_size=5)


def spoilt(columns, data):
    found = list(columns)
    for place in data.draw(st.sets(st.integers(1, len(columns) - 1), min_size=1, max_size=3)):
        found[place] = data.draw(fields)
    return found


@given(st.data())
def test_a_row(data):
    columns = spoilt(ROW, data)
    try:
        row = read_row(columns)
    except (BadBatch, UnicodeDecodeError):
        return
    assert (row.batch, row.device) == (BATCH, "plc")
    assert isinstance(row.at_ns, int)


@given(st.data())
def test_a_block(data):
    columns = spoilt(BLOCK, data)
    if columns != list(BLOCK):
        with pytest.raises(BadBatch):
            open_block(columns)


@given(fields, fields)
def test_what_is_left_of_a_block(first, packed):
    with pytest.raises(BadBatch):
        Left.read(13, first, packed)


@pytest.mark.parametrize("seqs", [(10, 11, 14), (9, 11, 13), (10, 10, 13), (10, 12, 11, 13)])
def test_a_block_whose_numbers_are_not_those_of_its_row_is_refused(seqs):
    """The checksum is right: a fault of ours, or a file that somebody made."""
    entries = [Entry(seq, 1_000, "plc", BATCH) for seq in seqs]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.spool.blocks.decode_block", lambda *_args, **_counts: entries)
        with pytest.raises(BadBatch, match="numbers"):
            open_block(BLOCK)
        with pytest.raises(BadBatch, match="numbers"):
            StoredBlock(BLOCK, SEALED.left).rows()


@pytest.mark.parametrize("column", ["batches = -1", "readings = 1 << 40", "at_ns = 'x'", "checksum = 'a'"])
async def test_a_block_with_a_spoilt_column_is_set_aside_and_the_rest_goes_on(tmp_path, column):
    path = tmp_path / "spool.db"
    async with running(path) as spool:
        seqs = [await spool.append("plc", batch_of(10, mark=n)) for n in range(8)]
        spool._merger.readings = 50
        assert await spool._merger.merge() == 50
    execute(path, f"UPDATE blocks SET {column}")
    async with running(path) as spool:
        assert [row.seq for row in await drain(spool)] == seqs[5:]
        await until(lambda: spool.stats.set_aside_batches == 1)
        assert spool.stats.dropped == {"corrupt": 50}
