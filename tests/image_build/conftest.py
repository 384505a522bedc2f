from collections.abc import AsyncIterator

import pytest_asyncio

from tests.image_build.container import Podman


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def podman() -> AsyncIterator[Podman]:
    """podman with the gateway's image. Loading it takes seconds, and every container is its test's own."""
    async with Podman() as ready:
        yield ready
