"""asyncua's client, with what it lacks for secured sessions in the field.

What differs from asyncua 2.1, and why
- The sizes of the server's Acknowledge. asyncua takes the server's receive buffer for its own and the other way round,
  and applies the server's limits on requests to responses (OPC 10000-6, 7.1.2.4). A PLC that takes 8 kB and sends 64 kB
  would be sent chunks it cannot take, and its answers would be refused.
- The time a channel's token was made is taken from this clock, not the server's: asyncua compares it with this one, and
  would drop messages of a PLC whose clock is an hour behind when the token is renewed.
- The server's certificate is kept as it came, not as it is written anew: both ends hash and sign its bytes.
- A session's answer is checked for what asyncua takes for granted: that it is signed, that its endpoints are those that
  the choice was made by, that there is a way to log in; and what is wrong is said in words.
- Of several ways to log in the best one is taken, not the first.
- A server that refuses to open a channel may say so with a service fault (node-opcua does). asyncua takes it for the
  response, fails an assertion, and the reason is gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from asyncua import Client, ua
from asyncua.client.ua_client import UASocketProtocol
from asyncua.common.utils import create_nonce
from asyncua.crypto import security_policies, uacrypto
from asyncua.ua.ua_binary import struct_to_binary
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa

from adapters.opcua.endpoints import NONE, URI, Offer, Token, choose_endpoint, choose_token
from adapters.opcua.failures import Unusable
from adapters.opcua.pki.certificates import split_chain
from adapters.opcua.pki.own import Own

__all__ = ["Login", "SecureClient", "offers_of"]

_POLICIES: Final = {
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}
_LEAST_BUFFER: Final = 8192
"""No buffer is smaller (OPC 10000-6, 7.1.2.3)."""
_MOST_INCOMING: Final = 256 * 1024 * 1024
"""Bytes of one response: bounds what a broken server takes in memory."""
_NO_MATTER: Final = 8 * 1024 * 1024
"""Bytes that no request of this gateway comes to: to encode each one twice would be for nothing."""
_MOST_BUFFER: Final = 16 * 1024 * 1024
_CHUNK_HEADERS: Final = 24
"""Bytes of the headers of one chunk without encryption; with it `max_body_size` knows."""

log = logging.getLogger(__name__)


class Login(NamedTuple):
    """Who logs in: anonymous when all is None, by name and password, or by certificate and its key."""

    username: str | None = None
    password: str | None = None
    certificate: x509.Certificate | None = None
    key: rsa.RSAPrivateKey | None = None

    @property
    def kind(self) -> str:
        """What the standard calls it."""
        return "Certificate" if self.certificate is not None else "UserName" if self.username else "Anonymous"


class SecureClient(Client):  # type: ignore[misc]  # asyncua's types are not followed, see pyproject.toml
    """A client for one session.

    Args:
        url: the server's address.
        timeout_s: longest wait for an answer, in seconds.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        super().__init__(url, timeout=timeout_s, auto_reconnect=False)
        self.offer: Offer | None = None
        """The endpoint that was chosen; None before, and where the channel is not secured."""
        self.most_request_bytes = 0
        """Longest request that the server takes; 0 where it sets no limit."""
        self._has_warned = False

    def secure(self, offer: Offer, own: Own) -> None:
        """Has the channel secured. To be called before connecting.

        Raises:
            ValueError: the server's certificate cannot be used.
        """
        server = split_chain(offer.certificate)[0]
        policy = _POLICIES[offer.policy](
            x509.load_der_x509_certificate(server), own.certificate.parsed, own.key, ua.MessageSecurityMode[offer.mode]
        )
        policy.peer_certificate = server
        policy.host_certificate = own.certificate.der
        self.security_policy = policy
        self.uaclient.set_security(policy)
        self.application_uri = own.uri
        self.offer = offer

    async def open_channel(self) -> None:
        """Connects, greets the server, and opens the channel.

        Raises:
            one of `failures.FAILURES`: it cannot be reached, does not answer, or refuses.
        """
        await self.connect_socket()
        # Python 3.11's `asyncio.wait_for`, under asyncua's connecting, can swallow a cancellation that comes late.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
        await self.send_hello()
        await self.open_secure_channel()

    async def hang_up(self) -> None:
        """Closes the socket, whatever state it is in."""
        protocol: UASocketProtocol | None = self.uaclient.protocol
        if protocol is None:
            return
        # Not close(): that would wait for a dead peer to take what is still to be sent.
        if protocol.transport is not None:
            protocol.transport.abort()
        self.disconnect_socket()
        await asyncio.sleep(0)  # the loop closes an aborted socket in its next turn

    async def connect_socket(self) -> None:
        """Connects, and looks at each answer to opening a channel before asyncua does."""
        await super().connect_socket()
        protocol = self.uaclient.protocol
        take = protocol._process_received_message  # noqa: SLF001 - nothing public comes before the answer is taken

        def look_and_take(message: Any) -> None:  # noqa: ANN401
            if isinstance(message, ua.Message) and isinstance(message.SecurityHeader(), ua.AsymmetricAlgorithmHeader):
                # What it raises ends whatever waits for an answer.
                protocol.check_answer(message.body(), " to opening a channel")
            take(message)

        protocol._process_received_message = look_and_take  # noqa: SLF001

    async def send_hello(self) -> None:
        """Greets the server, and heeds what it says about sizes."""
        ack = await self.uaclient.send_hello(self.server_url.geturl(), self.max_messagesize, self.max_chunkcount)
        limits = self.uaclient.protocol._connection._limits  # noqa: SLF001 - nothing public leads there
        # The smaller of the two may be sent under either reading of the message, and the larger one may come.
        limits.max_send_buffer = min(max(_LEAST_BUFFER, min(ack.ReceiveBufferSize, ack.SendBufferSize)), _MOST_BUFFER)
        limits.max_recv_buffer = max(ack.ReceiveBufferSize, ack.SendBufferSize, _LEAST_BUFFER)
        limits.max_message_size = _MOST_INCOMING
        limits.max_chunk_count = 0
        by_chunks = int(ack.MaxChunkCount) * (limits.max_send_buffer - _CHUNK_HEADERS - self._overhead())
        self.most_request_bytes = min((size for size in (int(ack.MaxMessageSize), by_chunks) if size > 0), default=0)

    def _overhead(self) -> int:
        """Bytes that signature and padding take in each chunk, at most."""
        return 0 if self.offer is None else 64

    def takes(self, request: Any) -> bool:  # noqa: ANN401 - asyncua's own
        """Whether the server takes a whole request of this size. Looks only where it takes little."""
        most = self.most_request_bytes
        if not 0 < most < _NO_MATTER:
            return True
        # Of the header only this has no fixed length; asyncua puts it in as it sends.
        request.RequestHeader.AuthenticationToken = self.uaclient.protocol.authentication_token
        return len(struct_to_binary(request)) <= most

    async def open_secure_channel(self, renew: bool = False) -> None:
        """Opens or renews the channel."""
        try:
            await super().open_secure_channel(renew)
        except AssertionError:
            raise Unusable("the server's answer to opening a channel cannot be understood") from None
        channel = self.uaclient.protocol._connection  # noqa: SLF001
        token = channel.next_security_token if renew else channel.security_token
        token.CreatedAt = datetime.now(UTC)

    async def create_session(self) -> Any:  # noqa: ANN401
        """Creates the session, and checks what the server answers.

        Raises:
            ua.UaError: the server refused, or its answer is not that of the server that was chosen.
        """
        params = self._session_parameters()
        try:
            response = await self.uaclient.create_session(params)
        except (ua.uaerrors.BadSecurityPolicyRejected, ua.uaerrors.BadSecurityModeRejected):
            self._still_offered(await self.get_endpoints())
            raise
        self._check_proof(params.ClientNonce, response)
        self._server_nonce = response.ServerNonce
        if response.RevisedSessionTimeout > 0:
            self.session_timeout = response.RevisedSessionTimeout
        # Asked for without protection, the endpoints may have been changed on the way; here they are signed.
        self._policy_ids = self._still_offered(response.ServerEndpoints)
        return response

    def _still_offered(self, endpoints: Sequence[Any] | None) -> list[Any]:
        """The ways to log in at the endpoint that is in use; none where the server does not tell its endpoints."""
        offers = offers_of(endpoints)
        if not offers:
            return []
        wanted = (NONE, NONE) if self.offer is None else (self.offer.policy, self.offer.mode)
        with _told():
            offer = choose_endpoint(offers, *wanted)
        return [*(_matching(endpoints or (), offer).UserIdentityTokens or ())]

    def _session_parameters(self) -> Any:  # noqa: ANN401
        description = ua.ApplicationDescription()
        description.ApplicationUri = self.application_uri
        description.ProductUri = self.product_uri
        description.ApplicationName = ua.LocalizedText(self.name)
        description.ApplicationType = ua.ApplicationType.Client
        params = ua.CreateSessionParameters()
        params.ClientNonce = create_nonce(32)
        params.ClientCertificate = self.security_policy.host_certificate or None
        params.ClientDescription = description
        params.EndpointUrl = self.server_url.geturl()
        params.SessionName = f"{self.description} Session{self._session_counter}"
        params.RequestedSessionTimeout = self.session_timeout
        return params

    def _check_proof(self, nonce: bytes, response: Any) -> None:  # noqa: ANN401
        """Whether the session's answer comes from whoever has the key of the certificate."""
        policy = self.security_policy
        shown = split_chain(response.ServerCertificate)[0] if response.ServerCertificate else b""
        if self.offer is None:
            # Nobody proves anything. It is what a password may have to be encrypted with.
            policy.peer_certificate = policy.peer_certificate or shown
            return
        if shown and shown != policy.peer_certificate:
            raise Unusable("the server showed one certificate before and another one now; it may be restarting")
        try:
            policy.asymmetric_cryptography.verify(
                policy.host_certificate + nonce, response.ServerSignature.Signature or b""
            )
        except (InvalidSignature, uacrypto.InvalidSignature):
            raise Unusable("the server did not prove that it has the key of its certificate") from None

    async def log_in(self, login: Login) -> None:
        """Activates the session.

        Raises:
            ua.UaError: there is no way to log in like this, or the server refused.
        """
        mode = NONE if self.offer is None else self.offer.mode
        offered = [*self._policy_ids]
        tokens = [_token(one) for one in offered]
        name = self.security_policy.URI.removeprefix(URI)
        with _told():
            place = choose_token(tokens, login.kind, policy=name, mode=mode)
        if place >= 0:
            self._policy_ids = [offered[place]]
        by = (tokens[place].policy if place >= 0 else "") or name
        if login.kind == "UserName" and login.password:
            self._check_password(login.password, by, mode)
        self.user_private_key = login.key
        await self.activate_session(username=login.username, password=login.password, certificate=login.certificate)

    def _check_password(self, password: str, by: str, mode: str) -> None:
        if by == NONE:
            if mode != "SignAndEncrypt" and not self._has_warned:
                self._has_warned = True
                log.warning("%s: the server takes passwords unencrypted only: anybody on the network can read it", self)
            return
        if not self.security_policy.peer_certificate:
            raise Unusable("the server wants the password encrypted but sends no certificate to encrypt it with")
        key = x509.load_der_x509_certificate(self.security_policy.peer_certificate).public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise Unusable("the server wants the password encrypted, and its certificate has no RSA key to do it with")
        # One block: length (4 bytes), password, the server's nonce, and what the padding takes (66 bytes at most).
        room = key.key_size // 8 - 66 - 4 - len(self._server_nonce or b"")
        if len(password.encode()) > room:
            raise Unusable(f"the password is too long for the server's key: it may have {room} bytes")


@contextmanager
def _told() -> Iterator[None]:
    """Lets a choice that cannot be made end the session with its own words."""
    try:
        yield
    except ValueError as error:
        raise Unusable(str(error)) from None


def offers_of(endpoints: Sequence[Any] | None) -> list[Offer]:
    """A server's endpoints of OPC UA TCP, as plain values."""
    return [_offer(endpoint) for endpoint in endpoints or () if _is_tcp(endpoint)]


def _is_tcp(endpoint: Any) -> bool:  # noqa: ANN401
    return (endpoint.EndpointUrl or "").startswith("opc.tcp:")


def _offer(endpoint: Any) -> Offer:  # noqa: ANN401
    return Offer(
        (endpoint.SecurityPolicyUri or "").removeprefix(URI),
        ua.MessageSecurityMode(endpoint.SecurityMode).name.rstrip("_"),  # None_ is the library's word for None
        endpoint.ServerCertificate or b"",
        (endpoint.Server.ApplicationUri or "") if endpoint.Server is not None else "",
    )


def _matching(endpoints: Sequence[Any], offer: Offer) -> Any:  # noqa: ANN401
    return next(one for one in endpoints if _is_tcp(one) and _offer(one)[:2] == offer[:2])


def _token(policy: Any) -> Token:  # noqa: ANN401
    kind = ua.UserTokenType(policy.TokenType)
    return Token(kind.name, (policy.SecurityPolicyUri or "").removeprefix(URI))
