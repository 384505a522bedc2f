"""Blocks, files that are carried, and pages of a damaged database: as they come, and as an attacker hands them over."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from random import Random

from gateway.batch import Batch, Kind, Reading
from gateway.errors import BadBatch, SpoolError
from gateway.spool.block import Entry, decode_block, encode_block
from gateway.spool.carry.contents import Kinds, pack_block
from gateway.spool.carry.frames import MAGIC
from gateway.spool.carry.reader import CarryReader
from gateway.spool.repair.pages.cells import Record, read_cells
from tests.fuzz.targets import Target
from tests.gateway.spool.carry.forge import a_batch, block, forged, resealed, sections

_FOLDER = tempfile.TemporaryDirectory(prefix="tidegate-fuzz-")
_PAGE_BYTES = 1024


def _read(content: bytes) -> None:
    """Refused with words, or read to its end."""
    path = Path(_FOLDER.name) / "a.tide"
    path.write_bytes(content)
    try:
        with CarryReader(path) as carried:
            rows = list(carried.rows())
            assert len(rows) == carried.summary.batches
            for row in rows:
                for number in row.batch.points():
                    assert carried.points[number].tag is not None
                row.batch.values()
    except SpoolError as error:
        if not str(error).startswith(str(path)):
            raise AssertionError(f"it does not name the file: {error}") from None


def _carried(data: bytes, draw: Random) -> None:
    """A file as it is, or with a hash that fits what was damaged; or a content in a file that is whole otherwise."""
    if not data.startswith(MAGIC[:4]):
        parts = sections()
        place = draw.randrange(len(parts))
        data = forged([*parts[:place], (parts[place][0], data), *parts[place + 1 :]])
    elif draw.random() < 0.5:
        try:
            data = resealed(data)
        except SpoolError:
            return  # Nothing of it can be taken for a section.
    _read(data)


def _cells(data: bytes, _draw: Random) -> None:
    for cell in read_cells(data.ljust(_PAGE_BYTES, b"\0")[:_PAGE_BYTES], usable_bytes=_PAGE_BYTES):
        if cell is None:
            continue
        assert len(cell.local) <= _PAGE_BYTES
        try:
            record = Record(cell.local)
            for column in range(len(record.types)):
                record.field(cell.local, column)
        except BadBatch:
            continue


def _block(data: bytes, _draw: Random) -> None:
    try:
        found = decode_block(data, batches=9, readings=30)
    except BadBatch:
        return
    assert len(found) == 9
    assert sum(len(entry.batch) for entry in found) == 30


def _blocks() -> list[bytes]:
    """Nine batches of thirty readings, of each sort of values and times."""
    found = []
    for times in (1_000_000_000, 7_919):
        entries = []
        for place in range(9):
            readings = [Reading(place * times + n * n, place / 4 + n, 1 + n) for n in range(3)]
            text = [Reading(place * times, f"state {place % 2}", 9, kind=Kind.STR)] if place % 3 == 0 else []
            entries.append(Entry(5 + place, place * times + 999, f"plc-{place % 2}", Batch.of(readings + text)))
        found.append(encode_block(entries))
    return found


def _pages() -> list[bytes]:
    path = Path(_FOLDER.name) / "pages.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, i INTEGER, r REAL, s TEXT, b BLOB)")
        rows = [(n, 7**n, n / 7, "x" * n, bytes(n * 20)) for n in range(1, 60)]
        connection.executemany(
            "INSERT INTO t VALUES (?, ?, ?, ?, ?)", [(n, i % (1 << 62), *rest) for n, i, *rest in rows]
        )
        connection.commit()
    content = path.read_bytes()
    pages = [content[at : at + _PAGE_BYTES] for at in range(0, len(content), _PAGE_BYTES)]
    return [page for page in pages if page[0] == 13]


_WHOLE = forged(sections())
_CONTENTS = [content for _, content in sections()] + [b"".join(pack_block(block((1, 2), a_batch())))]
assert Kinds.END not in dict(sections())

TARGETS = [
    Target("spool.carried", [*[_WHOLE] * 6, *_CONTENTS], _carried),
    Target("spool.block", _blocks(), _block),
    Target("spool.pages", _pages(), _cells),
]
