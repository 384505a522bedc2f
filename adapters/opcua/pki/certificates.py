"""What stands in a certificate: read once, whole, into plain values.

A certificate comes from whoever answers at a server's address, so its bytes are not to be trusted: whatever is wrong
in them is one `ValueError`, raised here and nowhere later.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Certificate", "read_certificate", "read_crl", "split_chain", "unpem"]

_DAMAGE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
_MOST_BYTES: Final = 64 * 1024
"""No certificate or chain of a server is anywhere near this long."""
_WEAK_HASHES: Final = (hashes.MD5, hashes.SHA1)


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate.

    Attributes:
        der: its bytes.
        parsed: the library's object.
        name: its common name, or else its whole subject.
        issuer: the same of who issued it.
        serial: its number at its issuer.
        begins: when it becomes valid, UTC.
        ends: when it is valid for the last time, UTC.
        uris: application URIs that it is for.
        host_names: host names that it is for, as they stand in it.
        addresses: the addresses that it is for.
        key_bits: length of its RSA key; 0 where the key is of another kind.
        is_self_issued: whether subject and issuer are the same.
        is_ca: whether it may issue others.
        path_length: most issuers that may stand between it and a server's certificate; None where that is open.
        usage: names of what its key may be used for; None where it does not say.
        serves: whether it may be a server's, by its extended key usage.
        is_weakly_signed: whether its signature has a hash that can be forged today.
    """

    der: bytes
    parsed: x509.Certificate
    name: str
    issuer: str
    serial: int
    begins: datetime
    ends: datetime
    uris: tuple[str, ...]
    host_names: tuple[str, ...]
    addresses: tuple[str, ...]
    key_bits: int
    is_self_issued: bool
    is_ca: bool
    path_length: int | None
    usage: frozenset[str] | None
    serves: bool
    is_weakly_signed: bool

    @property
    def thumbprint(self) -> str:
        """SHA-1 in capital hexadecimal: what the standard and every tool call a certificate by."""
        return hashlib.sha1(self.der, usedforsecurity=False).hexdigest().upper()

    @property
    def fingerprint(self) -> str:
        """SHA-256 in capital hexadecimal: what to compare by."""
        return hashlib.sha256(self.der).hexdigest().upper()

    @property
    def hosts(self) -> tuple[str, ...]:
        """All hosts that it is for."""
        return (*self.host_names, *self.addresses)

    def is_signed_by(self, issuer: Certificate) -> bool:
        """Whether this issuer's key made its signature."""
        try:
            self.parsed.verify_directly_issued_by(issuer.parsed)
        except (InvalidSignature, *_DAMAGE):
            return False
        return True


def read_certificate(data: bytes) -> Certificate:
    """Reads a certificate.

    Args:
        data: DER, nothing behind it.

    Raises:
        ValueError: it is none, or something in it cannot be understood.
    """
    if len(data) > _MOST_BYTES:
        raise ValueError(f"{len(data)} bytes are too many for a certificate")
    try:
        return _read(data)
    except _DAMAGE as error:
        raise ValueError(f"it cannot be read ({str(error) or type(error).__name__})") from None


@functools.lru_cache(maxsize=64)  # the folders' are looked at for each connection, and seldom change
def _read(data: bytes) -> Certificate:
    parsed = x509.load_der_x509_certificate(data)
    extensions = {type(one.value): one.value for one in parsed.extensions}
    names: Any = extensions.get(x509.SubjectAlternativeName)
    constraints: Any = extensions.get(x509.BasicConstraints)
    usage: Any = extensions.get(x509.KeyUsage)
    extended: Any = extensions.get(x509.ExtendedKeyUsage)
    key = parsed.public_key()
    purposes = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    return Certificate(
        der=data,
        parsed=parsed,
        name=_name(parsed.subject),
        issuer=_name(parsed.issuer),
        serial=parsed.serial_number,
        begins=parsed.not_valid_before_utc,
        ends=parsed.not_valid_after_utc,
        uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)) if names else (),
        host_names=tuple(names.get_values_for_type(x509.DNSName)) if names else (),
        addresses=tuple(str(one) for one in names.get_values_for_type(x509.IPAddress)) if names else (),
        key_bits=key.key_size if isinstance(key, rsa.RSAPublicKey) else 0,
        is_self_issued=parsed.subject == parsed.issuer,
        is_ca=constraints is not None and constraints.ca and (usage is None or usage.key_cert_sign),
        path_length=constraints.path_length if constraints is not None else None,
        usage=_usage(usage) if usage is not None else None,
        serves=extended is None or any(purpose in extended for purpose in purposes),
        is_weakly_signed=isinstance(parsed.signature_hash_algorithm, _WEAK_HASHES),
    )


def _name(name: x509.Name) -> str:
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    text = str(common[0].value) if common else name.rfc4514_string()
    # It goes to screens, logs and file names.
    return "".join(char if char.isprintable() else "?" for char in text)[:120] or "without a name"


def _usage(usage: x509.KeyUsage) -> frozenset[str]:
    names = ("digital_signature", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign")
    return frozenset(name for name in names if getattr(usage, name))


def read_crl(data: bytes) -> x509.CertificateRevocationList:
    """Reads a revocation list, DER or PEM.

    Raises:
        ValueError: it is none.
    """
    try:
        if b"-----BEGIN" in data[:200]:
            return x509.load_pem_x509_crl(data)
        return x509.load_der_x509_crl(data)
    except _DAMAGE as error:
        raise ValueError(f"it is no revocation list ({str(error) or type(error).__name__})") from None


def split_chain(data: bytes) -> list[bytes]:
    """The certificates that a server has put one behind the other, its own first (OPC 10000-6, 6.2.6).

    Raises:
        ValueError: these are no certificates.
    """
    if len(data) > _MOST_BYTES:
        raise ValueError(f"{len(data)} bytes are too many for a chain of certificates")
    return list(_elements(data))


def _elements(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        # A DER sequence: 0x30, then its length in one byte, or in the number of bytes that the first one says.
        if data[at] != 0x30 or at + 2 > len(data):
            raise ValueError(f"byte {at} begins no certificate")
        short = data[at + 1]
        width = 0 if short < 0x80 else short & 0x7F
        end = at + 2 + width + (short if width == 0 else int.from_bytes(data[at + 2 : at + 2 + width], "big"))
        if end > len(data):
            raise ValueError(f"the certificate at byte {at} is cut off")
        yield data[at:end]
        at = end


def unpem(data: bytes) -> bytes:
    """A file's certificate as DER, whichever of the two forms the file has; the first where it holds several.

    Raises:
        ValueError: it holds no certificate.
    """
    if b"-----BEGIN" not in data[:4096]:
        return data
    try:
        return x509.load_pem_x509_certificates(data)[0].public_bytes(serialization.Encoding.DER)
    except _DAMAGE as error:
        raise ValueError(f"it cannot be read ({str(error) or type(error).__name__})") from None
