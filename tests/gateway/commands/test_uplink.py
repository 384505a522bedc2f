"""Commands over a real mosquitto: subscribed, handed on, answered; also across a lost connection."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.config.models import UplinkSettings
from gateway.demo.broker import Broker
from gateway.uplink.topics import Topics
from tests.gateway.uplink.support import Plant, Wire, subscribed
from tests.serving import serving
from tests.waiting import until

PROTOCOLS = pytest.mark.parametrize("protocol", ["3.1.1", "5"])


class Taken(NamedTuple):
    device: str
    tag: str
    payload: bytes
    retained: bool
    expiry_s: int | None


class Sender:
    """What hands commands on to, as `Commands.handle` is."""

    def __init__(self) -> None:
        self.taken: list[Taken] = []

    def __call__(self, device: str, tag: str, payload: bytes, *, retained: bool, expiry_s: int | None) -> None:
        self.taken.append(Taken(device, tag, payload, retained, expiry_s))


def settings(port: int, **more: Any) -> UplinkSettings:
    return UplinkSettings(host="127.0.0.1", port=port, **more)


async def publish(port: int, topic: str, payload: bytes = b"{}", **more: Any) -> None:
    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        await client.publish(topic, payload, qos=1, **more)


@PROTOCOLS
async def test_commands_come_in_and_replies_go_out(broker: Broker, protocol) -> None:
    sender = Sender()
    plant = Plant(settings(broker.port, protocol=protocol), on_command=sender)
    async with subscribed(broker.port, "tidegate/gw/cmd/+/+/result") as watcher, plant.connected():
        await publish(broker.port, "tidegate/gw/cmd/press/main force/set", b'{"id":"a"}')
        await until(lambda: sender.taken)
        plant.uplink.reply("press", "main force", b'{"id":"a","status":"accepted"}')
        await until(lambda: watcher.messages)
        assert plant.uplink.status["commands_topic"] is None
    assert sender.taken == [Taken("press", "main force", b'{"id":"a"}', False, None)]
    [reply] = watcher.messages
    assert reply.topic == "tidegate/gw/cmd/press/main force/result"
    assert (reply.payload["status"], reply.retain) == ("accepted", False)


@PROTOCOLS
async def test_a_retained_message_is_marked(broker: Broker, protocol) -> None:
    await publish(broker.port, "tidegate/gw/cmd/press/force/set", b"kept", retain=True)
    sender = Sender()
    plant = Plant(settings(broker.port, protocol=protocol), on_command=sender)
    async with plant.connected():
        await until(lambda: sender.taken)
    assert sender.taken == [Taken("press", "force", b"kept", True, None)]


async def test_with_mqtt_5_a_message_says_that_it_will_be_kept_and_when_it_expires(broker: Broker) -> None:
    sender = Sender()
    plant = Plant(settings(broker.port), on_command=sender)
    expiring = Properties(PacketTypes.PUBLISH)
    expiring.MessageExpiryInterval = 100
    async with plant.connected():
        await publish(broker.port, "tidegate/gw/cmd/press/force/set", retain=True)
        await publish(broker.port, "tidegate/gw/cmd/press/force/set", properties=expiring)
        await until(lambda: len(sender.taken) == 2)
    assert sender.taken[0].retained
    assert not sender.taken[1].retained
    assert 0 < (sender.taken[1].expiry_s or 0) <= 100


async def test_without_commands_nothing_is_subscribed_to(broker: Broker) -> None:
    plant = Plant(settings(broker.port))
    async with subscribed(broker.port, "tidegate/gw/cmd/#") as watcher, plant.connected():
        await publish(broker.port, "tidegate/gw/cmd/press/force/set")
        plant.uplink.reply("press", "force", b"{}")
        await until(lambda: watcher.messages)
        plant.emit(1.0)
        assert await plant.uplink.drain(10)
    assert [message.topic for message in watcher.messages] == ["tidegate/gw/cmd/press/force/set"]


async def test_replies_wait_for_a_connection_and_go_in_order_beside_readings(broker: Broker) -> None:
    plant = Plant(settings(broker.port, window=1), on_command=Sender())
    for number in range(20):
        plant.uplink.reply("press", "force", b"%d" % number)
    async with subscribed(broker.port) as watcher, plant.connected():
        for number in range(20):
            plant.emit(float(number))
        await until(lambda: sum("/result" in message.topic for message in watcher.messages) == 20)
        await until(lambda: len(plant.spool.acked) == 20)
    assert [message.payload for message in watcher.messages if "/result" in message.topic] == list(range(20))


async def test_a_reply_that_the_broker_did_not_answer_goes_again(broker: Broker) -> None:
    async with subscribed(broker.port, "+/+/cmd/+/+/result") as watcher, Wire(broker.port) as wire:
        plant = Plant(settings(wire.port), on_command=Sender())
        async with plant.connected() as run:
            wire.answers.clear()
            plant.uplink.reply("press", "force", b"1")
            plant.uplink.reply("press", "force", b"2")
            await until(lambda: watcher.messages)
            wire.cut()
            await asyncio.wait((run,))
        wire.answers.set()
        async with plant.connected():
            await until(lambda: len(watcher.messages) == 3)
    assert [message.payload for message in watcher.messages] == [1, 1, 2]


async def test_the_replies_that_wait_are_bounded(broker: Broker) -> None:
    plant = Plant(settings(broker.port), on_command=Sender())
    for number in range(1005):
        plant.uplink.reply("press", "force", b"%d" % number)
    async with subscribed(broker.port, "+/+/cmd/+/+/result") as watcher, plant.connected():
        await until(lambda: bool(watcher.messages) and watcher.messages[-1].payload == 1004)
    assert [message.payload for message in watcher.messages] == list(range(5, 1005))


async def refuse_subscriptions(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A broker as far as this takes one: mosquitto's own access lists never refuse a subscription, others' do."""
    while True:
        kind, length = await reader.readexactly(2)
        if length & 0x80:
            length = (length & 0x7F) + ((await reader.readexactly(1))[0] << 7)
        body = await reader.readexactly(length)
        if kind == 0x10:
            writer.write(b"\x20\x03\x00\x00\x00")
        elif kind == 0x82:
            writer.write(b"\x90\x04" + body[:2] + b"\x00\x87")
        elif kind & 0xF6 == 0x32:
            topic_end = 2 + int.from_bytes(body[:2])
            writer.write(b"\x40\x02" + body[topic_end : topic_end + 2])


async def test_a_broker_that_refuses_commands_costs_only_them() -> None:
    async with serving(refuse_subscriptions) as server:
        plant = Plant(settings(server.port), on_command=Sender())
        async with plant.connected():
            plant.emit(1.0)
            assert await plant.uplink.drain(10)
            assert plant.spool.acked == [1]
            assert plant.uplink.status["commands_topic"] == "tidegate/gw/cmd/+/+/set: Not authorized (0x87)"


@pytest.mark.parametrize(
    ("topic", "target"),
    [
        ("site/gw/cmd/press/force/set", ("press", "force")),
        ("site/gw/cmd//force/set", ("", "force")),
        ("site/gw/cmd/press/force/result", None),
        ("site/gw/cmd/press/set", None),
        ("site/gw/cmd/press/a/b/set", None),
        ("site/gw/data/press/force/set", None),
        ("other/cmd/press/force/set", None),
        ("press/force/set", None),
        ("", None),
    ],
)
def test_a_topic_names_its_target(topic, target) -> None:
    topics = Topics("site/{gateway}", gateway_id="gw")
    assert topics.command_target(topic) == target
    assert topics.commands == "site/gw/cmd/+/+/set"
    assert topics.command_result("press", "force") == "site/gw/cmd/press/force/result"
