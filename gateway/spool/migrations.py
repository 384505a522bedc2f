"""The tables of the database, as the migrations that make them, one after the other.

Each migration commits together with its number (`user_version`), so a crash leaves it done or not begun. The totals are
kept by triggers: they change in the transaction that changes the rows, by whatever statement that happens.
"""

from __future__ import annotations

from typing import Final

import aiosqlite

__all__ = ["APPLICATION_ID", "MIGRATIONS", "migrate"]

APPLICATION_ID: Final = 0x54494445
"""`TIDE`: how our files are told from another program's SQLite files."""

MIGRATIONS: Final = (
    """
    PRAGMA application_id = 0x54494445;
    CREATE TABLE points (
        number INTEGER PRIMARY KEY,
        path TEXT NOT NULL,
        device TEXT NOT NULL,
        unit TEXT NOT NULL,
        kind INTEGER
    );
    CREATE TABLE batches (
        seq INTEGER PRIMARY KEY,
        at_ns INTEGER NOT NULL,
        readings INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        codec INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        device TEXT NOT NULL,
        data BLOB NOT NULL
    );
    CREATE TABLE set_aside (
        seq INTEGER PRIMARY KEY,
        at_ns INTEGER NOT NULL,
        readings INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        codec INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        device TEXT NOT NULL,
        data BLOB NOT NULL,
        cause TEXT NOT NULL
    );
    CREATE TABLE dropped (cause TEXT PRIMARY KEY, readings INTEGER NOT NULL);
    CREATE TABLE totals (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        last_seq INTEGER NOT NULL,
        accepted_batches INTEGER NOT NULL DEFAULT 0,
        accepted_readings INTEGER NOT NULL DEFAULT 0,
        batches INTEGER NOT NULL DEFAULT 0,
        readings INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0,
        aside_batches INTEGER NOT NULL DEFAULT 0,
        aside_readings INTEGER NOT NULL DEFAULT 0,
        aside_bytes INTEGER NOT NULL DEFAULT 0
    );
    CREATE TRIGGER accepted AFTER INSERT ON batches BEGIN
        UPDATE totals SET
            last_seq = NEW.seq,
            accepted_batches = accepted_batches + 1,
            accepted_readings = accepted_readings + NEW.readings,
            batches = batches + 1,
            readings = readings + NEW.readings,
            bytes = bytes + NEW.bytes;
    END;
    CREATE TRIGGER deleted AFTER DELETE ON batches BEGIN
        UPDATE totals SET
            batches = batches - 1,
            readings = readings - OLD.readings,
            bytes = bytes - OLD.bytes;
    END;
    CREATE TRIGGER aside_kept AFTER INSERT ON set_aside BEGIN
        UPDATE totals SET
            aside_batches = aside_batches + 1,
            aside_readings = aside_readings + NEW.readings,
            aside_bytes = aside_bytes + NEW.bytes;
    END;
    CREATE TRIGGER aside_deleted AFTER DELETE ON set_aside BEGIN
        UPDATE totals SET
            aside_batches = aside_batches - 1,
            aside_readings = aside_readings - OLD.readings,
            aside_bytes = aside_bytes - OLD.bytes;
    END;
    """,
    """
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY,
        id TEXT UNIQUE,
        at_ns INTEGER NOT NULL,
        user TEXT NOT NULL,
        role TEXT NOT NULL,
        action TEXT NOT NULL,
        device TEXT NOT NULL,
        tag TEXT NOT NULL,
        value TEXT NOT NULL,
        allowed INTEGER NOT NULL,
        reason TEXT NOT NULL,
        status TEXT NOT NULL,
        result TEXT NOT NULL,
        read_back TEXT NOT NULL,
        finished_ns INTEGER
    );
    """,
    # What adapters remember of their devices. The mark changes with each commit, so it has a small row of its own.
    """
    CREATE TABLE memories (device TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE marks (device TEXT PRIMARY KEY, mark BLOB NOT NULL) WITHOUT ROWID;
    """,
    # Blocks. One block never changes; `block_left` says what of it still waits. It needs nothing but the first one.
    """
    CREATE TABLE blocks (
        last INTEGER PRIMARY KEY,
        first INTEGER NOT NULL,
        at_ns INTEGER NOT NULL,
        batches INTEGER NOT NULL,
        readings INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        codec INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        data BLOB NOT NULL
    );
    CREATE TABLE block_left (
        last INTEGER PRIMARY KEY,
        batches INTEGER NOT NULL,
        readings INTEGER NOT NULL,
        sizes BLOB NOT NULL
    );
    ALTER TABLE totals ADD COLUMN blocks INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE totals ADD COLUMN block_readings INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE totals ADD COLUMN block_bytes INTEGER NOT NULL DEFAULT 0;
    CREATE TRIGGER block_kept AFTER INSERT ON blocks BEGIN
        UPDATE totals SET
            blocks = blocks + 1,
            bytes = bytes + NEW.bytes,
            block_bytes = block_bytes + NEW.bytes;
    END;
    CREATE TRIGGER block_deleted AFTER DELETE ON blocks BEGIN
        UPDATE totals SET
            blocks = blocks - 1,
            bytes = bytes - OLD.bytes,
            block_bytes = block_bytes - OLD.bytes;
        DELETE FROM block_left WHERE last = OLD.last;
    END;
    CREATE TRIGGER left_begun AFTER INSERT ON block_left BEGIN
        UPDATE totals SET
            batches = batches + NEW.batches,
            readings = readings + NEW.readings,
            block_readings = block_readings + NEW.readings;
    END;
    CREATE TRIGGER left_taken AFTER UPDATE ON block_left BEGIN
        UPDATE totals SET
            batches = batches + NEW.batches - OLD.batches,
            readings = readings + NEW.readings - OLD.readings,
            block_readings = block_readings + NEW.readings - OLD.readings;
    END;
    CREATE TRIGGER left_ended AFTER DELETE ON block_left BEGIN
        UPDATE totals SET
            batches = batches - OLD.batches,
            readings = readings - OLD.readings,
            block_readings = block_readings - OLD.readings;
    END;
    """,
    # The gap ledger. What waits to be told is found by its index; `totals` numbers the rows and counts the changes.
    """
    CREATE TABLE gaps (
        number INTEGER PRIMARY KEY,
        device TEXT NOT NULL,
        tag TEXT,
        part TEXT,
        cause TEXT NOT NULL,
        from_ns INTEGER NOT NULL,
        to_ns INTEGER NOT NULL,
        readings INTEGER,
        noted_ns INTEGER NOT NULL,
        changed_ns INTEGER NOT NULL,
        telling INTEGER NOT NULL
    );
    CREATE INDEX gaps_to_tell ON gaps (number) WHERE telling < 2;
    ALTER TABLE totals ADD COLUMN last_gap INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE totals ADD COLUMN gap_changes INTEGER NOT NULL DEFAULT 0;
    UPDATE totals SET last_gap = last_seq;
    """,
    # Damaged files of which what is whole is still being carried over. Its numbers lie below those given already.
    """
    CREATE TABLE rescues (
        name TEXT PRIMARY KEY,
        readings INTEGER,
        aside_readings INTEGER NOT NULL,
        oldest_at_ns INTEGER NOT NULL,
        named INTEGER NOT NULL,
        passed INTEGER NOT NULL,
        carried INTEGER NOT NULL
    ) WITHOUT ROWID;
    DROP TRIGGER accepted;
    CREATE TRIGGER accepted AFTER INSERT ON batches BEGIN
        UPDATE totals SET
            last_seq = max(last_seq, NEW.seq),
            accepted_batches = accepted_batches + 1,
            accepted_readings = accepted_readings + NEW.readings,
            batches = batches + 1,
            readings = readings + NEW.readings,
            bytes = bytes + NEW.bytes;
    END;
    """,
    # What the broker took before it was written, and how far its numbers may have come.
    """
    CREATE TABLE passed (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        reserved INTEGER NOT NULL,
        batches INTEGER NOT NULL,
        readings INTEGER NOT NULL
    );
    """,
    # When each device's batches were accepted last, to the minute, for the gap that a stop of the gateway leaves.
    """
    CREATE TABLE seen (device TEXT PRIMARY KEY, at_ns INTEGER NOT NULL) WITHOUT ROWID;
    """,
)


async def migrate(connection: aiosqlite.Connection) -> None:
    """Brings an open file up to the newest schema."""
    ((version,),) = await connection.execute_fetchall("PRAGMA user_version")
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        await connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")
