"""The application instance certificate: who this gateway is, at every OPC UA server (OPC 10000-6, 6.2.2).

    own/cert.der, own/key.pem               used now
    own/next.der, own/next-key.pem          used later: made when the certificate in use comes to its end

A server trusts a certificate by its bytes, so a new one has to be trusted anew at each PLC. Hence the two steps: it is
there `NOTICE` before the old one ends, for a person to take to the PLCs, and is used from `SWITCH` before the end on.

Invariants
- The key's file is readable by its owner alone (0600) from its first byte on.
- What somebody else issued (a plant's own authority) is used as it is, and never replaced.
- A certificate that is there is used, whatever the gateway is called by now: the application URI is the certificate's.
- A crash at any moment leaves a certificate and its key, or the next call makes them.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from adapters.opcua.pki.certificates import Certificate, read_certificate, unpem
from gateway.errors import TidegateError
from gateway.files import write_whole

__all__ = ["NOTICE", "SWITCH", "VALID", "Own", "Step", "application_uri", "decide", "ensure_own", "load_key"]

VALID: Final = timedelta(days=5 * 365)
NOTICE: Final = timedelta(days=90)
SWITCH: Final = timedelta(days=14)
_EARLIER: Final = timedelta(days=1)
"""Clocks of PLCs lag: valid from a day before it was made."""
_KEY_BITS: Final = 2048
_MOST_COMMON_NAME: Final = 64
"""Letters in a common name (X.520, ub-common-name)."""

log = logging.getLogger(__name__)


class Own(NamedTuple):
    """The certificate and its key, ready for use."""

    certificate: Certificate
    key: rsa.RSAPrivateKey
    uri: str
    path: Path


class Step(StrEnum):
    """What is to be done about the certificate."""

    USE = "use"
    MAKE_FIRST = "make_first"
    MAKE_NEXT = "make_next"
    USE_NEXT = "use_next"


def decide(now: datetime, *, ends: datetime | None, is_ours: bool, next_ends: datetime | None) -> Step:
    """What is to be done, and nothing else. Pure.

    Args:
        now: the time, UTC.
        ends: when the certificate in use ends; None where there is none.
        is_ours: whether it is one that this gateway made.
        next_ends: when the prepared one ends; None where there is none.
    """
    if ends is None:
        return Step.MAKE_FIRST
    if not is_ours:
        return Step.USE
    prepared = next_ends is not None and next_ends > ends
    if now >= ends - SWITCH:
        return Step.USE_NEXT if prepared else Step.MAKE_FIRST
    if now >= ends - NOTICE and not prepared:
        return Step.MAKE_NEXT
    return Step.USE


def application_uri(gateway: str) -> str:
    """The application URI of a gateway of this name."""
    return f"urn:tidegate:{quote(gateway, safe='')}"


def ensure_own(folder: Path, *, gateway: str, host: str, now: datetime) -> Own:
    """The certificate to use now; makes or renews it where that is due. Blocks for as long as a key takes to make.

    Args:
        folder: the folder `own`.
        gateway: the gateway's id.
        host: the name of this machine.
        now: the time, UTC.

    Raises:
        TidegateError: it cannot be read or made; says what to do.
    """
    try:
        with _alone(folder):
            return _ensure(folder, gateway=gateway, host=host, now=now)
    except OSError as error:
        raise TidegateError(
            f"the gateway's own certificate cannot be kept in {folder}: {error.strerror or error}. Let this user write "
            "there, or give another folder as pki.folder"
        ) from None


def _ensure(folder: Path, *, gateway: str, host: str, now: datetime) -> Own:
    _finish_switch(folder)
    current = _read(folder / "cert.der", folder / "key.pem")
    prepared = _read(folder / "next.der", folder / "next-key.pem") if current is not None else None
    step = decide(
        now,
        ends=None if current is None else current.certificate.ends,
        is_ours=current is not None and current.certificate.is_self_issued,
        next_ends=None if prepared is None else prepared.certificate.ends,
    )
    # A renewed certificate is the same application's: its URI stays, also where the gateway has another id by now.
    uri = application_uri(gateway) if current is None else current.uri
    if step is Step.MAKE_NEXT:
        assert current is not None
        made = _make(folder, "next.der", "next-key.pem", uri=uri, host=host, gateway=gateway, now=now)
        log.warning(
            "the gateway's certificate ends on %s; from %s on it will use %s (thumbprint %s): trust that at the OPC UA "
            "servers before",
            f"{current.certificate.ends:%Y-%m-%d}",
            f"{current.certificate.ends - SWITCH:%Y-%m-%d}",
            made.path,
            made.certificate.thumbprint,
        )
        return current
    if step is Step.USE_NEXT:
        (folder / "next-key.pem").replace(folder / "key.pem")
        _finish_switch(folder)
        log.warning("the gateway uses its new certificate from now on; OPC UA servers must trust it")
        current = _read(folder / "cert.der", folder / "key.pem")
    elif step is Step.MAKE_FIRST:
        current = _make(folder, "cert.der", "key.pem", uri=uri, host=host, gateway=gateway, now=now)
        log.info(
            "made the gateway's OPC UA certificate %s (application URI %s, thumbprint %s)",
            current.path,
            current.uri,
            current.certificate.thumbprint,
        )
    assert current is not None
    return current


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One at a time, also among processes: two devices that start together are to have one certificate."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        # Only read, as in a container with a Secret: nothing will be made there either.
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _finish_switch(folder: Path) -> None:
    """The key is moved first. Whatever came in between: a certificate follows its key."""
    following, key = folder / "next.der", folder / "key.pem"
    if following.exists() and key.exists() and not (folder / "next-key.pem").exists():
        prepared = read_certificate(unpem(following.read_bytes()))
        if _public(prepared.parsed.public_key()) == _public(load_key(key.read_bytes(), None, key).public_key()):
            following.replace(folder / "cert.der")


def _read(path: Path, key_path: Path) -> Own | None:
    """What is there; None where there is nothing."""
    if not path.exists():
        return None
    try:
        certificate = read_certificate(unpem(path.read_bytes()))
    except ValueError as error:
        raise TidegateError(f"{path} is no certificate: {error}. Move it away, and a new one is made") from None
    if not key_path.exists():
        raise TidegateError(
            f"the key of {path} is missing: {key_path}. Put it there, or move the certificate away: then a new "
            "one is made"
        )
    key = load_key(key_path.read_bytes(), None, key_path)
    if _public(key.public_key()) != _public(certificate.parsed.public_key()):
        raise TidegateError(f"{key_path} is not the key of {path}. Move both away, and new ones are made")
    if not certificate.uris:
        raise TidegateError(
            f"{path} names no application URI, and no OPC UA server would take it. Issue it with one, or move it "
            "and its key away: then a new one is made"
        )
    return Own(certificate, key, certificate.uris[0], path)


def load_key(data: bytes, password: str | None, path: Path) -> rsa.RSAPrivateKey:
    """Reads a private key.

    Args:
        data: what is in the file, PEM or DER.
        password: of an encrypted key.
        path: the file, for the error.

    Raises:
        TidegateError: it is none, its password is wrong or missing, or it is no RSA key.
    """
    secret = None if password is None else password.encode()
    load = serialization.load_pem_private_key if b"-----BEGIN" in data else serialization.load_der_private_key
    try:
        key = load(data, secret)
    except TypeError:
        said = "is not encrypted, and a password was given" if secret else "is encrypted; its password is missing"
        raise TidegateError(f"{path}: the key {said}") from None
    except (ValueError, UnsupportedAlgorithm):
        wrong = " with this password" if secret else ""
        raise TidegateError(f"{path}: it holds no private key that can be read{wrong}; give a PEM file") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TidegateError(f"{path}: the key is no RSA key, which is what OPC UA's policies here need")
    return key


def _public(key: object) -> bytes:
    assert hasattr(key, "public_bytes")
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    told: bytes = key.public_bytes(encoding, form)
    return told


def _make(folder: Path, name: str, key_name: str, *, uri: str, host: str, gateway: str, now: datetime) -> Own:
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    parsed = self_signed(key, uri=uri, host=host, gateway=gateway, now=now)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / name
    path.unlink(missing_ok=True)  # it would not fit the key that follows
    write_whole(folder / key_name, pem, mode=0o600)
    der = parsed.public_bytes(serialization.Encoding.DER)
    write_whole(path, der, mode=0o644)
    return Own(read_certificate(der), key, uri, path)


def self_signed(key: rsa.RSAPrivateKey, *, uri: str, host: str, gateway: str, now: datetime) -> x509.Certificate:
    """An application instance certificate with what the standard wants in it (OPC 10000-6, 6.2.2)."""
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"Tidegate {gateway}"[:_MOST_COMMON_NAME]),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tidegate"),
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=True,  # it has signed itself
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    alternatives: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri)]
    if host and host.isascii():
        alternatives.append(x509.DNSName(host))
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + VALID)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
