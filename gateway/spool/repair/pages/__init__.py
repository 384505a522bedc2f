"""A SQLite file page by page, without SQLite: for files that SQLite refuses. Reads only, and never locks.

cells.py     the rows on one page (https://sqlite.org/fileformat2.html, sections 1.6 and 2.1)
log.py       the write-ahead log (section 4)
pagefile.py  pages, with the log's in the place of older ones; which of them are free

SQLite reads a table from its root downwards, so one damaged page takes away all that hangs below it. Here every page
is looked at by itself. What a row on it says is believed by whoever can check it: ours carry a checksum.
"""

from gateway.spool.repair.pages.cells import Cell, Record, read_cells
from gateway.spool.repair.pages.pagefile import PageFile

__all__ = ["Cell", "PageFile", "Record", "read_cells"]
