"""Tries a broker for a person: connects as a client of its own, looks at the answer, and goes again.

It publishes nothing and leaves no will, so that nobody who subscribes to this gateway sees anything of it. Its client
id is not the gateway's: a broker ends the older of two connections with one id.
"""

from __future__ import annotations

import asyncio
from typing import Final

import aiomqtt
from aiomqtt import ProtocolVersion

from gateway.config.models import UplinkSettings
from gateway.config.words import many
from gateway.errors import UplinkError
from gateway.uplink.client import MqttClient
from gateway.uplink.session import CONNECT_S, broker_name, broker_port, client_id, tls_of
from gateway.uplink.troubles import connect_trouble

__all__ = ["probe"]

_LEAVE_S: Final = 1.0


async def probe(settings: UplinkSettings, *, gateway_id: str) -> str:
    """What the broker said, in words.

    Args:
        settings: the broker and how to speak to it.
        gateway_id: name of this gateway, for the client id.

    Raises:
        UplinkError: it cannot be reached, or refused us; says why.
    """
    name = broker_name(settings)
    client = MqttClient(
        settings.host,
        broker_port(settings),
        tls=await tls_of(settings),
        protocol=ProtocolVersion.V5 if settings.protocol == "5" else ProtocolVersion.V311,
        identifier=f"{client_id(settings, gateway_id=gateway_id)}-test",
        username=settings.username,
        password=settings.password,
        keepalive_s=settings.keepalive,
        will=None,
        on_answer=lambda _packet_id, _reason: None,
    )
    try:
        try:
            async with asyncio.timeout(CONNECT_S):
                await client.connect()
        except (OSError, aiomqtt.MqttError) as error:
            trouble = connect_trouble(error, host=settings.host, timeout_s=CONNECT_S, tls=settings.tls is not None)
            raise UplinkError(f"MQTT broker {name}: {trouble}") from None
        limits = _limits(client)
        try:
            async with asyncio.timeout(_LEAVE_S):
                await client.disconnect()
        except TimeoutError:
            pass  # it answered; how it says good-bye is no part of the test
    finally:
        await client.shut()
    return f"{name} lets us in, MQTT {settings.protocol}{limits}"


def _limits(client: MqttClient) -> str:
    told = []
    if client.receive_maximum is not None:
        told.append(f"{many(client.receive_maximum, 'message')} at once")
    if client.maximum_packet_bytes is not None:
        told.append(f"{client.maximum_packet_bytes:,} bytes in a message")
    return f"; it takes {' and '.join(told)}" if told else ""
