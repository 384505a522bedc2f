from __future__ import annotations

import asyncio
import os
from pathlib import Path

import aiomqtt
import pytest

from gateway.demo.broker import Broker, BrokerKind, find_mosquitto, free_port, mosquitto_config
from gateway.errors import TidegateError
from tests.waiting import until

KINDS: list[BrokerKind] = ["mosquitto", "amqtt"]


def client(broker: Broker, name: str, *, clean: bool = True) -> aiomqtt.Client:
    return aiomqtt.Client(
        broker.host,
        broker.port,
        identifier=name,
        clean_session=clean,
        protocol=aiomqtt.ProtocolVersion.V311,
    )


async def publish(broker: Broker, topic: str, payload: bytes) -> None:
    async with client(broker, "publisher") as publisher:
        await publisher.publish(topic, payload, qos=1)


@pytest.mark.parametrize("kind", KINDS)
async def test_carries_a_message_and_keeps_its_port(kind: BrokerKind, tmp_path: Path) -> None:
    broker = Broker(folder=tmp_path, kind=kind)
    async with broker:
        port = broker.port
        async with client(broker, "subscriber") as subscriber:
            await subscriber.subscribe("a/#", qos=1)
            await publish(broker, "a/b", b"1")
            message = await anext(aiter(subscriber.messages))
            assert message.payload == b"1"
    assert not broker.running
    async with broker:
        assert broker.port == port
        assert broker.kind == kind


@pytest.mark.parametrize("kind", KINDS)
async def test_kill_leaves_no_process(kind: BrokerKind, tmp_path: Path) -> None:
    broker = Broker(folder=tmp_path, kind=kind)
    await broker.start()
    pid = broker.pid
    await broker.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(TidegateError, match="not running"):
        _ = broker.pid
    await broker.stop()  # nothing to stop is no mistake


async def test_mosquitto_keeps_a_session_across_stop_and_start(tmp_path: Path) -> None:
    broker = Broker(folder=tmp_path, kind="mosquitto")
    async with broker:
        async with client(broker, "keeper", clean=False) as subscriber:
            await subscriber.subscribe("a", qos=1)
        await publish(broker, "a", b"kept")
    async with broker, client(broker, "keeper", clean=False) as subscriber:
        message = await anext(aiter(subscriber.messages))
        assert message.payload == b"kept"


async def test_a_refusing_broker_is_up(tmp_path: Path) -> None:
    broker = Broker(folder=tmp_path, kind="mosquitto", extra_config=["allow_anonymous false"])
    async with broker:
        assert broker.running
        with pytest.raises(aiomqtt.MqttError):
            await publish(broker, "a", b"1")


async def test_a_broken_setting_is_told_with_the_log(tmp_path: Path) -> None:
    broker = Broker(folder=tmp_path, port=free_port(), kind="mosquitto", extra_config=["no_such_setting 1"])
    with pytest.raises(TidegateError, match="no_such_setting"):
        await broker.start()
    assert not broker.running


async def test_a_given_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    async with Broker(folder=tmp_path / "first", kind="mosquitto") as first:
        second = Broker(folder=tmp_path / "second", port=first.port, kind="amqtt")
        with pytest.raises(TidegateError, match="amqtt broker"):
            await second.start()
        assert not second.running


async def test_a_cancelled_start_leaves_no_process(tmp_path: Path) -> None:
    broker = Broker(folder=tmp_path, kind="amqtt")
    starting = asyncio.create_task(broker.start())
    await until((tmp_path / "broker.log").exists)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not broker.running


def test_auto_takes_mosquitto_where_it_is_installed(tmp_path: Path) -> None:
    assert Broker(folder=tmp_path).kind == ("mosquitto" if find_mosquitto() else "amqtt")


def test_amqtt_takes_no_mosquitto_settings(tmp_path: Path) -> None:
    with pytest.raises(TidegateError, match="mosquitto"):
        Broker(folder=tmp_path, kind="amqtt", extra_config=["allow_anonymous false"])


def test_config_says_anonymous_only_where_the_caller_does_not(tmp_path: Path) -> None:
    plain = mosquitto_config(port=1, folder=tmp_path, extra=[], as_root=False)
    strict = mosquitto_config(port=1, folder=tmp_path, extra=["allow_anonymous false"], as_root=True)
    assert "allow_anonymous true" in plain
    assert "user root" not in plain
    assert "allow_anonymous true" not in strict
    assert strict.endswith("listener 1 127.0.0.1\nallow_anonymous false\n")
