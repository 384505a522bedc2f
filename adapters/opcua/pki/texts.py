"""What `tidegate pki` prints."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

from adapters.opcua.pki.certificates import Certificate
from adapters.opcua.pki.folders import PLACES, Entry, Pki

__all__ = ["list_json", "list_text", "meant", "show_text", "validity"]

_DIGITS: Final = 16
_WORDS: Final = {
    "own": "this gateway",
    "trusted": "trusted",
    "issuers": "issuers, not trusted themselves",
    "rejected": "rejected: shown by servers, and trusted by nobody",
}


def list_text(pki: Pki, *, now: datetime) -> str:
    """All certificates, folder by folder."""
    entries = pki.entries()
    lines = [str(pki.folder)]
    for place in PLACES:
        lines += ["", _WORDS[place]]
        lines += [_line(entry, now) for entry in entries if entry.place == place] or ["  none"]
    crls, unusable = pki.revocation_lists()
    lines += ["", f"revocation lists: {len(crls)}", *(f"  {text}" for text in unusable)]
    return "\n".join(lines)


def _line(entry: Entry, now: datetime) -> str:
    one = entry.certificate
    if one is None:
        return f"  {entry.path.name}: {entry.problem}"
    note = validity(one, now) or f"until {one.ends:%Y-%m-%d}"
    kind = ", may issue others" if one.is_ca else ""
    later = ", for later" if entry.place == "own" and entry.path.stem == "next" else ""
    uri = f", {one.uris[0]}" if one.uris else ""
    return f"  {one.thumbprint[:_DIGITS]}  {note}  {one.name}{uri}{kind}{later}"


def list_json(pki: Pki) -> str:
    """The same for programs."""
    return json.dumps([_told(entry) for entry in pki.entries()], indent=2)


def _told(entry: Entry) -> dict[str, Any]:
    told: dict[str, Any] = {"folder": entry.place, "file": str(entry.path)}
    one = entry.certificate
    if one is None:
        return {**told, "problem": entry.problem}
    return {
        **told,
        "thumbprint": one.thumbprint,
        "sha256": one.fingerprint,
        "name": one.name,
        "issuer": one.issuer,
        "not_before": one.begins.isoformat(),
        "not_after": one.ends.isoformat(),
        "application_uris": list(one.uris),
        "hosts": list(one.hosts),
        "is_ca": one.is_ca,
    }


def meant(pki: Pki, text: str) -> Entry:
    """The certificate that a person names; "own" is this gateway's.

    Raises:
        TidegateError: there is none, or more than one.
    """
    return pki.find("cert.der", "own") if text == "own" else pki.find(text, *PLACES)


def show_text(entry: Entry, *, now: datetime) -> str:
    """What stands in one certificate."""
    one = entry.certificate
    if one is None:
        return f"{entry.path}: {entry.problem}"
    note = validity(one, now)
    rows = {
        "File": str(entry.path),
        "Folder": _WORDS[entry.place],
        "Name": one.name,
        "Issuer": "itself" if one.is_self_issued else one.issuer,
        "Application": ", ".join(one.uris) or "none",
        "Hosts": ", ".join(one.hosts) or "none",
        "Valid": f"{one.begins:%Y-%m-%d %H:%M} to {one.ends:%Y-%m-%d %H:%M} UTC" + (f": {note}" if note else ""),
        "Key": f"RSA, {one.key_bits} bits" if one.key_bits else "not RSA",
        "Issues": "may issue certificates" if one.is_ca else "no certificates",
        "Thumbprint": spaced(one.thumbprint),
        "SHA-256": spaced(one.fingerprint),
    }
    return "\n".join(f"{key:<12}{value}" for key, value in rows.items())


def spaced(digits: str) -> str:
    """Hexadecimal digits by fours, as one reads them to somebody else."""
    return " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))


def validity(certificate: Certificate, now: datetime) -> str:
    """What is wrong with the time; empty where nothing is."""
    if now > certificate.ends:
        return f"expired on {certificate.ends:%Y-%m-%d}"
    if now < certificate.begins:
        return f"is not valid before {certificate.begins:%Y-%m-%d}"
    return ""
