"""What comes before a secured session: which endpoint, whose certificate, and whether this gateway trusts it.

Everything is looked at anew for each connection: what the server offers, what it shows, and what stands in the folders.
So a certificate that was trusted a moment ago counts in the next attempt, and so does one that was rejected.

The question for the endpoints goes over a connection of its own, without protection, as the standard has it; its answer
is compared with the signed one when the session is made (`client`).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from asyncua import ua
from asyncua.client.ua_client import UASocketProtocol, UASocketState

from adapters.base import Site
from adapters.opcua.client import Login, SecureClient, offers_of
from adapters.opcua.endpoints import Offer, choose_endpoint
from adapters.opcua.failures import Unusable, explain
from adapters.opcua.pki.certificates import Certificate, read_certificate, split_chain
from adapters.opcua.pki.checks import IGNORABLE, Check, Failed, failed_checks
from adapters.opcua.pki.folders import Pki, Store
from adapters.opcua.pki.own import Own, ensure_own
from adapters.opcua.pki.user import read_user
from adapters.opcua.settings import OpcuaSettings, split_url
from gateway.errors import TidegateError

__all__ = ["Upkeep", "discover", "load_login", "notice_cancellation", "secure", "why_not_opened"]

_UPKEEP_S: Final = 86_400.0
"""How often a session looks after the gateway's certificate, in seconds."""
_MOST_KEPT: Final = 5
"""Certificates of one server that are kept when none of them is trusted: its own and its issuers."""
_SECURITY_CODES: Final = frozenset(
    {
        ua.StatusCodes.BadSecurityChecksFailed,
        ua.StatusCodes.BadCertificateUntrusted,
        ua.StatusCodes.BadCertificateInvalid,
        ua.StatusCodes.BadCertificateUriInvalid,
        ua.StatusCodes.BadCertificateUseNotAllowed,
        ua.StatusCodes.BadCertificateTimeInvalid,
        ua.StatusCodes.BadCertificateHostNameInvalid,
        ua.StatusCodes.BadCertificateChainIncomplete,
        ua.StatusCodes.BadCertificateRevoked,
        ua.StatusCodes.BadCertificateRevocationUnknown,
        ua.StatusCodes.BadCertificatePolicyCheckFailed,
        ua.StatusCodes.BadNoValidCertificates,
    }
)

log = logging.getLogger(__name__)


async def secure(client: SecureClient, url: str, settings: OpcuaSettings, site: Site) -> Own:
    """Chooses the endpoint, judges the server's certificate, and has the client use both.

    Args:
        client: not connected yet.
        url: the server's address.
        settings: the device; its security is not None.
        site: where the certificates are.

    Returns:
        This gateway's certificate.

    Raises:
        one of `failures.FAILURES`: the server cannot be asked, offers nothing that fits, or is not trusted.
    """
    if site.pki is None:
        raise Unusable("there is no folder for certificates here; give pki.folder")
    pki = Pki(site.pki)
    try:
        # First, so that it is there to be taken to the PLC also while that is switched off.
        own = await asyncio.to_thread(_own, site.pki, site.gateway)
        offers = await discover(url, timeout_s=settings.timeout_s)
        offer = _chosen(offers, settings)
        await asyncio.to_thread(_judge, offer, pki, split_url(url).hostname or "", settings)
    except TidegateError as error:
        raise Unusable(str(error)) from None
    client.secure(offer, own)
    return own


def _own(folder: Path, gateway: str) -> Own:
    Pki(folder).make()
    return ensure_own(folder / "own", gateway=gateway, host=socket.gethostname(), now=datetime.now(UTC))


class Upkeep:
    """Has the next certificate of this gateway made in time also where one session lives for months.

    Args:
        site: where it is.
        clock: monotonic seconds.
    """

    def __init__(self, site: Site, clock: Callable[[], float] = time.monotonic) -> None:
        self._site = site
        self._clock = clock
        self._due_s = clock() + _UPKEEP_S

    async def look(self) -> None:
        """Looks once a day; to be called more often."""
        if self._site.pki is None or self._clock() < self._due_s:
            return
        self._due_s = self._clock() + _UPKEEP_S
        # The session that there is needs no certificate any more: the next one will tell what is wrong.
        with suppress(TidegateError):
            await asyncio.to_thread(_own, self._site.pki, self._site.gateway)


async def discover(url: str, *, timeout_s: float) -> list[Offer]:
    """Asks a server for its endpoints, over a connection of its own.

    Args:
        url: the server's address.
        timeout_s: longest wait for each answer, in seconds.

    Raises:
        one of `failures.FAILURES`: it cannot be reached, or does not answer.
    """
    client = SecureClient(url, timeout_s=timeout_s)
    try:
        await client.connect_socket()
        notice_cancellation()
        await client.send_hello()
        await client.open_secure_channel()
        offers = offers_of(await client.get_endpoints())
        await client.close_secure_channel()
    finally:
        # Not close(): that would wait for a dead peer to take what is still to be sent.
        protocol: UASocketProtocol | None = client.uaclient.protocol
        if protocol is not None and protocol.state is UASocketState.OPEN and protocol.transport is not None:
            protocol.transport.abort()
        client.disconnect_socket()
        await asyncio.sleep(0)  # the loop closes an aborted socket in its next turn
    return offers


def _chosen(offers: Sequence[Offer], settings: OpcuaSettings) -> Offer:
    assert settings.security is not None
    try:
        offer = choose_endpoint(offers, settings.security, settings.security_mode)
        if not offer.certificate:
            raise ValueError(f"the server sends no certificate with its endpoint {offer.policy}; give it one there")
    except ValueError as error:
        raise Unusable(str(error)) from None
    return offer


def _judge(offer: Offer, pki: Pki, host: str, settings: OpcuaSettings) -> None:
    """Looks whether the server's certificate may be used.

    Raises:
        Unusable: it may not; says which checks it fails, where it is, and how to trust it.
    """
    try:
        chain = split_chain(offer.certificate)
    except ValueError as error:
        raise Unusable(f"the server's certificate cannot be read: {error}; give it a new one there") from None
    store = pki.store()
    failed = failed_checks(
        chain,
        trusted=store.trusted,
        issuers=store.issuers,
        crls=store.crls,
        now=datetime.now(UTC),
        host=host,
        application_uri=offer.application_uri,
        ignored=settings.ignore_checks,
    )
    if not failed:
        return
    kept = [pki.keep_rejected(der) for der in chain[:_MOST_KEPT]] if _is_untrusted(failed) else []
    raise Unusable(_refusal(chain[0], failed, kept[0] if kept else None, pki, store))


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


def why_not_opened(error: BaseException, own: Own | None) -> str:
    """Why a secured channel or session was not opened, with where this gateway's certificate is, where that may help.

    Args:
        error: one of `failures.FAILURES`.
        own: the certificate; None where the channel is not secured.
    """
    text = explain(error)
    if own is None:
        return text
    ours = f"{own.path} (thumbprint {own.certificate.thumbprint})"
    if isinstance(error, ua.UaStatusCodeError) and error.code in _SECURITY_CODES:
        return f"{text}; it is {ours}"
    if isinstance(error, ConnectionError) and not isinstance(error, ConnectionRefusedError):
        return f"{text}. A server that does not trust this gateway may hang up like this: its certificate is {ours}"
    return text


async def load_login(settings: OpcuaSettings) -> Login:
    """Who logs in at a device, as its settings say.

    Raises:
        Unusable: the files of a user certificate cannot be used.
    """
    if settings.user_cert_file is None or settings.user_key_file is None:
        return Login(settings.username, settings.password)
    try:
        certificate, key = await asyncio.to_thread(
            read_user, settings.user_cert_file, settings.user_key_file, settings.user_key_password
        )
    except TidegateError as error:
        raise Unusable(str(error)) from None
    return Login(certificate=certificate, key=key)


def notice_cancellation() -> None:
    """Python 3.11's `asyncio.wait_for`, under asyncua's connecting, can swallow a cancellation that comes late."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
