"""Which checks a server's certificate fails (OPC 10000-4, 6.1.3). Pure: bytes, a time and two names in, words out.

What counts
- A certificate is trusted when it is itself in the trusted folder, or when one of its issuers is. Certificates in the
  issuers folder, and those that the server sends along, only help to get from one to the other.
- A certificate that is itself trusted needs no issuer: its bytes are known.
- An issuer must be allowed to issue, must be valid now, and must not be revoked, as far as up to the trusted one.
- Revocation lists are used where there are any for an issuer. None is no failure: most plants have none. One that is
  out of date still counts for what is in it. One that its issuer did not sign is a failure, since somebody put it there
  for a reason.
- All failures are told, not only the first: the person on site wants to walk to the PLC once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from ipaddress import ip_address
from itertools import pairwise
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from adapters.opcua.pki.certificates import Certificate, read_certificate, read_crl

__all__ = ["IGNORABLE", "LEAST_KEY_BITS", "Check", "Failed", "failed_checks"]

LEAST_KEY_BITS: Final = 2048
"""Shortest RSA key that any of the policies takes (OPC 10000-7)."""
_LONGEST_CHAIN: Final = 8


class Check(StrEnum):
    """A check, by the name that it has in errors and settings."""

    READABLE = "readable"
    SIGNATURE = "signature"
    KEY = "key"
    ISSUER = "issuer"
    ISSUER_UNKNOWN = "issuer_unknown"
    TRUST = "trust"
    REVOKED = "revoked"
    REVOCATION_LIST = "revocation_list"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    HOST_NAME = "host_name"
    APPLICATION_URI = "application_uri"
    KEY_USAGE = "key_usage"
    WEAK = "weak"


IGNORABLE: Final = frozenset(
    {Check.EXPIRED, Check.NOT_YET_VALID, Check.HOST_NAME, Check.APPLICATION_URI, Check.KEY_USAGE, Check.WEAK}
)
"""Checks that settings may leave out. Whether somebody is trusted is not one of them."""


class Failed(NamedTuple):
    """A check that failed, and what was found, in words."""

    check: Check
    what: str


class _Known(NamedTuple):
    trusted: frozenset[bytes]
    issuers: list[Certificate]
    crls: list[x509.CertificateRevocationList]


class _Links(NamedTuple):
    """A certificate and its issuers, as far as they are known, and why there are no more."""

    chain: list[Certificate]
    broken: Failed | None


def failed_checks(
    chain: Sequence[bytes],
    *,
    trusted: Iterable[bytes],
    issuers: Iterable[bytes] = (),
    crls: Iterable[bytes] = (),
    now: datetime,
    host: str,
    application_uri: str,
    ignored: Iterable[str] = (),
) -> list[Failed]:
    """The checks that a server's certificate fails; empty where it may be used.

    Args:
        chain: what the server sent: its certificate, then any issuers, each DER.
        trusted: certificates that are trusted, and issuers of certificates that are.
        issuers: certificates that only help to find the way to a trusted one.
        crls: revocation lists.
        now: the time, UTC.
        host: the host in the server's address, a name or an IP address.
        application_uri: what the server calls itself.
        ignored: names of checks that may fail; only those of `IGNORABLE` count.
    """
    try:
        leaf = read_certificate(chain[0]) if chain else None
    except ValueError as error:
        return [Failed(Check.READABLE, str(error))]
    if leaf is None:
        return [Failed(Check.READABLE, "the server sent none")]
    trusted = frozenset(trusted)
    known = _Known(trusted, _readable([*chain[1:], *issuers, *trusted]), _lists(crls))
    links = _linked(leaf, known.issuers)
    anchor = next((place for place, one in enumerate(links.chain) if one.der in known.trusted), None)
    used = links.chain[: len(links.chain) if anchor is None else anchor + 1]
    found = [
        *_own(leaf),
        *_trust(leaf, links, anchor),
        *_issuing(used),
        *_revocation(links.chain, known.crls),
        *_times(used, now),
        *_names(leaf, host, application_uri),
        *_use(leaf, used),
    ]
    left_out = IGNORABLE & set(ignored)
    return [failed for failed in found if failed.check not in left_out]


def _readable(certificates: Iterable[bytes]) -> list[Certificate]:
    """Those that can be read; one that cannot be is of no help, and no harm."""
    read = []
    for der in dict.fromkeys(certificates):
        try:
            read.append(read_certificate(der))
        except ValueError:
            continue
    return read


def _lists(crls: Iterable[bytes]) -> list[x509.CertificateRevocationList]:
    read = []
    for data in crls:
        try:
            read.append(read_crl(data))
        except ValueError:
            continue
    return read


def _linked(leaf: Certificate, issuers: Sequence[Certificate]) -> _Links:
    chain = [leaf]
    while True:
        last = chain[-1]
        if last.is_self_issued:
            if last.is_signed_by(last):
                return _Links(chain, None)
            return _Links(chain, Failed(Check.SIGNATURE, f"the signature of {last.name!r} under itself is wrong"))
        named = [one for one in issuers if one.parsed.subject == last.parsed.issuer and one not in chain]
        issuer = next((one for one in named if last.is_signed_by(one)), None)
        if issuer is None or len(chain) == _LONGEST_CHAIN:
            if named and issuer is None:
                what = f"{last.issuer!r} is known, and did not sign {last.name!r}"
                return _Links(chain, Failed(Check.SIGNATURE, what))
            what = f"{last.name!r} was issued by {last.issuer!r}, whose certificate is not known here"
            return _Links(chain, Failed(Check.ISSUER_UNKNOWN, what))
        chain.append(issuer)


def _own(leaf: Certificate) -> list[Failed]:
    if leaf.key_bits == 0:
        return [Failed(Check.KEY, "its key is no RSA key, which is what all policies here need")]
    return []


def _trust(leaf: Certificate, links: _Links, anchor: int | None) -> list[Failed]:
    if anchor is None:
        whose = "it signed itself" if leaf.is_self_issued else f"its issuer is {leaf.issuer!r}"
        untrusted = Failed(Check.TRUST, f"nobody has trusted it here yet; {whose}")
        return [untrusted] if links.broken is None else [links.broken, untrusted]
    # A certificate that signs itself wrongly is damaged, whoever trusts it.
    return [links.broken] if links.broken is not None and leaf.is_self_issued else []


def _issuing(used: Sequence[Certificate]) -> list[Failed]:
    found = []
    for place, one in enumerate(used[1:]):
        if not one.is_ca:
            found.append(
                Failed(Check.ISSUER, f"{one.name!r} may not issue certificates, and issued {used[place].name!r}")
            )
        elif one.path_length is not None and one.path_length < place:
            found.append(Failed(Check.ISSUER, f"there are more issuers below {one.name!r} than it allows"))
    return found


def _revocation(chain: Sequence[Certificate], crls: Sequence[x509.CertificateRevocationList]) -> list[Failed]:
    found = []
    for one, issuer in pairwise(chain):
        named = [crl for crl in crls if crl.issuer == issuer.parsed.subject]
        signed = [crl for crl in named if _is_signed_by(crl, issuer)]
        if any(_is_in(crl, one) for crl in signed):
            found.append(Failed(Check.REVOKED, f"{issuer.name!r} has revoked {one.name!r}"))
        elif named and not signed:
            found.append(Failed(Check.REVOCATION_LIST, f"the revocation list of {issuer.name!r} is not signed by it"))
    return found


def _is_signed_by(crl: x509.CertificateRevocationList, issuer: Certificate) -> bool:
    key = issuer.parsed.public_key()
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        return False
    try:
        return crl.is_signature_valid(key)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False


def _is_in(crl: x509.CertificateRevocationList, certificate: Certificate) -> bool:
    try:
        return crl.get_revoked_certificate_by_serial_number(certificate.serial) is not None
    except (ValueError, TypeError):
        # A list that cannot be searched must not acquit anybody.
        return True


def _times(used: Sequence[Certificate], now: datetime) -> list[Failed]:
    found = []
    for place, one in enumerate(used):
        whose = "it" if place == 0 else f"its issuer {one.name!r}"
        clock = f"; this gateway's clock says {now:%Y-%m-%d %H:%M} UTC"
        if now > one.ends:
            found.append(Failed(Check.EXPIRED, f"{whose} expired on {one.ends:%Y-%m-%d %H:%M} UTC{clock}"))
        elif now < one.begins:
            what = f"{whose} is valid from {one.begins:%Y-%m-%d %H:%M} UTC on{clock}"
            found.append(Failed(Check.NOT_YET_VALID, what))
    return found


def _names(leaf: Certificate, host: str, application_uri: str) -> list[Failed]:
    found = []
    if not _is_for(leaf, host):
        for_whom = f"is for {', '.join(leaf.hosts[:8])}" if leaf.hosts else "names no host"
        found.append(Failed(Check.HOST_NAME, f"it {for_whom}, and the server was reached as {host}"))
    if application_uri not in leaf.uris or not application_uri:
        for_whom = f"is for {', '.join(leaf.uris[:4])}" if leaf.uris else "names no application"
        called = f"calls itself {application_uri}" if application_uri else "does not say what it is called"
        found.append(Failed(Check.APPLICATION_URI, f"it {for_whom}, and the server {called}"))
    return found


def _is_for(leaf: Certificate, host: str) -> bool:
    wanted = host.rstrip(".").casefold()
    # Many PLCs write their address where a host name belongs.
    if wanted in (name.rstrip(".").casefold() for name in leaf.host_names):
        return True
    try:
        return ip_address(wanted.partition("%")[0]) in [ip_address(one) for one in leaf.addresses if "/" not in one]
    except ValueError:
        return False


def _use(leaf: Certificate, used: Sequence[Certificate]) -> list[Failed]:
    found = []
    if leaf.usage is not None and not (
        "digital_signature" in leaf.usage and leaf.usage & {"key_encipherment", "data_encipherment"}
    ):
        found.append(Failed(Check.KEY_USAGE, "its key may not be used both to sign and to encrypt"))
    if not leaf.serves:
        found.append(Failed(Check.KEY_USAGE, "it is not meant for a server"))
    if 0 < leaf.key_bits < LEAST_KEY_BITS:
        found.append(Failed(Check.WEAK, f"its key has {leaf.key_bits} bits; {LEAST_KEY_BITS} are the least"))
    # What is trusted by its bytes need not be protected by a signature.
    weak = [one for one in used if one.is_weakly_signed and not one.is_self_issued]
    return [
        *found,
        *(Failed(Check.WEAK, f"the signature of {one.name!r} can be forged: it uses SHA-1 or MD5") for one in weak),
    ]
