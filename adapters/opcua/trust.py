"""Whether a server's certificate may be used: judged before each session, and again while one is open.

While a session is open only the trust itself is looked at, and only when something in the folders has changed: who is
rejected, or revoked, is not read any longer. What was right about the certificate when the session began, such as its
dates, is for the next connection to look at: an unattended plant must not stop because somebody trusts another PLC.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from adapters.opcua.endpoints import Offer
from adapters.opcua.failures import Unusable
from adapters.opcua.pki.certificates import Certificate, read_certificate, split_chain
from adapters.opcua.pki.checks import IGNORABLE, Check, Failed, failed_checks
from adapters.opcua.pki.folders import Mark, Pki, Store
from gateway.errors import TidegateError

__all__ = ["LOOK_S", "Trust"]

LOOK_S: Final = 2.0
"""How often an open session is to look whether its server is still trusted, in seconds."""
_MOST_KEPT: Final = 5
"""Certificates of one server that are kept when none of them is trusted: its own and its issuers."""


class Trust:
    """The trust in the server of one session.

    Args:
        offer: the endpoint that is used, with its certificate.
        pki: the folders.
        host: the host in the server's address.
        ignored: names of checks that may fail.
    """

    def __init__(self, offer: Offer, pki: Pki, *, host: str, ignored: Collection[str]) -> None:
        self._offer = offer
        self._pki = pki
        self._host = host
        self._ignored = ignored
        self._judged: frozenset[Mark] | None = None

    async def judge(self) -> None:
        """Looks at all of the certificate.

        Raises:
            Unusable: it may not be used; says which checks it fails, where it is, and how to trust it.
            TidegateError: the folders cannot be read.
        """
        await asyncio.to_thread(self._judge, self._ignored)

    async def look_again(self) -> None:
        """Looks whether the server is still trusted, where something in the folders has changed. Costs little else.

        Raises:
            Unusable: it is not.
        """
        # A folder that cannot be read says nothing against a session that is open; the next connection will tell.
        with suppress(TidegateError):
            await asyncio.to_thread(self._look_again)

    def _look_again(self) -> None:
        marks = self._pki.marks()
        if marks != self._judged:
            self._judge(IGNORABLE)
            self._judged = marks

    def _judge(self, ignored: Collection[str]) -> None:
        try:
            chain = split_chain(self._offer.certificate)
        except ValueError as error:
            raise Unusable(f"the server's certificate cannot be read: {error}; give it a new one there") from None
        store = self._pki.store()
        failed = failed_checks(
            chain,
            trusted=store.trusted,
            issuers=store.issuers,
            crls=store.crls,
            now=datetime.now(UTC),
            host=self._host,
            application_uri=self._offer.application_uri,
            ignored=ignored,
        )
        if not failed:
            return
        kept = [self._pki.keep_rejected(der) for der in chain[:_MOST_KEPT]] if _is_untrusted(failed) else []
        raise Unusable(_refusal(chain[0], failed, kept[0] if kept else None, self._pki, store))


def _is_untrusted(failed: Sequence[Failed]) -> bool:
    return any(one.check is Check.TRUST for one in failed)


def _refusal(der: bytes, failed: Sequence[Failed], kept: Path | None, pki: Pki, store: Store) -> str:
    found = "; ".join(f"check {one.check}: {one.what}" for one in failed)
    try:
        certificate = read_certificate(der)
    except ValueError:
        return f"the server's certificate is refused: {found}. Give the server a new one"
    text = [
        f"the server's certificate {certificate.name!r}, thumbprint {certificate.thumbprint}, is refused: {found}.",
    ]
    hopeless = [one for one in failed if one.check is not Check.TRUST and one.check not in IGNORABLE]
    suspended = sorted({str(one.check) for one in failed if one.check in IGNORABLE})
    if _is_untrusted(failed):
        text += _renewed(certificate, store)
        if kept is None:
            text.append(f"It cannot be kept: {pki.folder} cannot be written.")
        elif hopeless:
            text.append(f"It is kept as {kept}.")
        else:
            text.append(
                "Compare the thumbprint with what the server shows of its own, then run: "
                f"tidegate pki trust {certificate.thumbprint[:16]} --pki {pki.folder} (it is kept there as "
                f"rejected/{kept.name})."
            )
    if store.unusable:
        text.append(f"Beside this, a file cannot be used: {store.unusable[0]}.")
    if hopeless:
        text.append("Give the server a certificate without this fault, or the missing issuer to this gateway")
    elif suspended:
        names = ", ".join(f'"{name}"' for name in suspended)
        text.append(f"Give the server a right certificate, or leave this check out: ignore_checks = [{names}]")
    return " ".join(text).rstrip(".")


def _renewed(certificate: Certificate, store: Store) -> list[str]:
    """Says so where the same application showed another certificate that is trusted."""
    for der in store.trusted:
        other = read_certificate(der)
        if set(other.uris) & set(certificate.uris):
            what = "the server was given a new certificate, or something else answers at its address"
            return [f"For {other.uris[0]} another one is trusted ({other.thumbprint[:16]}): {what}."]
    return []
