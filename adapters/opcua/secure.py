"""What comes before a secured session: which endpoint, whose certificate, and whether this gateway trusts it.

Everything is looked at anew for each connection: what the server offers, what it shows, and what stands in the folders.
So a certificate that was trusted a moment ago counts in the next attempt; one that was rejected ends an open session
too (`trust`).

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
from typing import Final, NamedTuple

from asyncua import ua

from adapters.base import Site
from adapters.opcua.client import Login, SecureClient, offers_of
from adapters.opcua.endpoints import Offer, choose_endpoint
from adapters.opcua.failures import Unusable, explain
from adapters.opcua.pki.folders import Pki
from adapters.opcua.pki.own import Own, ensure_own
from adapters.opcua.pki.user import read_user
from adapters.opcua.settings import OpcuaSettings, split_url
from adapters.opcua.trust import Trust
from gateway.errors import TidegateError

__all__ = ["Secured", "Upkeep", "discover", "load_login", "secure", "why_not_opened"]

_UPKEEP_S: Final = 86_400.0
"""How often a session looks after the gateway's certificate, in seconds."""
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


class Secured(NamedTuple):
    """What a secured session stands on: this gateway's certificate, and the trust in the server's."""

    own: Own
    trust: Trust


async def secure(client: SecureClient, url: str, settings: OpcuaSettings, site: Site) -> Secured:
    """Chooses the endpoint, judges the server's certificate, and has the client use both.

    Args:
        client: not connected yet.
        url: the server's address.
        settings: the device; its security is not None.
        site: where the certificates are.

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
        trust = Trust(offer, pki, host=split_url(url).hostname or "", ignored=settings.ignore_checks)
        await trust.judge()
    except TidegateError as error:
        raise Unusable(str(error)) from None
    client.secure(offer, own)
    return Secured(own, trust)


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
        await client.open_channel()
        offers = offers_of(await client.get_endpoints())
        await client.close_secure_channel()
    finally:
        await client.hang_up()
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
