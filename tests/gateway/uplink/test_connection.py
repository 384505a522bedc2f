"""Connecting, the status topic, the will, and every way a connection ends: with a real mosquitto."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config.models import TlsSettings, UplinkSettings
from gateway.demo.broker import Broker, free_port
from gateway.errors import UplinkError
from tests.gateway.uplink.certificates import Authority
from tests.gateway.uplink.support import Plant, Wire, subscribed
from tests.serving import serving
from tests.waiting import until

PROTOCOLS = pytest.mark.parametrize("protocol", ["3.1.1", "5"])


def settings(port: int, **more) -> UplinkSettings:
    return UplinkSettings(host="127.0.0.1", port=port, **more)


@PROTOCOLS
async def test_online_is_retained_and_offline_follows_a_clean_stop(broker: Broker, protocol) -> None:
    plant = Plant(settings(broker.port, protocol=protocol), now_ns=lambda: 1_700_000_000_123_000_000)
    async with plant.connected(), subscribed(broker.port) as late:
        await until(late.states)
        [status] = late.messages
    assert status.topic == "tidegate/gw/status"
    assert status.retain
    assert status.payload == {"state": "online", "gateway": "gw", "version": "0.1.0", "since": 1_700_000_000_123}
    async with subscribed(broker.port) as later:
        await until(later.states)
    assert later.messages[0].retain
    # Our own goodbye has a time; the will has none.
    assert later.messages[0].payload == {**status.payload, "state": "offline"}


@PROTOCOLS
async def test_the_will_speaks_when_the_wire_is_cut(broker: Broker, protocol) -> None:
    async with subscribed(broker.port) as watcher, Wire(broker.port) as wire:
        plant = Plant(settings(wire.port, protocol=protocol))
        async with plant.connected() as run:
            await until(lambda: watcher.states() == ["online"])
            wire.cut()
            with pytest.raises(UplinkError, match=rf"MQTT broker 127\.0\.0\.1:{wire.port}: "):
                await run
        await until(lambda: watcher.states() == ["online", "offline"])
        assert watcher.messages[-1].payload["since"] is None
        assert plant.uplink.status["state"] == "not connected"
        assert str(wire.port) in plant.uplink.status["last_error"]


@PROTOCOLS
async def test_an_idle_connection_notices_the_broker_stopping(broker: Broker, protocol) -> None:
    plant = Plant(settings(broker.port, protocol=protocol))
    async with plant.connected() as run:
        await broker.stop()
        with pytest.raises(UplinkError, match=str(broker.port)):
            async with asyncio.timeout(20):
                await run


async def test_a_killed_broker_is_noticed(broker: Broker) -> None:
    plant = Plant(settings(broker.port))
    async with plant.connected() as run:
        await broker.kill()
        with pytest.raises(UplinkError, match=r"closed the connection|broke"):
            async with asyncio.timeout(20):
                await run


async def test_no_broker_is_an_error_that_says_so() -> None:
    port = free_port()
    plant = Plant(settings(port))
    with pytest.raises(UplinkError, match=rf"MQTT broker 127\.0\.0\.1:{port}: nothing listens there"):
        await plant.uplink.run()


async def test_an_unknown_name_is_an_error_that_says_so() -> None:
    plant = Plant(UplinkSettings(host="no-such-host.invalid"))
    with pytest.raises(UplinkError, match=r"no-such-host\.invalid:1883: the name 'no-such-host\.invalid' is not known"):
        await plant.uplink.run()


async def test_a_peer_that_hangs_up_before_it_answers() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with serving(hang_up) as server:
        plant = Plant(settings(server.port))
        assert plant.uplink.status["last_error_at"] is None
        with pytest.raises(UplinkError, match="closed the connection before it answered"):
            await plant.uplink.run()
    assert "closed the connection" in plant.uplink.status["last_error"]
    assert plant.uplink.status["last_error_at"] > 1_700_000_000
    assert plant.uplink.status["last_acknowledged_s"] is None


@PROTOCOLS
async def test_a_wrong_password_is_an_error_that_says_what_to_check(tmp_path: Path, protocol) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text(hashed("operator", "right"))
    extra = ["allow_anonymous false", f"password_file {passwords}"]
    async with Broker(folder=tmp_path / "broker", kind="mosquitto", extra_config=extra) as broker:
        wrong = Plant(settings(broker.port, protocol=protocol, username="operator", password="wrong"))
        with pytest.raises(UplinkError, match=r"refused us: Not authorized \(0x87\)\. Check uplink\.username"):
            await wrong.uplink.run()
        right = Plant(settings(broker.port, protocol=protocol, username="operator", password="right"))
        async with right.connected():
            seq = right.emit(1.0)
            await until(lambda: right.spool.acked == [seq])


async def test_tls_with_a_private_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("127.0.0.1")
    extra = [f"certfile {certificate}", f"keyfile {key}"]
    async with Broker(folder=tmp_path / "broker", kind="mosquitto", extra_config=extra) as broker:
        plant = Plant(settings(broker.port, tls=TlsSettings(ca_file=str(authority.certificate))))
        async with plant.connected():
            seqs = [plant.emit(*map(float, range(2_000))) for _ in range(20)]
            await until(lambda: plant.spool.acked == seqs)
            assert plant.uplink.status["last_acknowledged_s"] >= 0

        stranger = Plant(settings(broker.port, tls=TlsSettings()))
        with pytest.raises(UplinkError, match=r"certificate is not trusted: .*Check uplink\.tls\.ca_file"):
            await stranger.uplink.run()

        careless = Plant(settings(broker.port, tls=TlsSettings(verify=False)))
        async with careless.connected():
            pass

        plain = Plant(settings(broker.port))
        with pytest.raises(UplinkError, match=r"closed the connection before it answered\. Does this port want TLS\?"):
            await plain.uplink.run()


async def test_tls_to_a_plain_port_and_files_that_are_not_there(broker: Broker, tmp_path: Path) -> None:
    with pytest.raises(UplinkError, match=r"Does this port speak TLS|If this port does not speak TLS"):
        await Plant(settings(broker.port, tls=TlsSettings())).uplink.run()
    with pytest.raises(UplinkError, match=r"uplink\.tls\.ca_file: .*No such file"):
        await Plant(settings(broker.port, tls=TlsSettings(ca_file=str(tmp_path / "none.pem")))).uplink.run()
    (tmp_path / "junk.pem").write_text("junk")
    with pytest.raises(UplinkError, match=r"uplink\.tls\.ca_file: .*holds no certificate"):
        await Plant(settings(broker.port, tls=TlsSettings(ca_file=str(tmp_path / "junk.pem")))).uplink.run()


async def test_two_gateways_with_one_client_id_are_told(broker: Broker) -> None:
    first, second = Plant(settings(broker.port)), Plant(settings(broker.port))
    async with first.connected() as run, second.connected():
        with pytest.raises(UplinkError, match="another client may be using our client id"):
            await run


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """Fails when a socket or a task is left. Nothing is collected meanwhile: finalisers would close what we forgot."""
    mine = asyncio.all_tasks()
    gc.collect()
    gc.disable()
    before = len(list(Path("/dev/fd").iterdir()))
    try:
        yield
        assert asyncio.all_tasks() == mine
        assert len(list(Path("/dev/fd").iterdir())) == before
    finally:
        gc.enable()


@pytest.mark.parametrize("pause_s", [0.0, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.008, 0.02, 0.05])
async def test_a_cancel_at_any_moment_leaves_no_task_and_no_socket(broker: Broker, pause_s) -> None:
    plant = Plant(settings(broker.port))
    for _ in range(50):
        plant.store(*map(float, range(100)))
    with nothing_left():
        run = asyncio.create_task(plant.uplink.run())
        await asyncio.sleep(pause_s)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
    assert plant.uplink.status["state"] == "not connected"


async def test_a_cancel_while_the_peer_does_not_answer() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)  # TCP connects, and nobody ever speaks MQTT
        with nothing_left():
            run = asyncio.create_task(Plant(settings(deaf.getsockname()[1])).uplink.run())
            await asyncio.sleep(0.05)
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run


async def test_a_tls_handshake_that_is_cancelled_leaves_no_socket() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)
        deaf.setblocking(False)
        loop = asyncio.get_running_loop()
        with nothing_left():
            tls = TlsSettings()
            run = asyncio.create_task(Plant(settings(deaf.getsockname()[1], tls=tls)).uplink.run())
            peer, _ = await loop.sock_accept(deaf)
            with peer:
                assert await loop.sock_recv(peer, 1)  # the handshake has begun
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run


async def test_live_tells_when_the_connection_comes_and_goes(broker: Broker) -> None:
    told: list[bool] = []
    plant = Plant(settings(broker.port), live=told.append)
    async with plant.connected():
        assert told == [True]
    assert told == [True, False]


def hashed(user: str, password: str) -> str:
    """One line of mosquitto's password file: $7$iterations$salt$hash, PBKDF2 with SHA-512."""
    salt = b"twelve bytes"
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    return f"{user}:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"
