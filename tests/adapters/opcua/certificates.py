"""Certificates of servers, users and authorities, right and wrong in every way a test needs."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["LATER", "LONG_AGO", "NOW", "SERVER_URI", "Made", "crl", "ec_key", "make", "rsa_key"]

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
LATER = dt.datetime(2120, 1, 1, tzinfo=dt.UTC)
SERVER_URI = "urn:tidegate:test:plc"


@cache
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Keys take long to make, so tests share them, by number."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Made:
    """A certificate and its key."""

    parsed: x509.Certificate
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        return self.parsed.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.parsed.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.encrypted_key_pem(None)

    def encrypted_key_pem(self, password: bytes | None) -> bytes:
        how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        certificate, key = folder / f"{name}.der", folder / f"{name}.pem"
        certificate.write_bytes(self.der)
        key.write_bytes(self.key_pem)
        return certificate, key


def make(
    name: str = "plc",
    *,
    issuer: Made | None = None,
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | None = None,
    uri: str | None = SERVER_URI,
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost"),
    begins: dt.datetime = LONG_AGO,
    ends: dt.datetime = LATER,
    ca: bool | None = False,
    path_length: int | None = None,
    usage: tuple[str, ...] | None = (
        "digital_signature",
        "key_encipherment",
        "data_encipherment",
        "content_commitment",
    ),
    purposes: tuple[x509.ObjectIdentifier, ...] | None = (ExtendedKeyUsageOID.SERVER_AUTH,),
    serial: int | None = None,
) -> Made:
    """A certificate; signed by itself where no issuer is given."""
    key = key or rsa_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.parsed.subject)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
    names: list[x509.GeneralName] = [] if uri is None else [x509.UniformResourceIdentifier(uri)]
    names += [_host(host) for host in hosts]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    if usage is not None:
        wanted = {*usage, *(("key_cert_sign", "crl_sign") if ca else ())}
        every = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
        every += ("key_cert_sign", "crl_sign")
        flags = {one: one in wanted for one in every}
        builder = builder.add_extension(x509.KeyUsage(**flags, encipher_only=False, decipher_only=False), critical=True)
    if purposes is not None and not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    signer = key if issuer is None else issuer.key
    return Made(builder.sign(signer, hashes.SHA256()), key)


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def crl(issuer: Made, *revoked: Made, signer: Made | None = None, until: dt.datetime = LATER) -> bytes:
    """A revocation list, DER."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.parsed.subject)
        .last_update(LONG_AGO)
        .next_update(until)
    )
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.parsed.serial_number).revocation_date(LONG_AGO)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign((signer or issuer).key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
