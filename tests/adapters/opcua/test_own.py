"""The gateway's own certificate: made, kept, renewed, and never changed behind anybody's back."""

import datetime as dt
import logging
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from adapters.opcua.pki.own import NOTICE, SWITCH, VALID, Own, Step, application_uri, decide, ensure_own
from adapters.opcua.pki.user import read_user
from gateway.errors import TidegateError
from tests.adapters.opcua.certificates import LATER, NOW, ec_key, make, rsa_key

DAY = dt.timedelta(days=1)
ENDS = NOW + VALID


def own(folder: Path, now: dt.datetime = NOW, gateway: str = "press-shop-1") -> Own:
    return ensure_own(folder / "own", gateway=gateway, host="edge-7", now=now)


@pytest.mark.parametrize(
    ("ends", "is_ours", "next_ends", "step"),
    [
        (None, False, None, Step.MAKE_FIRST),
        (NOW + NOTICE + DAY, True, None, Step.USE),
        (NOW + NOTICE, True, None, Step.MAKE_NEXT),
        (NOW + SWITCH + DAY, True, None, Step.MAKE_NEXT),
        (NOW + SWITCH + DAY, True, ENDS, Step.USE),
        (NOW + SWITCH, True, ENDS, Step.USE_NEXT),
        (NOW - DAY, True, ENDS, Step.USE_NEXT),
        (NOW - DAY, True, None, Step.MAKE_FIRST),  # it was switched off for months
        (NOW - DAY, True, NOW - 2 * DAY, Step.MAKE_FIRST),  # so was the next one
        (NOW + DAY, False, None, Step.USE),  # a plant's authority renews its own
        (NOW - DAY, False, ENDS, Step.USE),
    ],
)
def test_what_is_to_be_done(ends: dt.datetime | None, is_ours: bool, next_ends: dt.datetime | None, step: Step) -> None:
    assert decide(NOW, ends=ends, is_ours=is_ours, next_ends=next_ends) is step


def test_the_first_start_makes_what_the_standard_wants(tmp_path: Path) -> None:
    made = own(tmp_path)
    one = made.certificate
    assert made.uri == "urn:tidegate:press-shop-1"
    assert one.uris == (made.uri,)
    assert one.hosts == ("edge-7",)
    assert one.ends == ENDS
    assert one.begins < NOW
    assert one.key_bits == 2048
    assert one.is_signed_by(one)
    assert not one.is_ca
    assert {"digital_signature", "key_encipherment", "data_encipherment"} <= (one.usage or set())
    purposes = one.parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH in purposes
    assert made.path == tmp_path / "own" / "cert.der"
    assert made.path.read_bytes() == one.der


def test_the_key_can_be_read_by_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    before = os.umask(0)
    try:
        own(tmp_path)
        own(tmp_path, ENDS - NOTICE)
    finally:
        os.umask(before)
    for name in ("key.pem", "next-key.pem"):
        assert stat.S_IMODE((tmp_path / "own" / name).stat().st_mode) == 0o600
    assert not [*(tmp_path / "own").glob(".*.part")]


def test_it_is_kept(tmp_path: Path) -> None:
    first = own(tmp_path)
    assert own(tmp_path, NOW + 365 * DAY).certificate == first.certificate
    # Servers know it by what stands in it, whatever the gateway is called by now.
    renamed = own(tmp_path, gateway="press-shop-2")
    assert (renamed.certificate, renamed.uri) == (first.certificate, first.uri)


def test_devices_that_start_together_have_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = [*pool.map(lambda _: own(tmp_path), range(8))]
    assert len({one.certificate.der for one in made}) == 1


def test_the_next_one_is_there_before_it_is_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = own(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert own(tmp_path, ENDS - NOTICE).certificate == first.certificate
    prepared = (tmp_path / "own" / "next.der").read_bytes()
    (told,) = caplog.messages
    assert "next.der" in told
    assert f"{ENDS - SWITCH:%Y-%m-%d}" in told
    # It stays the one that somebody has taken to the servers.
    assert own(tmp_path, ENDS - SWITCH - DAY).certificate == first.certificate
    assert (tmp_path / "own" / "next.der").read_bytes() == prepared
    switched = own(tmp_path, ENDS - SWITCH)
    assert switched.certificate.der == prepared
    assert switched.uri == first.uri
    assert switched.certificate.ends > ENDS
    assert own(tmp_path, ENDS + DAY).certificate.der == prepared
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == [".lock", "cert.der", "key.pem"]


def test_a_crash_while_it_is_switched_loses_nothing(tmp_path: Path) -> None:
    own(tmp_path)
    own(tmp_path, ENDS - NOTICE)
    prepared = (tmp_path / "own" / "next.der").read_bytes()
    (tmp_path / "own" / "next-key.pem").replace(tmp_path / "own" / "key.pem")
    assert own(tmp_path, ENDS - SWITCH).certificate.der == prepared


def test_a_crash_while_it_is_made_is_made_good(tmp_path: Path) -> None:
    own(tmp_path)
    (tmp_path / "own" / "cert.der").unlink()
    again = own(tmp_path)
    assert again.key.public_key() == again.certificate.parsed.public_key()


def test_one_that_a_plants_authority_issued_is_used_and_never_replaced(tmp_path: Path) -> None:
    root = make("root", key=rsa_key(1), ca=True)
    issued = make("gateway", issuer=root, uri="urn:plant:edge", ends=NOW + DAY)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "cert.der").write_bytes(issued.pem)  # the form does not matter
    (tmp_path / "own" / "key.pem").write_bytes(issued.key_pem)
    for now in (NOW, NOW + 2 * DAY):
        used = own(tmp_path, now)
        assert used.certificate.der == issued.der
        assert used.uri == "urn:plant:edge"
    assert not (tmp_path / "own" / "next.der").exists()


def test_what_cannot_be_used_is_said_and_left_alone(tmp_path: Path) -> None:
    own(tmp_path)
    key, certificate = tmp_path / "own" / "key.pem", tmp_path / "own" / "cert.der"
    good = key.read_bytes()
    key.write_bytes(make(key=rsa_key(1)).key_pem)
    with pytest.raises(TidegateError, match="is not the key of"):
        own(tmp_path)
    key.unlink()
    with pytest.raises(TidegateError, match="is missing"):
        own(tmp_path)
    key.write_bytes(b"nonsense")
    with pytest.raises(TidegateError, match="no private key"):
        own(tmp_path)
    key.write_bytes(good)
    certificate.write_bytes(b"nonsense")
    with pytest.raises(TidegateError, match="is no certificate"):
        own(tmp_path)
    nameless = make(uri=None)
    certificate.write_bytes(nameless.der)
    key.write_bytes(nameless.key_pem)
    with pytest.raises(TidegateError, match="application URI"):
        own(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("a file")
    with pytest.raises(TidegateError, match=r"pki\.folder"):
        own(tmp_path)


@pytest.mark.parametrize(
    ("gateway", "uri"),
    [("press-shop-1", "urn:tidegate:press-shop-1"), ("Halle 1 ä", "urn:tidegate:Halle%201%20%C3%A4")],
)
def test_any_gateway_has_a_uri(gateway: str, uri: str, tmp_path: Path) -> None:
    assert application_uri(gateway) == uri
    assert own(tmp_path, gateway=gateway).certificate.uris == (uri,)


def test_a_users_certificate_is_read_with_its_key(tmp_path: Path) -> None:
    user = make("user")
    certificate, key = tmp_path / "user.pem", tmp_path / "key.pem"
    certificate.write_bytes(user.pem)
    key.write_bytes(user.encrypted_key_pem(b"secret"))
    assert read_user(str(certificate), str(key), "secret")[0] == user.parsed
    certificate.write_bytes(user.der)
    der = user.key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key.write_bytes(der)
    assert read_user(str(certificate), str(key), None)[0] == user.parsed


@pytest.mark.parametrize(
    ("key", "password", "says"),
    [
        (make().encrypted_key_pem(b"secret"), None, "its password is missing"),
        (make().encrypted_key_pem(b"secret"), "wrong", "with this password"),
        (make().key_pem, "secret", "is not encrypted"),
        (make(key=rsa_key(1)).key_pem, None, "is not the key of"),
        (make(key=ec_key()).key_pem, None, "no RSA key"),
        (b"", None, "no private key"),
    ],
    ids=["no password", "wrong password", "needless password", "another key", "not RSA", "empty"],
)
def test_what_is_wrong_with_a_users_key_is_said(key: bytes, password: str | None, says: str, tmp_path: Path) -> None:
    (tmp_path / "user.der").write_bytes(make(ends=LATER).der)
    (tmp_path / "key.pem").write_bytes(key)
    with pytest.raises(TidegateError, match=says):
        read_user(str(tmp_path / "user.der"), str(tmp_path / "key.pem"), password)


def test_a_users_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(TidegateError, match=r"user\.der cannot be read"):
        read_user(str(tmp_path / "user.der"), str(tmp_path / "key.pem"), None)
    (tmp_path / "user.der").write_bytes(b"x")
    with pytest.raises(TidegateError, match="no certificate"):
        read_user(str(tmp_path / "user.der"), str(tmp_path / "key.pem"), None)
