"""Secured sessions at a real server: every policy, every mode, every log-in; and every way in which it is refused."""

import asyncio
import datetime as dt
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import struct_from_binary

from adapters.base import NOWHERE, Site
from adapters.opcua import PROTOCOL
from adapters.opcua.pki.certificates import read_certificate
from adapters.opcua.session import Session
from adapters.opcua.settings import OpcuaSettings
from gateway.cli import main
from gateway.errors import SourceLost
from tests.adapters.opcua.certificates import SERVER_URI, Made, crl, make, rsa_key
from tests.adapters.opcua.plc import Rig
from tests.adapters.opcua.secured import EVERY, POLICIES, SecuredPlc, Wire, site, trust
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

PLC = make()
USER = make("maria", uri=None, hosts=(), key=rsa_key(3))
ROOT = make("plant", key=rsa_key(1), ca=True, uri=None, hosts=())
YESTERDAY = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
TOMORROW = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared() -> AsyncIterator[SecuredPlc]:
    plc = await SecuredPlc.open(PLC)
    await plc.add("Speed", 1.5)
    try:
        yield plc
    finally:
        await plc.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def plc(shared: SecuredPlc) -> AsyncIterator[SecuredPlc]:
    try:
        yield shared
    finally:
        await until(lambda: shared.connections == 0)
        await shared.reset()


@pytest.fixture
def here(tmp_path: Path) -> Site:
    """A site that trusts the server."""
    where = site(tmp_path)
    trust(where, PLC)
    return where


def settings(port: int, **keys: Any) -> OpcuaSettings:
    keys = {"security": "auto", "timeout_s": 5.0, **keys}
    return OpcuaSettings(name="press", url=f"opc.tcp://127.0.0.1:{port}", **keys)


async def refusal(where: Site, port: int, **keys: Any) -> str:
    """Why no session can be opened."""
    session = Session(settings(port, **keys), where)
    try:
        with pytest.raises(SourceLost) as caught:
            await session.open()
    finally:
        await session.close()
    return str(caught.value)


async def opens(where: Site, port: int, **keys: Any) -> None:
    session = Session(settings(port, **keys), where)
    try:
        await session.open()
        assert (await session.limits()).namespaces[1] == SERVER_URI
    finally:
        await session.close()


LOGINS: dict[str, Any] = {
    "anonymous": "anonymous",
    "user name": ("op", "right"),
    "user certificate": "certificate",
}


def login(kind: str, folder: Path) -> dict[str, Any]:
    if kind == "user name":
        return {"username": "op", "password": "right"}
    if kind == "user certificate":
        certificate, key = USER.write(folder, "maria")
        return {"user_cert_file": str(certificate), "user_key_file": str(key)}
    return {}


@pytest.mark.parametrize("kind", LOGINS)
@pytest.mark.parametrize("mode", ["Sign", "SignAndEncrypt"])
@pytest.mark.parametrize("policy", ["None", *POLICIES])
async def test_every_policy_mode_and_log_in_reads(
    policy: str, mode: str, kind: str, plc: SecuredPlc, here: Site, tmp_path: Path
) -> None:
    plc.know(USER)
    rig = Rig(
        plc.port, {"speed": "ns=2;s=Speed"}, site=here, security=policy, security_mode=mode, **login(kind, tmp_path)
    )
    async with rig.running():
        await rig.seen("speed")
        assert plc.policies_in_use == [(policy, "None_" if policy == "None" else mode)]
        assert plc.seen.users == [LOGINS[kind]]
        if policy != "None":
            own = read_certificate((here.pki / "own" / "cert.der").read_bytes())
            assert plc.seen.certificates == [own.der]
            assert plc.seen.uris == [own.uris[0]] == ["urn:tidegate:press-shop-1"]
            assert policy in rig.context.facts["security"]
    assert rig.of("speed")[0].value == 1.5


async def test_auto_is_the_strongest(plc: SecuredPlc, here: Site) -> None:
    rig = Rig(plc.port, {"speed": "ns=2;s=Speed"}, site=here, security="auto")
    async with rig.running():
        await rig.seen("speed")
        assert plc.policies_in_use == [("Aes256_Sha256_RsaPss", "SignAndEncrypt")]


@pytest.mark.parametrize("policy", POLICIES)
async def test_a_write_goes_over_the_secured_session(policy: str, plc: SecuredPlc, here: Site) -> None:
    name = f"Target.{policy}"
    node = await plc.server.nodes.objects.add_variable(ua.NodeId(name, 2), ua.QualifiedName(name, 2), 1.0)
    await node.set_writable()
    rig = Rig(plc.port, {"target": f"ns=2;s={name}"}, site=here, security=policy)
    async with rig.running():
        await rig.seen("target")
        assert (await rig.adapter.write("target", 2.5)).value == 2.5
        assert plc.policies_in_use == [(policy, "SignAndEncrypt")]


@pytest.mark.parametrize("policy", POLICIES)
async def test_looking_around_goes_over_a_secured_session(policy: str, plc: SecuredPlc, here: Site) -> None:
    device = OpcuaSettings(name="press", url=f"opc.tcp://127.0.0.1:{plc.port}", security=policy)
    async with PROTOCOL.explore(device, here) as explorer:
        assert plc.policies_in_use == [(policy, "SignAndEncrypt")]
        assert "Speed" in [node.name for node in await explorer.browse(None)]
        assert [node.name for node in (await explorer.search("Speed", 10))[0]] == ["Speed"]


async def test_what_the_gateway_sends_cannot_be_read_on_the_way(plc: SecuredPlc, here: Site) -> None:
    async with Wire(plc).open() as wire:
        rig = Rig(
            wire.port, {"speed": "ns=2;s=Speed"}, site=here, security="Basic256Sha256", **login("user name", Path())
        )
        async with rig.running():
            await rig.seen("speed")
        assert b"Speed" not in wire.sent
        assert b"right" not in wire.sent
        wire.sent.clear()
        signed = Rig(wire.port, {"speed": "ns=2;s=Speed"}, site=here, security="Basic256Sha256", security_mode="Sign")
        async with signed.running():
            await signed.seen("speed")
        assert b"Speed" in wire.sent  # the same eyes do see it where it is there to be seen


@pytest.mark.parametrize(("security", "mode"), [("None", "SignAndEncrypt"), ("Basic256Sha256", "Sign")])
async def test_a_password_is_encrypted_also_where_the_channel_is_not(
    security: str, mode: str, plc: SecuredPlc, here: Site
) -> None:
    async with Wire(plc).open() as wire:
        await opens(here, wire.port, security=security, security_mode=mode, username="op", password="right")
        assert plc.seen.users == [("op", "right")]
        assert b"op" in wire.sent
        assert b"right" not in wire.sent


async def test_a_wrong_password_is_told(plc: SecuredPlc, here: Site) -> None:
    said = await refusal(here, plc.port, username="op", password="wrong")
    assert "BadUserAccessDenied; check username and password" in said


async def test_a_password_that_is_too_long_for_the_key_is_told(plc: SecuredPlc, here: Site) -> None:
    said = await refusal(here, plc.port, security="None", username="op", password="x" * 200)
    assert "the password is too long for the server's key: it may have 154 bytes" in said


async def test_an_unknown_user_certificate_is_told(plc: SecuredPlc, here: Site, tmp_path: Path) -> None:
    plc.doors.strict = True
    said = await refusal(here, plc.port, **login("user certificate", tmp_path))
    assert "opening a session: the server answered BadUserAccessDenied" in said


async def test_a_user_certificate_that_went_away_is_told(plc: SecuredPlc, here: Site, tmp_path: Path) -> None:
    keys = login("user certificate", tmp_path)
    (tmp_path / "maria.pem").unlink()
    assert "maria.pem cannot be read" in await refusal(here, plc.port, **keys)


# ---- whom the gateway does not trust


async def test_an_unknown_server_is_trusted_by_the_command_that_the_error_names(
    plc: SecuredPlc, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """The same adapter, made once, as in a gateway that runs on."""
    rig = Rig(plc.port, {"speed": "ns=2;s=Speed"}, site=site(tmp_path), security="auto")
    for _ in range(2):
        with pytest.raises(SourceLost, match="check trust: nobody has trusted it here yet") as caught:
            await rig.adapter.run(rig.emit)
    kept = tmp_path / "pki" / "rejected" / f"plc-{read_certificate(PLC.der).thumbprint[:16]}.der"
    assert kept.read_bytes() == PLC.der
    assert f"(it is kept there as rejected/{kept.name})" in str(caught.value)
    assert len([*kept.parent.iterdir()]) == 1
    command = re.search(r"then run: tidegate (pki trust \w+ --pki \S+) ", str(caught.value))
    assert command is not None
    assert main(command[1].split()) == 0
    assert "trusted: 'plc'" in capsys.readouterr().out
    async with rig.running():
        await rig.seen("speed")
    assert main(["pki", "reject", kept.name, "--pki", str(tmp_path / "pki")]) == 0
    with pytest.raises(SourceLost, match="check trust"):
        await rig.adapter.run(rig.emit)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (make(ends=YESTERDAY), "check expired: it expired on"),
        (make(begins=TOMORROW), "check not_yet_valid: it is valid from"),
        (
            make(hosts=("10.0.0.5", "plc-7")),
            "check host_name: it is for plc-7, 10.0.0.5, and the server was reached as 127.0.0.1",
        ),
        (make(uri="urn:else"), f"check application_uri: it is for urn:else, and the server calls itself {SERVER_URI}"),
        (make(usage=("digital_signature",)), "check key_usage"),
    ],
)
async def test_a_trusted_certificate_that_is_wrong_is_refused_unless_that_is_left_out(
    made: Made, says: str, plc: SecuredPlc, here: Site
) -> None:
    plc.use(made)
    trust(here, made)
    said = await refusal(here, plc.port)
    assert says in said
    assert "check trust" not in said
    assert plc.seen.certificates == []  # nothing was told to it
    check = re.search(r'ignore_checks = \["(\w+)"\]', said)
    assert check is not None
    await opens(here, plc.port, ignore_checks=[check[1]])


async def test_all_that_is_wrong_is_told_at_once(plc: SecuredPlc, here: Site) -> None:
    plc.use(make("another", ends=YESTERDAY, hosts=("10.0.0.5",)))
    said = await refusal(here, plc.port)
    assert "check trust" in said
    assert "check expired" in said
    assert "check host_name" in said
    assert 'ignore_checks = ["expired", "host_name"]' in said


async def test_an_issuer_may_be_trusted_and_may_revoke(plc: SecuredPlc, tmp_path: Path) -> None:
    issued = make("plc-7", issuer=ROOT)
    plc.use(issued)
    where = site(tmp_path)
    said = await refusal(where, plc.port)
    assert "check issuer_unknown: 'plc-7' was issued by 'plant'" in said
    trust(where, ROOT, place="issuers")
    said = await refusal(where, plc.port)
    assert "issuer_unknown" not in said
    assert "check trust: nobody has trusted it here yet; its issuer is 'plant'" in said
    trust(where, ROOT)
    await opens(where, plc.port)
    (tmp_path / "pki" / "crl" / "plant.crl").write_bytes(crl(ROOT, issued))
    said = await refusal(where, plc.port, ignore_checks=["expired", "host_name"])
    assert "check revoked: 'plant' has revoked 'plc-7'" in said
    assert "pki trust" not in said


async def test_a_server_may_send_its_issuers_along(plc: SecuredPlc, tmp_path: Path) -> None:
    middle = make("middle", key=rsa_key(4), ca=True, issuer=ROOT, uri=None, hosts=())
    issued = make("plc-7", issuer=middle)
    plc.use(issued)
    for endpoint in plc.server.iserver.endpoints:
        endpoint.ServerCertificate = issued.der + middle.der
    where = site(tmp_path)
    said = await refusal(where, plc.port)
    assert "issuer_unknown" in said
    assert len([*(tmp_path / "pki" / "rejected").iterdir()]) == 2  # a person may trust either
    trust(where, ROOT)
    await opens(where, plc.port)


async def test_a_damaged_certificate_cannot_be_trusted(plc: SecuredPlc, here: Site) -> None:
    bad = PLC.der[:-1] + bytes([PLC.der[-1] ^ 1])
    for endpoint in plc.server.iserver.endpoints:
        endpoint.ServerCertificate = bad
    said = await refusal(here, plc.port)
    assert "check signature: the signature of 'plc' under itself is wrong" in said
    assert "pki trust" not in said


@pytest.mark.parametrize("shown", [b"nonsense", b"\x30\x03\x02\x01\x05", b""])
async def test_what_is_no_certificate_is_said_to_be_none(shown: bytes, plc: SecuredPlc, here: Site) -> None:
    for endpoint in plc.server.iserver.endpoints:
        endpoint.ServerCertificate = shown
    assert "certificate" in await refusal(here, plc.port)


async def test_a_server_that_gets_a_new_certificate_is_asked_about_anew(plc: SecuredPlc, here: Site) -> None:
    rig = Rig(plc.port, {"speed": "ns=2;s=Speed"}, site=here, security="auto")
    async with rig.running() as running:
        await rig.seen("speed")
        new = make(key=rsa_key(5))
        plc.use(new)
        await plc.write("Speed", ua.DataValue(ua.Variant(2.5)))
        await rig.seen("speed", readings=2)  # what is open stays open
        for client in [*plc.server.bserver.clients]:
            client.transport.abort()
        with pytest.raises(SourceLost):
            await running
    with pytest.raises(SourceLost, match=f"For {SERVER_URI} another one is trusted"):
        await rig.adapter.run(rig.emit)
    trust(here, new)
    await plc.write("Speed", ua.DataValue(ua.Variant(3.5)))
    async with rig.running():
        await rig.seen("speed", readings=3)


async def test_whoever_has_not_the_key_of_the_certificate_gets_nothing(plc: SecuredPlc, here: Site) -> None:
    """Somebody copied the server's certificate, which is no secret, and answers at its address."""
    thief = make("thief", key=rsa_key(6))
    plc.use(thief)
    for endpoint in plc.server.iserver.endpoints:
        endpoint.ServerCertificate = PLC.der
    said = await refusal(here, plc.port, username="op", password="right", timeout_s=1.0)
    assert "connecting: " in said
    assert plc.seen.users == []


async def test_a_server_that_changes_its_mind_about_its_certificate_is_told(
    plc: SecuredPlc, here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = plc.server.iserver.create_session

    def swapped(*args: Any, **keys: Any) -> Any:
        for client in plc.server.bserver.clients:
            client.processor._connection.security_policy.host_certificate = make(key=rsa_key(5)).der
        return create(*args, **keys)

    monkeypatch.setattr(plc.server.iserver, "create_session", swapped)
    assert "one certificate before and another one now" in await refusal(here, plc.port)


# ---- who does not trust the gateway


@pytest.mark.parametrize(
    "code",
    [
        ua.StatusCodes.BadCertificateUntrusted,
        ua.StatusCodes.BadSecurityChecksFailed,
        ua.StatusCodes.BadCertificateUriInvalid,
    ],
)
async def test_a_server_that_does_not_trust_the_gateway_is_told_with_where_its_certificate_is(
    code: int, plc: SecuredPlc, here: Site
) -> None:
    plc.refuses = code
    said = await refusal(here, plc.port)
    own = read_certificate((here.pki / "own" / "cert.der").read_bytes())
    assert f"{here.pki / 'own' / 'cert.der'} (thumbprint {own.thumbprint})" in said
    plc.refuses = 0
    await opens(here, plc.port)


async def test_a_server_that_hangs_up_on_an_unknown_gateway_is_told(plc: SecuredPlc, here: Site) -> None:
    class Deaf(Wire):
        async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # The first connection asks for the endpoints.
            self.hangs_up_at = b"OPN" if self._writers else b""
            await super()._connect(reader, writer)

    async with Deaf(plc).open() as wire:
        said = await refusal(here, wire.port)
    assert "connecting: the connection was closed" in said
    assert "A server that does not trust this gateway may hang up like this: its certificate is" in said


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (ua.ServiceFault(), "BadSecurityChecksFailed; trust this gateway's certificate at the server; it is "),
        (ua.CloseSessionResponse(), "the server's answer to opening a channel cannot be understood"),
    ],
    ids=["a fault", "another answer"],
)
async def test_a_channel_that_is_refused_in_words_is_told(
    answer: Any, says: str, plc: SecuredPlc, here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """node-opcua refuses a gateway that it does not trust like this."""
    answer.ResponseHeader.ServiceResult = ua.StatusCode(ua.StatusCodes.BadSecurityChecksFailed)
    opened = UaProcessor.open_secure_channel

    def refused(self: UaProcessor, header: Any, sequence: Any, body: Any) -> None:
        if header.SecurityPolicyURI.endswith("#None"):
            opened(self, header, sequence, body)
            return
        request = struct_from_binary(ua.OpenSecureChannelRequest, body)
        self._connection.select_policy(
            header.SecurityPolicyURI, header.SenderCertificate, request.Parameters.SecurityMode
        )
        self.send_response(request.RequestHeader.RequestHandle, sequence, answer, ua.MessageType.SecureOpen)

    monkeypatch.setattr(UaProcessor, "open_secure_channel", refused)
    assert says in await refusal(here, plc.port)


# ---- what is on offer


async def test_what_the_server_offers_is_listed_where_nothing_fits(plc: SecuredPlc, here: Site) -> None:
    plc.offer(ua.SecurityPolicyType.NoSecurity, ua.SecurityPolicyType.Basic256Sha256_Sign)
    said = await refusal(here, plc.port, security="Aes256_Sha256_RsaPss")
    assert "no endpoint with security Aes256_Sha256_RsaPss and mode SignAndEncrypt" in said
    assert "it offers None, Basic256Sha256 (Sign)" in said
    said = await refusal(here, plc.port, security="auto")
    assert 'Set security_mode = "Sign"' in said
    await opens(here, plc.port, security="auto", security_mode="Sign")
    plc.offer(ua.SecurityPolicyType.NoSecurity)
    assert "it offers None." in await refusal(here, plc.port, security="auto")
    plc.offer(ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt)
    said = await refusal(NOWHERE, plc.port, security="None")
    assert 'it offers Basic256Sha256 (SignAndEncrypt). Set security = "Basic256Sha256"' in said


async def test_endpoints_that_were_changed_on_the_way_are_noticed(
    plc: SecuredPlc, here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody hides the better endpoint from the unprotected question; the signed answer shows another choice."""
    create = plc.server.iserver.create_session

    def other(*args: Any, **keys: Any) -> Any:
        plc.offer(ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt)
        return create(*args, **keys)

    monkeypatch.setattr(plc.server.iserver, "create_session", other)
    assert "no endpoint with security Basic256Sha256" in await refusal(here, plc.port, security="Basic256Sha256")


@pytest.mark.parametrize(
    ("tokens", "keys", "says"),
    [
        ([ua.UserNameIdentityToken], {}, "takes no anonymous log-in at this endpoint; it takes user name"),
        ([ua.AnonymousIdentityToken], {"username": "op", "password": "right"}, "no user name log-in"),
    ],
)
async def test_a_log_in_that_the_server_does_not_take_is_told(tokens: list, keys: dict, says: str, here: Site) -> None:
    plc = await SecuredPlc.open(PLC, policies=EVERY[:3], tokens=tokens)
    try:
        assert says in await refusal(here, plc.port, **keys)
        await until(lambda: plc.connections == 0)
    finally:
        await plc.stop()


# ---- where the certificates are


async def test_the_certificate_is_made_also_while_the_plc_is_off(tmp_path: Path) -> None:
    async with asyncio.timeout(30):
        said = await refusal(site(tmp_path), 1)
    assert "nothing accepts connections there" in said
    assert (tmp_path / "pki" / "own" / "cert.der").exists()
    places = sorted(path.name for path in (tmp_path / "pki").iterdir())
    assert places == ["crl", "issuers", "own", "rejected", "trusted"]


async def test_a_folder_that_cannot_be_written_is_told(plc: SecuredPlc, tmp_path: Path) -> None:
    (tmp_path / "pki").write_text("a file")
    said = await refusal(site(tmp_path), plc.port)
    assert "certificate cannot be kept in" in said
    assert "pki.folder" in said


async def test_without_a_folder_nothing_is_secured(plc: SecuredPlc) -> None:
    assert "no folder for certificates" in await refusal(NOWHERE, plc.port)


async def test_two_devices_start_together_with_one_certificate(plc: SecuredPlc, tmp_path: Path) -> None:
    where = site(tmp_path)
    trust(where, PLC)
    await asyncio.gather(*(opens(where, plc.port) for _ in range(4)))
    assert len(set(plc.seen.certificates)) == 1


async def test_a_password_that_nothing_can_encrypt_is_sent_with_a_warning(
    shared_plc: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A server without a certificate: it worked before there was security here, and goes on working."""
    with caplog.at_level(logging.WARNING, "adapters"):
        session = Session(settings(shared_plc.port, security="None", username="op", password="right"))
        try:
            await session.open()
        finally:
            await session.close()
    (told,) = [one for one in caplog.messages if "anybody on the network can read it" in one]
    assert "right" not in told
