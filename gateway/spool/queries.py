"""Queries that more than one part of the spool asks; their columns are in the order in which the readers take them."""

from __future__ import annotations

from typing import Final

__all__ = ["BLOCK_AND_SIZES", "ROWS_BETWEEN"]

ROWS_BETWEEN: Final = """
    SELECT seq, device, at_ns, readings, codec, checksum, data FROM batches WHERE seq BETWEEN ? AND ? ORDER BY seq
"""
"""Rows as `read_row` takes them. Parameters: the first number and the last."""

BLOCK_AND_SIZES: Final = """
    SELECT last, first, at_ns, batches, readings, codec, checksum, data,
           (SELECT sizes FROM block_left AS l WHERE l.last = b.last)
    FROM blocks AS b WHERE last = ?
"""
"""A block as `open_block` takes it, and behind that what is left of it, as `Left.read` takes it. Parameter: its last
number."""
