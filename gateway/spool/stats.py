"""What the spool tells about itself, to status, the TUI and the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.config.models import DatabaseSettings
from gateway.spool.budget.forecast import Forecast
from gateway.spool.budget.outlook import Outlook
from gateway.spool.hold import Hold
from gateway.spool.line import Waiting
from gateway.spool.spoolfile import SpoolFile

__all__ = ["Done", "SpoolStats", "stats_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolStats:
    """A snapshot, as of the last commit.

    Attributes:
        state: `failing` while the disk does not take what waits, or the file cannot be opened; sources are held back
            meanwhile.
        error: what the disk said and what to do; empty while `state` is `ok`.
        backlog_batches: batches in the file that wait for the broker. Those just taken count until a commit.
        backlog_readings: their readings.
        backlog_bytes: their payload.
        blocks: compressed blocks, into which rows are merged when an outage lasts.
        block_readings: those of `backlog_readings` that are in blocks.
        block_bytes: those of `backlog_bytes` that are blocks.
        set_aside_batches: rows kept for a person to look at, never sent.
        set_aside_readings: their readings.
        set_aside_bytes: their payload.
        accepted_batches: batches stored since the file was made.
        accepted_readings: their readings.
        dropped: readings lost since the file was made, by cause.
        gaps_to_tell: rows of the gap ledger that the broker has not taken yet.
        last_seq: the highest number given.
        oldest_at_ns: when the oldest row that waits was accepted, UTC ns; None where none waits.
        file_bytes: database and write-ahead log on disk.
        commits: transactions of this process.
        readings_per_commit: how many readings one of them stored, on average.
        waiting_readings: readings in memory that wait for the next commit.
        hold_ms: how long a batch may wait for the broker before it is written: what a kill or a power cut can lose.
        passed_batches: batches that the broker took in that time, so that they were never written.
        passed_readings: their readings.
        payload_bytes: of the batches that this process stored.
        written_bytes: that the spool made the kernel write in this process; None where the kernel keeps no account.
        quarantined: where a damaged file was moved in this process's life; None where none was.
        rescuing: whether what is whole in a damaged file is being carried over.
        rescued_readings: those that were carried over in this process's life.
        notice: what else happened to the file in this process's life and should be known; empty where nothing did.
        forecast: how long the room lasts.
    """

    state: Literal["ok", "failing"]
    error: str
    backlog_batches: int
    backlog_readings: int
    backlog_bytes: int
    blocks: int = 0
    block_readings: int = 0
    block_bytes: int = 0
    set_aside_batches: int
    set_aside_readings: int
    set_aside_bytes: int
    accepted_batches: int
    accepted_readings: int
    dropped: Mapping[str, int]
    gaps_to_tell: int = 0
    last_seq: int
    oldest_at_ns: int | None
    file_bytes: int
    commits: int
    readings_per_commit: float
    waiting_readings: int
    hold_ms: int = 0
    passed_batches: int = 0
    passed_readings: int = 0
    payload_bytes: int = 0
    written_bytes: int | None = None
    quarantined: Path | None
    rescuing: bool = False
    rescued_readings: int = 0
    notice: str = ""
    forecast: Forecast | None = None


@dataclass(slots=True)
class Done:
    """What this process has committed so far."""

    commits: int = 0
    readings: int = 0
    payload_bytes: int = 0

    def note(self, stored: Sequence[Waiting]) -> int:
        """Counts a commit that stored these; how many readings they have."""
        readings = sum(waiting.readings for waiting in stored)
        self.commits += 1
        self.readings += readings
        self.payload_bytes += sum(len(waiting.data) for waiting in stored)
        return readings


def stats_of(
    file: SpoolFile,
    settings: DatabaseSettings,
    *,
    error: str,
    hold: Hold,
    done: Done,
    waiting_readings: int,
    rescued_readings: int,
    outlook: Outlook,
) -> SpoolStats:
    """What there is to know about a spool now.

    Args:
        file: its file.
        settings: its limits.
        error: what the disk said last, where it refuses.
        hold: what the broker took before it was written.
        done: what was committed.
        waiting_readings: in memory, for the next commit.
        rescued_readings: carried over from a damaged file.
        outlook: what the forecast is made of.
    """
    totals = file.totals
    file_bytes, used_bytes = file.size_bytes, totals.size_bytes + totals.aside_bytes
    wanted_h = settings.autonomy_hours
    return SpoolStats(
        state="failing" if error else "ok",
        error=error,
        backlog_batches=totals.batches,
        backlog_readings=totals.readings,
        backlog_bytes=totals.size_bytes,
        set_aside_batches=totals.aside_batches,
        set_aside_readings=totals.aside_readings,
        set_aside_bytes=totals.aside_bytes,
        accepted_batches=totals.accepted_batches + hold.batches,
        accepted_readings=totals.accepted_readings + hold.readings,
        dropped=dict(file.dropped),
        gaps_to_tell=len(file.ledger),
        last_seq=max(totals.last_seq, hold.given),
        blocks=totals.blocks,
        block_readings=totals.block_readings,
        block_bytes=totals.block_bytes,
        oldest_at_ns=totals.oldest_at_ns,
        file_bytes=file_bytes,
        commits=done.commits,
        readings_per_commit=done.readings / done.commits if done.commits else 0.0,
        waiting_readings=waiting_readings,
        hold_ms=settings.hold_ms,
        passed_batches=hold.batches,
        passed_readings=hold.readings,
        payload_bytes=done.payload_bytes,
        written_bytes=file.written_bytes,
        quarantined=file.quarantined,
        rescuing=bool(file.rescues),
        rescued_readings=rescued_readings,
        notice=file.notice,
        forecast=outlook.forecast(
            used_bytes=used_bytes,
            row_bytes=totals.size_bytes - totals.block_bytes,
            max_bytes=settings.max_bytes,
            disk_room_bytes=file.free_bytes + max(0, file_bytes - used_bytes),
            wanted_s=None if wanted_h is None else wanted_h * 3600,
        ),
    )
