"""What a gateway might show at one moment, for tests."""

from dataclasses import replace

from gateway.spool import SpoolStats

STATS = SpoolStats(
    state="ok",
    error="",
    backlog_batches=2,
    backlog_readings=300,
    backlog_bytes=7_000,
    set_aside_batches=0,
    set_aside_readings=0,
    set_aside_bytes=0,
    accepted_batches=10,
    accepted_readings=1_000,
    dropped={},
    last_seq=10,
    oldest_at_ns=5_000_000_000,
    file_bytes=40_000,
    commits=7,
    readings_per_commit=142.0,
    waiting_readings=3,
    quarantined=None,
)
FAILING = replace(STATS, state="failing", error="/data/secret-place/spool.db: disk full")
