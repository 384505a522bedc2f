"""What a session does besides reading."""

import asyncio
from contextlib import suppress

import pytest
from asyncua.client.ua_client import UASocketState

from adapters.opcua.session import Session
from adapters.opcua.settings import OpcuaSettings
from gateway.errors import SourceLost
from tests.adapters.opcua.plc import URI, Line, Plc
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


def settings(port: int, **keys: object) -> OpcuaSettings:
    return OpcuaSettings(name="press", url=f"opc.tcp://127.0.0.1:{port}", **keys)


async def test_the_secure_channel_is_renewed_when_due_and_not_before(plc: Plc) -> None:
    session = Session(settings(plc.port))
    try:
        await session.open()
        channel = session._client.uaclient.protocol._connection
        token = channel.security_token.TokenId
        await session.stay_alive()
        assert channel.security_token.TokenId == token
        session._renew_at_s = asyncio.get_running_loop().time()
        await session.stay_alive()
        assert channel.security_token.TokenId != token
        assert (await session.limits()).namespaces[2] == URI
    finally:
        await session.close()
    await until(lambda: plc.connections == 0)


async def test_no_answer_in_time_is_a_lost_source(plc: Plc) -> None:
    async with Line(plc).open() as line:
        session = Session(settings(line.port, timeout_s=1))
        try:
            await session.open()
            line.passes = 0
            with pytest.raises(SourceLost, match="asking for a sign of life: no answer in time"):
                await session.stay_alive()
        finally:
            await session.close()


async def test_a_session_that_was_never_opened_closes_too(plc: Plc) -> None:
    await Session(settings(plc.port)).close()


async def test_a_server_that_takes_nothing_any_more_does_not_hold_the_socket_open(plc: Plc) -> None:
    async with Line(plc).open() as line:
        session = Session(settings(line.port))
        await session.open()
        protocol = session._client.uaclient.protocol
        line.deaf = True
        protocol.transport.write(bytes(50_000_000))
        await session.close()
        assert protocol.state is UASocketState.CLOSED


async def test_a_cancellation_that_connecting_swallows_is_noticed(plc: Plc) -> None:
    session = Session(settings(plc.port))
    connect = session._client.connect_socket
    begun = asyncio.Event()

    async def swallowing() -> None:
        await connect()
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    session._client.connect_socket = swallowing
    opening = asyncio.create_task(session.open())
    await begun.wait()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await session.close()
    await until(lambda: plc.connections == 0)
