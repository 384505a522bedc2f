"""Fixtures for more than one room."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from gateway.demo.broker import Broker

# How long a machine takes is nothing that a test may fail by.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """A real mosquitto on a free loopback port; keeps its sessions across stop and start."""
    async with Broker(folder=tmp_path / "broker", kind="mosquitto") as running:
        yield running
