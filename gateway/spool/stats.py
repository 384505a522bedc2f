"""What the spool tells about itself, to status, the TUI and the tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.spool.budget.forecast import Forecast

__all__ = ["SpoolStats"]


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
