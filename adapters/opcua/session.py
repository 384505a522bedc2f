"""One session at one OPC UA server: the services that reading takes, and nothing that asyncua would do by itself.

asyncua connects, secures and encodes. Its supervisor, its watchdog, its reconnecting and its publish loop are never
started: they would retry behind `gateway.supervise`, and acknowledge notifications before these are durable.

Invariants
- A failed service raises `SourceLost` with a text for the person on site; the session is of no use after that.
- `close` takes at most `CLOSE_S` and leaves no socket, also when it is itself cancelled or the server is dead.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, NamedTuple

from asyncua import ua
from asyncua.client.ua_client import UASocketProtocol, UASocketState
from asyncua.common.utils import Buffer

from adapters.base import NOWHERE, Site
from adapters.opcua.binary import STUMBLES, check_header, read_struct
from adapters.opcua.client import SecureClient
from adapters.opcua.failures import FAILURES, explain
from adapters.opcua.kept import Subscribed
from adapters.opcua.message import Message, ns_since_1970, read_message, read_publish_result
from adapters.opcua.plan import endpoint, security_words
from adapters.opcua.secure import Secured, Upkeep, load_login, secure, why_not_opened
from adapters.opcua.settings import OpcuaSettings
from gateway.errors import SourceLost, TidegateError

__all__ = ["CLOSE_S", "Limits", "Session", "Transferred", "time_ns"]

CLOSE_S: Final = 1.0
"""Longest time that saying goodbye to a server may take, in seconds."""

_SESSION_TIMEOUT_MS: Final = 120_000
"""How long a server keeps a session that says nothing: as long as an adapter may wait for a slow disk, and short
enough that a crash does not use up a small PLC's few sessions."""
_MOST_NOTIFICATIONS: Final = 10_000
"""Readings in one notification: bounds what one of them takes in memory."""

_RESEND: Final = frozenset({ua.StatusCodes.BadTimeout, ua.StatusCodes.BadTooManyPublishRequests})

log = logging.getLogger(__name__)


class Limits(NamedTuple):
    """What the server says about itself.

    Attributes:
        namespaces: its namespace URIs by index; empty where it does not tell.
        items_per_request: most monitored items in one request; 0 where it sets no limit.
        server: which server this is and since when it runs, as text that is the same only for the same life of the same
            server; empty where it does not tell.
        time_ns: what its clock says, UTC ns since 1970; None where it does not tell.
    """

    namespaces: tuple[str, ...]
    items_per_request: int
    server: str = ""
    time_ns: int | None = None


class Transferred(NamedTuple):
    """What came of taking a subscription over from an earlier session.

    Attributes:
        status: StatusCode; 0 where it is ours now.
        available: numbers of the messages that were not acknowledged; some servers leave them out.
    """

    status: int
    available: tuple[int, ...]


class Session:
    """A session; `open` it, and `close` it whatever happens.

    Args:
        settings: the device, checked.
        site: where the certificates are, for a device that is secured.
    """

    def __init__(self, settings: OpcuaSettings, site: Site = NOWHERE) -> None:
        self._settings = settings
        self._site = site
        self._secured: Secured | None = None
        self._upkeep = Upkeep(site)
        self._who = f"OPC UA device {settings.name!r} at {endpoint(settings)}"
        self._client = SecureClient(endpoint(settings), timeout_s=settings.timeout_s)
        self._client.name = "Tidegate"
        self._client.description = f"Tidegate, device {settings.name}"
        self._client.application_uri = "urn:tidegate:gateway"
        self._client.product_uri = "urn:tidegate"
        self._client.session_timeout = _SESSION_TIMEOUT_MS
        self._opened = False
        self._renew_at_s = 0.0

    async def open(self) -> None:
        """Connects and logs in.

        Raises:
            SourceLost: the server cannot be reached or does not let us in.
        """
        client = self._client
        with self._asking("preparing a secured connection"):
            login = await load_login(self._settings)
            if self._settings.is_secured:
                self._secured = await secure(client, endpoint(self._settings), self._settings, self._site)
        with self._opening("connecting"):
            await client.open_channel()
        with self._opening("opening a session"):
            await client.create_session()
            self._opened = True
            await client.log_in(login)
        self._plan_renewal()

    async def close(self, *, keep: bool = False) -> None:
        """Says goodbye where the server listens, and closes the socket in any case. Never raises a failure.

        Args:
            keep: ask the server to keep the subscriptions, because a later session will take them over.
        """
        protocol: UASocketProtocol | None = self._client.uaclient.protocol
        if protocol is None:
            return
        try:
            if self._opened and protocol.state is UASocketState.OPEN:
                async with asyncio.timeout(CLOSE_S):
                    await self._client.uaclient.close_session(delete_subscriptions=not keep)
                    await self._client.uaclient.close_secure_channel()
        except FAILURES as error:
            # A courtesy: a server that does not take it drops the session by its own timeout.
            log.debug("%s: closing the session: %s", self._who, explain(error))
        finally:
            await self._client.hang_up()

    async def limits(self) -> Limits:
        """Reads what the server says about itself. What it does not tell counts as no limit."""
        nodes = [
            ua.NodeId(ua.ObjectIds.Server_NamespaceArray),
            ua.NodeId(ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall),
            ua.NodeId(ua.ObjectIds.Server_ServerArray),
            ua.NodeId(ua.ObjectIds.Server_ServerStatus_StartTime),
            ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime),
        ]
        with self._asking("reading its limits"):
            answers = await self._client.uaclient.read_attributes(nodes, ua.AttributeIds.Value)
        namespaces, most, names, start, clock = answers
        uris = namespaces.Value.Value if namespaces.Value is not None else None
        number = most.Value.Value if most.Value is not None else None
        return Limits(
            tuple(str(uri) for uri in uris) if isinstance(uris, list) else (),
            number if isinstance(number, int) and number > 0 else 0,
            _which_server(names, start),
            time_ns(clock.Value.Value if clock.Value is not None else None),
        )

    async def subscribe(self, interval_ms: float) -> Subscribed | None:
        """Creates a subscription, without starting asyncua's publish loop.

        Args:
            interval_ms: how often the server is to send what has changed, in milliseconds.

        Returns:
            The subscription; None where the server offers none, or no more.
        """
        settings = self._settings
        interval_s = interval_ms / 1000
        keep_alives = max(1, round(settings.timeout_s / interval_s))
        request = ua.CreateSubscriptionRequest()
        request.Parameters.RequestedPublishingInterval = interval_ms
        request.Parameters.RequestedMaxKeepAliveCount = keep_alives
        # At least three times the keep-alives, says the standard (OPC 10000-4, 5.14.2.2).
        lifetimes = max(3 * keep_alives, math.ceil(settings.subscription_lifetime_s / interval_s))
        request.Parameters.RequestedLifetimeCount = lifetimes
        request.Parameters.MaxNotificationsPerPublish = _MOST_NOTIFICATIONS
        with self._asking("subscribing"):
            try:
                body = await self._send(request)
                response = read_struct(ua.CreateSubscriptionResponse, body)
                response.ResponseHeader.ServiceResult.check()
            except (ua.uaerrors.BadServiceUnsupported, ua.uaerrors.BadTooManySubscriptions):
                return None
        granted = response.Parameters
        if 0 < granted.RevisedPublishingInterval < math.inf:
            interval_ms = float(granted.RevisedPublishingInterval)
        return Subscribed(
            id=int(granted.SubscriptionId),
            interval_ms=interval_ms,
            sign_of_life_s=interval_ms / 1000 * max(1, int(granted.RevisedMaxKeepAliveCount)),
            lifetime_s=interval_ms / 1000 * int(granted.RevisedLifetimeCount),
        )

    async def transfer(self, subscriptions: Sequence[int]) -> list[Transferred]:
        """Takes over subscriptions of an earlier session, and what they have gathered since (OPC 10000-4, 5.14.7).

        Returns:
            What came of each; nothing where the server does not offer the service.
        """
        request = ua.TransferSubscriptionsRequest()
        request.Parameters.SubscriptionIds = list(subscriptions)
        request.Parameters.SendInitialValues = False
        with self._asking("taking over its subscriptions"):
            try:
                body = await self._send(request)
                response = read_struct(ua.TransferSubscriptionsResponse, body)
                response.ResponseHeader.ServiceResult.check()
            except ua.UaStatusCodeError as error:
                if error.code == ua.StatusCodes.BadTimeout:
                    raise
                return []
            results = response.Parameters.Results
            if len(results) != len(subscriptions):
                raise ua.UaError(f"{len(results)} results for {len(subscriptions)} subscriptions")
        return [
            Transferred(
                int(result.StatusCode.value) if result.StatusCode.is_bad() else 0,
                tuple(map(int, result.AvailableSequenceNumbers or ())),
            )
            for result in results
        ]

    async def unsubscribe(self, subscriptions: Sequence[int]) -> None:
        """Deletes subscriptions of this session. One that is not there any more is as good as deleted."""
        request = ua.DeleteSubscriptionsRequest()
        request.Parameters.SubscriptionIds = list(subscriptions)
        with self._asking("deleting its subscriptions"):
            try:
                check_header(await self._send(request))
            except ua.UaStatusCodeError as error:
                if error.code == ua.StatusCodes.BadTimeout:
                    raise

    async def publish(self, acknowledged: Sequence[tuple[int, int]]) -> tuple[int, Message] | None:
        """Sends a PublishRequest and waits, as long as it takes, for a message of any subscription.

        Args:
            acknowledged: messages that are durable, as (subscription, sequence number).

        Returns:
            Subscription and message, or None where the server gave the request back unused; then `acknowledged` may not
            have been heard.
        """
        request = ua.PublishRequest()
        request.Parameters.SubscriptionAcknowledgements = [
            ua.SubscriptionAcknowledgement(subscription, number) for subscription, number in acknowledged
        ]
        with self._asking("waiting for changes"):
            try:
                body = await self._send(request, timeout_s=0)
                check_header(body)
            except ua.UaStatusCodeError as error:
                if error.code in _RESEND:
                    return None
                raise
            return read_publish_result(bytes(body))

    async def republish(self, subscription: int, number: int) -> Message | None:
        """Asks for a message again: the message, or None where the server has it no more."""
        request = ua.RepublishRequest()
        request.Parameters.SubscriptionId = subscription
        request.Parameters.RetransmitSequenceNumber = number
        with self._asking(f"asking for message {number} again"):
            try:
                body = await self._send(request)
                check_header(body)
            except (ua.uaerrors.BadMessageNotAvailable, ua.uaerrors.BadServiceUnsupported):
                return None
            message = read_message(bytes(body))
        # asyncua's own server answers with an empty message where it has none.
        return message if message.number == number and not message.is_keep_alive else None

    async def stay_alive(self) -> None:
        """Asks the server for its state, so that it keeps the session, and renews the secure channel when due."""
        if self._secured is not None:
            await self._upkeep.look()
        with self._asking("asking for a sign of life"):
            await self._client.uaclient.read_attributes(
                [ua.NodeId(ua.ObjectIds.Server_ServerStatus_State)], ua.AttributeIds.Value
            )
            if asyncio.get_running_loop().time() >= self._renew_at_s:
                await self._client.open_secure_channel(renew=True)
                self._client.uaclient.revolve_security_token()
                self._plan_renewal()

    async def look_after_trust(self) -> None:
        """Looks whether the server is still trusted, where it had to be; to be called every few seconds.

        Raises:
            SourceLost: it is not.
        """
        if self._secured is not None:
            with self._asking("reading on"):
                await self._secured.trust.look_again()

    async def call(self, request: Any) -> bytes:  # noqa: ANN401 - asyncua's own
        """Sends a request of any other service: what follows the header of its response.

        Raises:
            one of `failures.FAILURES`: the caller knows what was tried, and whether the session is lost by it.
        """
        if not self._client.takes(request):
            raise ua.uaerrors.BadRequestTooLarge
        body = await self._send(request)
        check_header(body)
        return bytes(body)

    @property
    def security(self) -> str:
        """How the channel is secured, in words."""
        offer = self._client.offer
        return security_words(None, "") if offer is None else security_words(offer.policy, offer.mode)

    @property
    def connected(self) -> bool:
        """Whether the socket is open, as far as anybody knows."""
        protocol: UASocketProtocol | None = self._client.uaclient.protocol
        return protocol is not None and protocol.state is UASocketState.OPEN

    @property
    def stay_alive_every_s(self) -> float:
        """How often `stay_alive` is to be called, in seconds: often enough for both of its purposes."""
        return float(min(self._client.session_timeout / 3, self._client.secure_channel_timeout / 8)) / 1000

    def lost(self, doing: str, what: str) -> SourceLost:
        """The error that says what was tried at this device, and what came of it."""
        return SourceLost(f"{self._who}: {doing}: {what}")

    def refused(self, doing: str, what: str) -> TidegateError:
        """Like `lost`, where the session can go on."""
        return TidegateError(f"{self._who}: {doing}: {what}")

    def _plan_renewal(self) -> None:
        """After 75 % of the token's lifetime, as the standard wants it (OPC 10000-4, 5.6.2.1)."""
        lifetime_s = self._client.secure_channel_timeout / 1000
        self._renew_at_s = asyncio.get_running_loop().time() + 0.75 * lifetime_s

    async def _send(self, request: Any, timeout_s: float | None = None) -> Buffer:  # noqa: ANN401 - asyncua's own
        protocol = self._client.uaclient.protocol
        if protocol is None:
            raise ConnectionError("the connection is closed")
        return await protocol.send_request(request, timeout_s)

    @contextmanager
    def _opening(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (*FAILURES, *STUMBLES) as error:
            raise self.lost(doing, why_not_opened(error, self._secured and self._secured.own)) from error

    @contextmanager
    def _asking(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (*FAILURES, *STUMBLES) as error:
            raise self.lost(doing, explain(error)) from error


def time_ns(value: object) -> int | None:
    """A DateTime that asyncua read, as UTC ns since 1970; None for anything else, and for what an unset clock says."""
    ticks: int = ua.datetime_to_win_epoch(value) if isinstance(value, datetime) else 0
    return ns_since_1970(ticks)


def _which_server(names: ua.DataValue, start: ua.DataValue) -> str:
    """The server's ApplicationUri, which stands first in its server array, and its start: ids end with its life."""
    uris = names.Value.Value if names.Value is not None else None
    since = start.Value.Value if start.Value is not None else None
    if not since:
        return ""
    return f"{uris[0] if isinstance(uris, list) and uris else ''} since {since}"
