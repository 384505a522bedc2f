import tempfile
from pathlib import Path

import pytest

from gateway.spool import written
from gateway.spool.written import process_written_bytes
from tests.gateway.spool.harness import batch_of, replace, running


@pytest.fixture
def path(request):
    """On the disk of the checkout: what goes into a tmpfs is not written to any disk, and does not count."""
    folder = request.config.cache.mkdir("written")
    with tempfile.TemporaryDirectory(dir=folder) as own:
        yield Path(own) / "spool.db"


async def test_what_the_spool_writes_is_counted_and_is_a_part_of_what_the_process_writes(path):
    async with running(path) as spool:
        before, process_bytes = spool.stats, process_written_bytes()
        path.with_name("other").write_bytes(b"x" * 1_000_000)  # not the spool's
        for mark in range(20):
            await spool.append("plc", batch_of(10, mark=mark))
        after = spool.stats
        assert after.payload_bytes - before.payload_bytes == sum(4 + batch_of(10, mark=n).nbytes for n in range(20))
        spool_bytes = after.written_bytes - before.written_bytes
        assert 20 * 4096 <= spool_bytes < 1_000_000, "each commit writes a page of the disk at least"
        assert process_written_bytes() - process_bytes >= spool_bytes + 1_000_000


async def test_a_fresh_file_does_not_make_the_count_fall(path):
    async with running(path) as spool:
        await spool.append("plc", batch_of(1000))
        before = spool.stats.written_bytes
        await replace(spool)
        assert spool.stats.quarantined is not None
        assert spool.stats.written_bytes >= before
        await spool.append("plc", batch_of(1000))
        assert spool.stats.written_bytes >= before + 24_000


async def test_without_the_kernels_account_there_is_nothing_to_tell(path, monkeypatch):
    monkeypatch.setattr(written, "_KEY", "no such line")
    async with running(path) as spool:
        await spool.append("plc", batch_of(1))
        assert spool.stats.written_bytes is None
        assert process_written_bytes() is None
