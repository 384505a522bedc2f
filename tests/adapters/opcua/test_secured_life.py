"""Secured sessions as they live: the channel is renewed, and large requests pass in pieces that a server takes."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.common.connection import SecureConnection, TransportLimits

from adapters.base import Site
from adapters.opcua import adapter as adapter_file
from adapters.opcua import secure as secure_file
from adapters.opcua import session as session_file
from adapters.opcua import trust as trust_file
from adapters.opcua.client import SecureClient
from adapters.opcua.pki.certificates import read_certificate
from adapters.opcua.secure import Upkeep
from adapters.opcua.session import Session
from adapters.opcua.settings import OpcuaSettings
from gateway.cli import main
from gateway.errors import SourceLost
from tests.adapters.opcua.certificates import crl, make, rsa_key
from tests.adapters.opcua.plc import Rig
from tests.adapters.opcua.secured import POLICIES, SecuredPlc, Wire, site, trust
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

PLC = make()
LIFETIME_MS = 8_000


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plc() -> AsyncIterator[SecuredPlc]:
    server = await SecuredPlc.open(PLC)
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
def here(tmp_path: Path) -> Site:
    where = site(tmp_path)
    trust(where, PLC)
    return where


class _ShortLived(SecureClient):
    """Asks for a channel that ends soon; not so soon that a busy machine is late to renew it."""

    def __init__(self, *args: Any, **keys: Any) -> None:
        super().__init__(*args, **keys)
        self.secure_channel_timeout = LIFETIME_MS


@pytest.fixture
def renewing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has sessions renew their channels ten times a second, though these live for an hour."""

    def at_once(self: Session) -> None:
        self._renew_at_s = 0.0

    monkeypatch.setattr(Session, "_plan_renewal", at_once)
    monkeypatch.setattr(Session, "stay_alive_every_s", 0.1)


def token(plc: SecuredPlc) -> int:
    """Number of the token that the only connection uses; asyncua's server counts from 13."""
    (client,) = plc.server.bserver.clients
    return int(client.processor._connection.security_token.TokenId)


async def counts_through(plc: SecuredPlc, rig: Rig, name: str, renewals: int) -> None:
    """Has the server count while the channel is renewed, and looks that no number is missing."""
    async with rig.running() as running:
        await rig.seen("count")
        number, first = 0, token(plc)
        while token(plc) < first + renewals:
            number += 1
            await plc.write(
                name, ua.DataValue(ua.Variant(number, ua.VariantType.Int64), SourceTimestamp=datetime.now(UTC))
            )
            await asyncio.sleep(0.01)
            assert not running.done()
        await until(lambda: rig.of("count")[-1].value == number)
    assert [reading.value for reading in rig.of("count")] == [*range(number + 1)]


@pytest.mark.parametrize("mode", ["Sign", "SignAndEncrypt"])
@pytest.mark.parametrize("policy", POLICIES)
async def test_a_channel_is_renewed_and_nothing_is_lost(
    policy: str, mode: str, plc: SecuredPlc, here: Site, renewing: None
) -> None:
    name = f"Count.{policy}.{mode}"
    await plc.add(name, ua.Variant(0, ua.VariantType.Int64))
    rig = Rig(plc.port, {"count": f"ns=2;s={name}"}, site=here, security=policy, security_mode=mode, queue_size=10_000)
    await counts_through(plc, rig, name, renewals=10)
    await until(lambda: plc.connections == 0)


async def test_a_channel_with_a_short_life_is_renewed(
    plc: SecuredPlc, here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_file, "SecureClient", _ShortLived)
    await plc.add("Short", ua.Variant(0, ua.VariantType.Int64))
    rig = Rig(plc.port, {"count": "ns=2;s=Short"}, site=here, security="Basic256Sha256", queue_size=10_000)
    await counts_through(plc, rig, "Short", renewals=1)
    await until(lambda: plc.connections == 0)


async def test_a_plc_whose_clock_is_hours_behind_is_not_lost_when_its_channel_is_renewed(
    plc: SecuredPlc, here: Site, monkeypatch: pytest.MonkeyPatch, renewing: None
) -> None:
    """What it still sends under the old token is no older for that."""
    opened = SecureConnection.open

    def behind(self: SecureConnection, *args: Any) -> Any:
        result = opened(self, *args)
        (self.next_security_token if self.next_security_token.TokenId else self.security_token).CreatedAt = (
            datetime.now(UTC) - timedelta(hours=5)
        )
        return result

    monkeypatch.setattr(SecureConnection, "open", behind)
    await plc.add("Behind", ua.Variant(0, ua.VariantType.Int64))
    rig = Rig(plc.port, {"count": "ns=2;s=Behind"}, site=here, security="Basic256Sha256", queue_size=10_000)
    await counts_through(plc, rig, "Behind", renewals=10)
    await until(lambda: plc.connections == 0)


@pytest.mark.parametrize("policy", POLICIES)
async def test_a_server_with_a_longer_key_is_understood(policy: str, tmp_path: Path) -> None:
    """Beyond 2048 bits the padding of the first messages has a second byte for its length."""
    long = make(key=rsa_key(0, 3_072))
    plc = await SecuredPlc.open(long)
    try:
        await plc.add("Speed", 1.5)
        where = site(tmp_path)
        trust(where, long)
        rig = Rig(
            plc.port,
            {"speed": "ns=2;s=Speed"},
            site=where,
            security=policy,
            security_mode="Sign",
            username="op",
            password="right",
        )
        async with rig.running():
            await rig.seen("speed")
        assert plc.seen.users == [("op", "right")]
        await until(lambda: plc.connections == 0)
    finally:
        await plc.stop()


async def test_a_session_that_lives_for_months_has_the_next_certificate_made(
    plc: SecuredPlc, here: Site, tmp_path: Path
) -> None:
    own = tmp_path / "pki" / "own"
    ending = make("gateway", uri="urn:tidegate:gateway", ends=datetime.now(UTC) + timedelta(days=60), key=rsa_key(7))
    own.mkdir()
    (own / "cert.der").write_bytes(ending.der)
    (own / "key.pem").write_bytes(ending.key_pem)
    days = [0.0]
    keep = Upkeep(here, lambda: days[0] * 86_400)
    await keep.look()
    days[0] = 0.9
    await keep.look()
    assert not (own / "next.der").exists()  # it looks once a day
    days[0] = 1.1
    await keep.look()
    assert read_certificate((own / "next.der").read_bytes()).uris == ("urn:tidegate:gateway",)
    (own / "key.pem").unlink()
    days[0] = 2.2
    await keep.look()  # the session that there is goes on


async def test_a_session_looks_after_the_certificate(
    plc: SecuredPlc, here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Path] = []
    monkeypatch.setattr(secure_file, "_UPKEEP_S", 0.0)
    session = Session(OpcuaSettings(name="press", url=f"opc.tcp://127.0.0.1:{plc.port}", security="auto"), here)
    try:
        await session.open()
        monkeypatch.setattr(secure_file, "_own", lambda folder, gateway: looked.append(folder))
        await session.stay_alive()
    finally:
        await session.close()
    assert looked == [here.pki]
    await until(lambda: plc.connections == 0)


# ---- trust that ends while a session is open


async def refused_within_seconds(running: "asyncio.Task[None]", says: str) -> None:
    with pytest.raises(SourceLost, match=says):
        await asyncio.wait_for(running, 30)


async def test_a_server_that_is_rejected_is_not_read_any_longer(plc: SecuredPlc, here: Site) -> None:
    await plc.add("Speed", 1.5)
    assert here.pki is not None
    rig = Rig(plc.port, {"speed": "ns=2;s=Speed"}, site=here, security="auto")
    async with rig.running() as running:
        await rig.seen("speed")
        thumbprint = read_certificate(PLC.der).thumbprint[:16]
        assert main(["pki", "reject", thumbprint, "--pki", str(here.pki)]) == 0
        await refused_within_seconds(running, "reading on: the server's certificate .* check trust: .* pki trust")
    with pytest.raises(SourceLost, match="check trust"):
        await rig.adapter.run(rig.emit)
    # Its subscription was kept meanwhile: who trusts it again has missed nothing.
    await plc.write("Speed", ua.DataValue(ua.Variant(2.5), SourceTimestamp=datetime.now(UTC)))
    assert main(["pki", "trust", thumbprint, "--pki", str(here.pki)]) == 0
    async with rig.running():
        await rig.seen("speed", readings=2)
    await until(lambda: plc.connections == 0)


async def test_a_server_that_is_revoked_is_not_read_any_longer_and_one_that_merely_expires_is(
    plc: SecuredPlc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter_file, "LOOK_S", 0.05)
    await plc.add("Speed", 1.5)
    root = make("plant", key=rsa_key(1), ca=True, uri=None, hosts=())
    issued = make("plc-7", issuer=root, ends=datetime.now(UTC) + timedelta(days=1))
    plc.use(issued)
    where = site(tmp_path)
    trust(where, root)
    rig = Rig(plc.port, {"speed": "ns=2;s=Speed"}, site=where, security="auto")
    async with rig.running() as running:
        await rig.seen("speed")
        looked: list[datetime] = []

        class Later(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:
                looked.append(datetime.now(tz) + timedelta(days=2))
                return looked[-1]

        monkeypatch.setattr(trust_file, "datetime", Later)
        trust(where, make("other", key=rsa_key(3)))  # something else is trusted: all is looked at again
        await until(lambda: looked)
        await plc.write("Speed", ua.DataValue(ua.Variant(2.5), SourceTimestamp=datetime.now(UTC)))
        await rig.seen("speed", readings=2)
        assert not running.done()
        (tmp_path / "pki" / "crl" / "plant.crl").write_bytes(crl(root, issued))
        await refused_within_seconds(running, "check revoked: 'plant' has revoked 'plc-7'")
    await until(lambda: plc.connections == 0)
    plc.use(PLC)


# ---- many items

HEADERS = 24
"""Bytes before the body of a message that is neither signed nor encrypted."""


async def many(plc: SecuredPlc, number: int) -> dict[str, str]:
    """Adds variables with the long names that PLCs give them."""
    names = [f"Hall7.Line3.Station12.Controller.Module{index:05}.Actual.ProcessValue.Scaled" for index in range(number)]
    await plc.add_all({name: float(index) for index, name in enumerate(names)})
    return {f"t{index}": f"ns=2;s={name}" for index, name in enumerate(names)}


async def test_more_than_1000_items_over_a_channel_that_is_signed_alone(plc: SecuredPlc, here: Site) -> None:
    """Over one that is encrypted as well there are 20,000, in `test_many.py`."""
    nodes = await many(plc, 1_100)
    async with Wire(plc).open() as wire:
        rig = Rig(wire.port, nodes, site=here, security="Basic256Sha256", security_mode="Sign", timeout_s=60.0)
        async with rig.running():
            await rig.seen()
            assert rig.context.facts["items_monitored"] == 1_100
            assert rig.context.facts["tags_refused"] == 0
    # That is the point: these requests do not fit into one chunk.
    assert max(size for kind, size in wire.chunks if kind == b"MSG") > 60_000
    assert max(size for _, size in wire.chunks) <= 65_535
    values = {reading.point: reading.value for batch in rig.batches for reading in batch}
    assert values == {101 + index: float(index) for index in range(1_100)}
    await until(lambda: plc.connections == 0)
    await plc.clear()


async def test_what_is_measured_is_the_whole_request(plc: SecuredPlc, here: Site) -> None:
    """A request that is too long by its header alone would make the server hang up."""
    nodes = await many(plc, 20)
    longest = 0
    for _ in range(2):
        async with Wire(plc, most=max(0, longest - 1)).open() as wire:
            rig = Rig(wire.port, nodes, site=here)
            async with rig.running():
                await rig.seen()
                assert rig.context.facts["items_monitored"] == 20
            longest, before = max(size for kind, size in wire.chunks if kind == b"MSG") - HEADERS, longest
    assert 0 < longest < before


async def test_a_small_plc_is_sent_no_more_at_once_than_it_takes(here: Site) -> None:
    """Chunks of 8 kB and messages of 32 kB, as small controllers have them; a thousand items take four times that."""
    plc = await SecuredPlc.open(PLC)
    plc.server.bserver.limits = TransportLimits(
        max_recv_buffer=8_192, max_send_buffer=8_192, max_chunk_count=4, max_message_size=32_768
    )
    try:
        nodes = await many(plc, 1_200)
        async with Wire(plc).open() as wire:
            rig = Rig(wire.port, nodes, site=here, security="Basic256Sha256", timeout_s=60.0)
            async with rig.running():
                await rig.seen()
                assert rig.context.facts["items_monitored"] == 1_200
        assert 8_000 < max(size for _, size in wire.chunks) <= 8_192
        await until(lambda: plc.connections == 0)
    finally:
        await plc.stop()


@pytest.mark.parametrize(("receives", "sends"), [(8_192, 65_535), (65_535, 8_192)])
async def test_a_plc_whose_buffers_differ_is_spoken_to_within_the_smaller_one(
    receives: int, sends: int, plc: SecuredPlc, here: Site
) -> None:
    """It takes 8 kB and sends 64 kB, or says so the other way round; its answers are taken all the same."""
    nodes = await many(plc, 1_200)
    async with Wire(plc, receives=receives, sends=sends, most=40_000).open() as wire:
        rig = Rig(wire.port, nodes, site=here, security="Aes256_Sha256_RsaPss", timeout_s=60.0)
        async with rig.running():
            await rig.seen()
            assert rig.context.facts["items_monitored"] == 1_200
        assert max(size for kind, size in wire.chunks if kind == b"MSG") <= 8_192
    await until(lambda: plc.connections == 0)
    await plc.clear()
