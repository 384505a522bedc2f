"""A secured OPC UA server, and an adapter that has certificate folders."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from asyncua import Server, ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.crypto.security_policies import SECURITY_POLICY_TYPE_MAP
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from adapters.base import Site
from adapters.opcua.pki.certificates import read_certificate
from adapters.opcua.pki.folders import Pki
from tests.adapters.opcua.certificates import SERVER_URI, Made
from tests.adapters.opcua.plc import URI, Line, Plc, chunk

__all__ = ["EVERY", "POLICIES", "Client", "Doors", "SecuredPlc", "Wire", "site", "trust"]

EVERY = [
    ua.SecurityPolicyType.NoSecurity,
    ua.SecurityPolicyType.Basic256Sha256_Sign,
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_Sign,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_Sign,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
]
POLICIES = ("Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss")


class Client:
    """What a server saw of one client: the certificate of its application, and who logged in."""

    def __init__(self) -> None:
        self.uris: list[str] = []
        self.certificates: list[bytes] = []
        self.users: list[object] = []

    def forget(self) -> None:
        for seen in (self.uris, self.certificates, self.users):
            seen.clear()


class Doors:
    """Whom a server lets in: `op` with the password `right`, known user certificates; unless strict, anybody else."""

    def __init__(self, seen: Client) -> None:
        self.seen = seen
        self.known: set[bytes] = set()
        self.strict = False

    def get_user(
        self, iserver: object, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        if username is not None:
            self.seen.users.append((username, password))
            return User(role=UserRole.User) if (username, password) == ("op", "right") else None
        if certificate in self.known:
            self.seen.users.append("certificate")
            return User(role=UserRole.User)
        if self.strict:
            return None
        self.seen.users.append("anonymous")
        return User(role=UserRole.User)


class SecuredPlc(Plc):
    """An asyncua server with a certificate."""

    def __init__(self, server: Server, seen: Client, made: Made) -> None:
        super().__init__(server)
        self.seen = seen
        self.made = made
        self.refuses = 0
        self._endpoints: list[ua.EndpointDescription] = []

    @classmethod
    async def open(
        cls,
        made: Made,
        *,
        policies: Sequence[ua.SecurityPolicyType] = EVERY,
        port: int = 0,
        tokens: Sequence[type] | None = None,
    ) -> SecuredPlc:
        seen = Client()
        server = Server(user_manager=Doors(seen))
        await server.init()
        server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
        server.set_security_policy([*policies])
        if tokens is not None:
            server.set_identity_tokens([*tokens])
        await server.set_application_uri(SERVER_URI)
        server.iserver.certificate = made.parsed
        server.iserver.private_key = made.key
        assert await server.register_namespace(URI) == 2
        plc = cls(server, seen, made)
        server.iserver.certificate_validator = plc.look_at
        await server.start()
        plc.port = server.bserver.port
        plc._endpoints = [*server.iserver.endpoints]
        return plc

    def use(self, made: Made) -> None:
        """Gives the server another certificate; connections that are open keep the old one."""
        iserver = self.server.iserver
        iserver.certificate, iserver.private_key = made.parsed, made.key
        for endpoint in iserver.endpoints:
            endpoint.ServerCertificate = made.der
        for factory in self.server._policies:
            factory.certificate, factory.private_key, factory.certificate_chain = made.parsed, made.key, None

    def call_itself(self, uri: str) -> None:
        for endpoint in self.server.iserver.endpoints:
            endpoint.Server.ApplicationUri = uri

    def offer(self, *policies: ua.SecurityPolicyType) -> None:
        """Shows and takes these endpoints only, of those that it was opened with."""
        wanted = [SECURITY_POLICY_TYPE_MAP[one][:2] for one in policies]
        self.server.iserver.endpoints[:] = [
            one
            for one in self._endpoints
            if any((policy.URI, mode) == (one.SecurityPolicyUri, one.SecurityMode) for policy, mode in wanted)
        ]

    async def reset(self) -> None:
        """Is again as it was opened."""
        await self.clear()
        self.use(self.made)
        self.call_itself(SERVER_URI)
        self.server.iserver.endpoints[:] = self._endpoints
        self.refuses = 0
        self.seen.forget()
        self.doors.known.clear()
        self.doors.strict = False

    async def look_at(self, certificate: x509.Certificate, application: ua.ApplicationDescription) -> None:
        """What a careful server does with a client's certificate."""
        own = read_certificate(certificate.public_bytes(serialization.Encoding.DER))
        self.seen.certificates.append(own.der)
        self.seen.uris.append(application.ApplicationUri)
        if self.refuses:
            raise ServiceError(self.refuses)
        if application.ApplicationUri not in own.uris:
            raise ServiceError(ua.StatusCodes.BadCertificateUriInvalid)

    @property
    def doors(self) -> Doors:
        return self.server.iserver.user_manager

    def know(self, user: Made) -> None:
        self.doors.known.add(user.der)

    @property
    def policies_in_use(self) -> list[tuple[str, str]]:
        """Policy and mode of each open connection."""
        return [
            (
                one.processor._connection.security_policy.URI.partition("#")[2],
                one.processor._connection.security_policy.Mode.name,
            )
            for one in self.server.bserver.clients
        ]


class Wire(Line):
    """A line that writes down what passes, and may have the server say other sizes than its own.

    `receives`, `sends`: sizes of the server's buffers, in bytes, as its Acknowledge is to tell them.
    `hangs_up_at`: type of the gateway's message at which the line is closed.
    """

    def __init__(self, plc: Plc, *, receives: int = 0, sends: int = 0, most: int = 0, hangs_up_at: bytes = b"") -> None:
        super().__init__(plc)
        self.told = (receives, sends, most)
        self.hangs_up_at = hangs_up_at
        self.sent = bytearray()
        self.chunks: list[tuple[bytes, int]] = []
        """Types and sizes of the gateway's chunks."""

    async def _forth(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                header, body = await chunk(reader)
                self.chunks.append((header[:3], len(header + body)))
                self.sent += header + body
                if header[:3] == self.hangs_up_at:
                    break
                back.write(header + body)
                await back.drain()
        writer.close()
        back.close()

    async def _back(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                header, came = await chunk(there)
                body = bytearray(came)
                if header[:3] == b"ACK":
                    # Behind the version: receive buffer, send buffer, longest message.
                    for place, told in enumerate(self.told):
                        if told:
                            body[4 + 4 * place : 8 + 4 * place] = told.to_bytes(4, "little")
                writer.write(header + body)
                await writer.drain()
        writer.close()


def site(folder: Path, gateway: str = "press-shop-1") -> Site:
    return Site(gateway, folder / "pki")


def trust(where: Site, *made: Made, place: str = "trusted") -> None:
    for one in made:
        Pki(where.pki).add(read_certificate(one.der), place)
