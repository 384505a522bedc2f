"""The audit: who asked for what, what the policy said, and what came of it; one row each, in the spool's file.

Invariants
- A row is on disk before `begin` returns, so before anything is written to a device; its result is on disk before
  `finish` returns.
- An id names one row for as long as the row is kept, also across restarts. Looking it up and recording it is one step.
- At most `max_rows` rows, oldest out first; a row whose result is still open stays.

It shares the spool's one connection, and so its lock, its fsync and its care for a damaged file. With a file that is
moved aside as damaged its audit goes as well, and the ids in it are forgotten.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, TypeVar
from urllib.parse import quote

from gateway.errors import SpoolError
from gateway.spool.spoolfile import SpoolFile, WithFile

__all__ = ["Audit", "AuditEntry", "Status", "read_audit"]

Status: TypeAlias = Literal["in progress", "accepted", "denied", "failed"]

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One row.

    Attributes:
        id: the asker's own name for it; None where it has none, and then it is never looked up.
        at_ns: when it was decided, UTC ns since 1970.
        user: who asked, as they said.
        role: in which role, as they said.
        action: write or configure.
        device: the device written to; empty where none is meant.
        tag: its tag; the same.
        value: what was to be written, as JSON; for `configure`, what was to be changed.
        allowed: what the policy said; False where it was not asked.
        reason: why, in the policy's words.
        status: what came of it.
        result: the same in words; empty where there is nothing to add.
        read_back: what the device showed after the write, as JSON; empty where nothing was read.
        finished_ns: when the result was known; None while it is in progress.
    """

    id: str | None
    at_ns: int
    user: str
    role: str
    action: str
    device: str = ""
    tag: str = ""
    value: str = ""
    allowed: bool
    reason: str
    status: Status
    result: str = ""
    read_back: str = ""
    finished_ns: int | None = None


_NAMES: Final = [field.name for field in fields(AuditEntry)]
_COLUMNS: Final = ", ".join(_NAMES)
_INSERT: Final = f"INSERT INTO audit ({_COLUMNS}) VALUES ({', '.join('?' * len(_NAMES))})"  # noqa: S608 - own names
# Where the row is gone with a damaged file, its result is still worth a row.
_FINISH: Final = f"""
    {_INSERT} ON CONFLICT (id) DO UPDATE SET
        status = excluded.status, result = excluded.result,
        read_back = excluded.read_back, finished_ns = excluded.finished_ns
"""
_BY_ID: Final = f"SELECT {_COLUMNS} FROM audit WHERE id = ?"  # noqa: S608
_OPEN: Final = f"SELECT {_COLUMNS} FROM audit WHERE status = 'in progress' ORDER BY number"  # noqa: S608
_RECENT: Final = f"SELECT {_COLUMNS} FROM audit ORDER BY number DESC LIMIT ?"  # noqa: S608
_GIVE_UP: Final = "UPDATE audit SET status = 'failed', result = ?, finished_ns = ? WHERE status = 'in progress'"
_TRIM: Final = "DELETE FROM audit WHERE number <= (SELECT max(number) FROM audit) - ? AND status != 'in progress'"


class Audit:
    """The audit of one gateway. Made by `Spool.audit`.

    Args:
        with_file: hands out the spool's file, one user at a time.
        max_rows: rows that are kept.
    """

    def __init__(self, with_file: WithFile, *, max_rows: int) -> None:
        self._with_file = with_file
        self._max_rows = max_rows

    async def begin(self, entry: AuditEntry) -> AuditEntry | None:
        """Records an entry, unless its id is recorded already.

        Returns:
            None once the entry is on disk; else what stands under its id, and then nothing was recorded.

        Raises:
            SpoolError: the disk refuses. Whether the entry was recorded is not known; nothing may be done on it.
        """

        async def work(file: SpoolFile) -> AuditEntry | None:
            if entry.id is not None:
                rows = await file.fetch(_BY_ID, (entry.id,))
                if rows:
                    return _entry(rows[0])
            await file.transact([(_INSERT, astuple(entry)), (_TRIM, (self._max_rows,))])
            return None

        return await self._with_file("writing the audit to", work)

    async def finish(self, entry: AuditEntry) -> None:
        """Records the result of an entry that was begun and has an id.

        Raises:
            SpoolError: the disk refuses; it may be called again.
        """

        async def work(file: SpoolFile) -> None:
            await file.transact([(_FINISH, astuple(entry))])

        await self._with_file("writing the audit to", work)

    async def give_up_open(self, *, at_ns: int, result: str) -> list[AuditEntry]:
        """Gives every entry without a result this one: whoever worked on them is gone.

        Args:
            at_ns: UTC ns since 1970.
            result: what to say about them.

        Returns:
            The entries, with their result.

        Raises:
            SpoolError: the disk refuses.
        """

        async def work(file: SpoolFile) -> list[AuditEntry]:
            found = [_entry(row) for row in await file.fetch(_OPEN)]
            if found:
                await file.transact([(_GIVE_UP, (result, at_ns))])
            return found

        begun = await self._with_file("writing the audit to", work)
        return [_failed(entry, at_ns=at_ns, result=result) for entry in begun]

    async def recent(self, limit: int) -> list[AuditEntry]:
        """The newest entries, newest first.

        Raises:
            SpoolError: the file cannot be read now.
        """

        async def work(file: SpoolFile) -> list[AuditEntry]:
            return [_entry(row) for row in await file.fetch(_RECENT, (limit,))]

        return await self._with_file("reading the audit in", work)


def read_audit(path: Path, *, limit: int) -> list[AuditEntry]:
    """The newest entries of a spool's file, newest first, also while a gateway has it open. Writes nothing.

    Raises:
        SpoolError: the file is not there, cannot be read, or is not ours.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            connection.text_factory = bytes
            return [_entry(row) for row in connection.execute(_RECENT, (limit,))]
    except sqlite3.Error as error:
        raise SpoolError(
            f"Reading the audit in {path}: {error}. Has a gateway with this configuration run yet, and may you read it?"
        ) from None


def _entry(row: Sequence[Any]) -> AuditEntry:
    values = [column.decode(errors="replace") if isinstance(column, bytes) else column for column in row]
    named: dict[str, Any] = dict(zip(_NAMES, values, strict=True))
    return AuditEntry(**named | {"allowed": bool(named["allowed"])})


def _failed(entry: AuditEntry, *, at_ns: int, result: str) -> AuditEntry:
    return replace(entry, status="failed", result=result, finished_ns=at_ns)
