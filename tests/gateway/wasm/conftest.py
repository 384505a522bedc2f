from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.metrics import Metrics
from gateway.wasm.host import Host


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with Host(cache_dir=tmp_path / "cache", memory_bytes=1 << 20, batch_ms=100, metrics=Metrics()) as host:
        yield host
