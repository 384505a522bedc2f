"""A spool's file as of one moment, for commands that only look: also while a gateway has it open. Writes nothing.

All is read in one transaction. While that lasts, the gateway's log cannot be worked in to its end: it grows by what is
written meanwhile.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

from gateway.errors import BadBatch, SpoolError, TidegateError
from gateway.points import PointTable
from gateway.spool.blocks import MOST_NUMBERS, Left
from gateway.spool.damage import Damaged, is_damage
from gateway.spool.ledger.gaprows import GAPS, gap_of_row
from gateway.spool.ledger.gaps import Entry
from gateway.spool.migrations import APPLICATION_ID, MIGRATIONS
from gateway.spool.rows import counted
from gateway.spool.stored import Stored, StoredBlock, StoredRow
from gateway.spool.totals import DROPPED, POINTS, TOTALS, dropped_of, point_of, totals_of

__all__ = ["Snapshot"]

_BUSY_TIMEOUT_S: Final = 5.0
_ROWS: Final = "SELECT seq, device, at_ns, readings, codec, checksum, data FROM batches ORDER BY seq"
_BLOCKS: Final = """
    SELECT b.last, first, at_ns, b.batches, b.readings, codec, checksum, data, l.sizes, l.readings
    FROM blocks AS b LEFT JOIN block_left AS l ON l.last = b.last ORDER BY b.last
"""


class Snapshot:
    """An open file. A context manager.

    Args:
        path: the spool's file.

    Attributes:
        totals: as the file says.
        dropped: readings lost since the file was made, by cause.
        points: the point table.

    Raises:
        SpoolError: it cannot be read, is not ours, or of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._connection = _connect(path)
        except sqlite3.Error as error:
            raise self._error(error) from None
        try:
            self._check_version()
            self.totals = totals_of(self._fetch(TOTALS))
            self.dropped = dropped_of(self._fetch(DROPPED))
            self.points = PointTable(map(point_of, self._fetch(POINTS)))
        except sqlite3.Error as error:
            self._connection.close()
            raise self._error(error) from None
        except (Damaged, TidegateError, ValueError, AttributeError) as error:
            self._connection.close()
            raise error if isinstance(error, SpoolError) else self._damaged(str(error)) from None
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def items(self, *, broken: Callable[[str, int], None]) -> Iterator[Stored]:
        """All that waits, by number. Its checksums are not looked at: that does whoever opens it.

        Args:
            broken: called with what cannot be read, in words, and how many readings it has.

        Raises:
            SpoolError: the file is damaged.
        """
        try:
            with closing(self._connection.execute(_ROWS)) as rows, closing(self._connection.execute(_BLOCKS)) as blocks:
                yield from heapq.merge(_rows(rows, broken), _blocks(blocks, broken), key=_first)
        except sqlite3.Error as error:
            raise self._error(error) from None

    def gaps(self) -> list[dict[str, Any]]:
        """The gap ledger: what the file knows to be missing, oldest first; times in UTC ns."""
        return [{"number": entry.number, **entry.gap._asdict()} for entry in self.ledger()]

    def ledger(self, *, since_ns: int = 0) -> list[Entry]:
        """The rows of the gap ledger, oldest first.

        Args:
            since_ns: only gaps that end then or later, UTC ns.
        """
        return [gap_of_row(row) for row in self._fetch(GAPS, (since_ns,))]

    def quick_check(self) -> str:
        """What SQLite says of its own pages: `ok`, or what is wrong."""
        return bytes(self._fetch("PRAGMA quick_check(1)")[0][0]).decode(errors="replace")

    def _fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._error(error) from None

    def _check_version(self) -> None:
        if self._fetch("PRAGMA application_id")[0][0] != APPLICATION_ID:
            raise SpoolError(f"{self.path} is no spool of tidegate")
        version = self._fetch("PRAGMA user_version")[0][0]
        if version > len(MIGRATIONS):
            raise SpoolError(
                f"{self.path}: a newer version of tidegate made it (schema {version}, this one knows "
                f"{len(MIGRATIONS)}). Use that version"
            )
        if version < len(MIGRATIONS):
            raise SpoolError(
                f"{self.path}: an older version of tidegate made it (schema {version}, this one has "
                f"{len(MIGRATIONS)}). Run this version's gateway on it once; `tidegate spool salvage` reads it as it is"
            )

    def _error(self, error: sqlite3.Error) -> SpoolError:
        if is_damage(error):
            return self._damaged(str(error))
        return SpoolError(f"Reading the spool {self.path}: {error}. Is it there, and may you read it?")

    def _damaged(self, why: str) -> SpoolError:
        return SpoolError(
            f"Reading the spool {self.path}: it is damaged ({why}). `tidegate spool salvage {self.path}` reads what "
            "is whole; a gateway moves it aside and begins a fresh one when it starts"
        )


def _connect(path: Path) -> sqlite3.Connection:
    name = f"file:{quote(str(path))}?mode=ro"
    log = path.with_name(path.name + "-wal")
    try:
        return _begin(name)
    except sqlite3.OperationalError:
        # Without a log there is nothing that others could be writing, and on a read-only medium SQLite must be told so.
        if not path.is_file() or (log.exists() and log.stat().st_size):
            raise
        return _begin(f"{name}&immutable=1")


def _begin(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(name, uri=True, isolation_level=None, timeout=_BUSY_TIMEOUT_S)
    try:
        connection.text_factory = bytes
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _rows(found: Iterator[Sequence[Any]], broken: Callable[[str, int], None]) -> Iterator[Stored]:
    for columns in found:
        row = StoredRow(*columns)
        if isinstance(row.device, bytes) and isinstance(row.data, bytes) and all(map(_is_number, row[2:6])):
            yield row
        else:
            broken(f"row {row.seq}: a column of another type than was written", counted(row.readings))


def _blocks(found: Iterator[Sequence[Any]], broken: Callable[[str, int], None]) -> Iterator[Stored]:
    for last, first, at_ns, batches, readings, codec, check, data, sizes, left_readings in found:
        columns = (last, first, at_ns, batches, readings, codec, check, data)
        try:
            if not (isinstance(data, bytes) and all(map(_is_number, columns[:7])) and 0 <= last - first < MOST_NUMBERS):
                raise BadBatch("a column of another type than was written")
            yield StoredBlock(columns, Left.read(last, first, sizes))
        except BadBatch as error:
            broken(f"block {last}: {error}", counted(left_readings))


def _first(stored: Stored) -> int:
    return stored.first


def _is_number(value: object) -> bool:
    return isinstance(value, int)
