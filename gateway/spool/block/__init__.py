"""Blocks: many stored batches in one compressed value. A pure codec, exact to the bit; who merges when is the spool's.

lanes.py     arithmetic on whole columns of 64-bit words
columns.py   columns on disk, and the bounds that keep a hostile length from mattering
times.py     the columns of times
series.py    the values of one point after another
texts.py     texts and the heap they stand in
layout.py    the order of it all: `encode_block`, `decode_block`
"""

from gateway.spool.block.layout import Entry, decode_block, encode_block

__all__ = ["Entry", "decode_block", "encode_block"]
