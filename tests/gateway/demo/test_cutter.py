from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.demo.broker import free_port
from gateway.demo.cutter import Cutter
from tests.serving import serving


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65_536):
        writer.write(chunk)
        await writer.drain()


@pytest.fixture
async def cutter() -> AsyncIterator[Cutter]:
    async with serving(echo) as server, Cutter(target_port=server.port) as running:
        yield running


async def ends(reader: asyncio.StreamReader) -> bool:
    """Whether the connection is closed with nothing more to read."""
    try:
        return await reader.read(1) == b""
    except ConnectionResetError:
        return True


async def test_bytes_pass_both_ways(cutter: Cutter) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", cutter.port)
    sent = bytes(range(256)) * 4096
    writer.write(sent)
    writer.write_eof()
    assert await reader.read(-1) == sent
    writer.close()


async def test_a_cut_ends_what_is_open_and_what_comes(cutter: Cutter) -> None:
    port = cutter.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"x")
    assert await reader.readexactly(1) == b"x"
    await cutter.cut()
    assert cutter.is_cut
    assert await ends(reader)
    writer.close()
    late_reader, late_writer = await asyncio.open_connection("127.0.0.1", port)
    assert await ends(late_reader)
    late_writer.close()
    cutter.mend()
    assert cutter.port == port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"y")
    assert await reader.readexactly(1) == b"y"
    writer.close()


async def test_a_target_that_is_not_there_closes_the_connection() -> None:
    async with Cutter(target_port=free_port()) as cutter:
        reader, writer = await asyncio.open_connection("127.0.0.1", cutter.port)
        assert await ends(reader)
        writer.close()


async def test_leaving_ends_open_connections() -> None:
    async with serving(echo) as server:
        async with Cutter(target_port=server.port) as cutter:
            reader, writer = await asyncio.open_connection("127.0.0.1", cutter.port)
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
        assert await ends(reader)
        writer.close()
