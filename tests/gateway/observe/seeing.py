"""What a gateway might show at one moment, for tests."""

from dataclasses import replace

from gateway.spool import SpoolStats
from gateway.spool.budget.forecast import Forecast
from gateway.wear import Wear

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
WEAR = Wear(
    written_bytes=6_000_000,
    spool_written_bytes=5_000_000,
    payload_bytes=1_000_000,
    measured_s=3_600.0,
    bytes_per_reading=150.0,
    bytes_per_day=5e9,
    endurance_tbw=20.0,
    life_years=10.0,
)
FORECAST = Forecast(
    used_bytes=1,
    room_bytes=2,
    limit="max_bytes",
    readings_per_s=None,
    over_s=10,
    bytes_per_reading=4.0,
    full_in_s=None,
    autonomy_s=None,
    wanted_s=3600.0,
)
"""Nothing is known yet."""
