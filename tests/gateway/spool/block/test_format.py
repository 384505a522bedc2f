"""The format is what its text says: a second reader agrees."""

import pytest
from hypothesis import given, settings

from gateway.spool.block import decode_block, encode_block
from tests.gateway.spool.block import second
from tests.gateway.spool.block.batches import entries
from tests.gateway.spool.block.extremes import EXTREMES


@given(entries)
@settings(max_examples=80)
def test_a_reader_written_from_the_text_reads_the_same(given_entries):
    assert second.decode(encode_block(given_entries)) == given_entries


@pytest.mark.parametrize("name", EXTREMES)
def test_both_readers_read_what_is_extreme(name):
    found = EXTREMES[name]
    block = encode_block(found)
    assert decode_block(block, batches=len(found), readings=sum(len(entry.batch) for entry in found)) == found
    assert second.decode(block) == found
