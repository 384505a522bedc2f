from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the spool's file is to be."""
    return tmp_path / "spool.db"
