"""What a person decides about certificates: whom to trust, and whom no longer. Each tells what came of it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from adapters.opcua.pki.certificates import Certificate, read_certificate, unpem
from adapters.opcua.pki.folders import Entry, Pki
from adapters.opcua.pki.texts import validity
from gateway.errors import TidegateError

__all__ = ["reject", "trust"]

_ANEW = "It counts from the next connection attempt on; nothing has to be restarted."


def trust(pki: Pki, text: str, *, place: str, now: datetime) -> str:
    """Moves a rejected certificate, or copies a file, to where it is trusted.

    Args:
        pki: the folders.
        text: the first digits of its thumbprint, or a path.
        place: trusted or issuers.
        now: the time, UTC.

    Raises:
        TidegateError: there is no such certificate, or it is none to be trusted.
    """
    entry = None if _is_file(text) else pki.find(text, "rejected", "issuers", "trusted")
    certificate = _read(Path(text)) if entry is None else _whole(entry)
    if certificate.is_self_issued and not certificate.is_signed_by(certificate):
        raise TidegateError(f"{certificate.name!r} is not trusted: its signature under itself is wrong. Get it anew")
    if entry is not None and entry.place == place:
        return f"{certificate.name!r} is there already: {entry.path}"
    path = pki.add(certificate, place) if entry is None else pki.move(entry, place)
    said = "trusted" if place == "trusted" else "kept as an issuer, not trusted itself"
    lines = [f"{said}: {certificate.name!r}, thumbprint {certificate.thumbprint}", f"  in {path}", _ANEW]
    if place == "trusted" and certificate.is_ca:
        lines.append("It may issue certificates: every server that has one of them is trusted with it.")
    if note := validity(certificate, now):
        lines.append(f"Note: it {note}.")
    return "\n".join(lines)


def reject(pki: Pki, text: str) -> str:
    """Moves a trusted certificate, or an issuer, to the rejected ones.

    Args:
        pki: the folders.
        text: the first digits of its thumbprint, or its file's name.

    Raises:
        TidegateError: there is no such certificate.
    """
    entry = pki.find(text, "trusted", "issuers", "rejected")
    certificate = _whole(entry)
    if entry.place == "rejected":
        return f"{certificate.name!r} is rejected already: {entry.path}"
    path = pki.move(entry, "rejected")
    for other in pki.entries():
        # It may stand there twice, under two names or in both folders.
        if other.place in ("trusted", "issuers") and other.certificate == certificate:
            pki.move(other, "rejected")
    return (
        f"rejected: {certificate.name!r}, thumbprint {certificate.thumbprint}\n  in {path}\n"
        "It counts from now on: a connection that is open ends within seconds."
    )


def _is_file(text: str) -> bool:
    return Path(text).is_file()


def _read(path: Path) -> Certificate:
    try:
        return read_certificate(unpem(path.read_bytes()))
    except OSError as error:
        raise TidegateError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise TidegateError(f"{path} holds no certificate: {error}. Give a DER or PEM file") from None


def _whole(entry: Entry) -> Certificate:
    if entry.certificate is None:
        raise TidegateError(f"{entry.path} holds no certificate: {entry.problem}. Remove the file")
    return entry.certificate
