from collections.abc import AsyncIterator

import pytest_asyncio

from tests.adapters.opcua.plc import Plc


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def shared_plc() -> AsyncIterator[Plc]:
    plc = await Plc.start()
    try:
        yield plc
    finally:
        await plc.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def plc(shared_plc: Plc) -> AsyncIterator[Plc]:
    try:
        yield shared_plc
    finally:
        await shared_plc.clear()
