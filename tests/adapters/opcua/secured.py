"""A secured OPC UA server, and an adapter that has certificate folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asyncua import Server, ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from adapters.base import Site
from adapters.opcua.pki.certificates import read_certificate
from adapters.opcua.pki.folders import Pki
from tests.adapters.opcua.certificates import SERVER_URI, Made
from tests.adapters.opcua.plc import URI, Plc

__all__ = ["EVERY", "POLICIES", "Client", "Doors", "SecuredPlc", "site", "trust"]

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


class Doors:
    """Whom a server lets in: anybody without a name, `op` with the password `right`, and known user certificates."""

    def __init__(self, seen: Client) -> None:
        self.seen = seen
        self.known: set[bytes] = set()

    def get_user(
        self, iserver: object, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        if username is not None:
            self.seen.users.append((username, password))
            return User(role=UserRole.User) if (username, password) == ("op", "right") else None
        if certificate in self.known:
            self.seen.users.append("certificate")
            return User(role=UserRole.User)
        self.seen.users.append("anonymous")
        return User(role=UserRole.User)


class SecuredPlc(Plc):
    """An asyncua server with a certificate."""

    def __init__(self, server: Server, seen: Client) -> None:
        super().__init__(server)
        self.seen = seen
        self.refuses = 0

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
        plc = cls(server, seen)
        server.iserver.certificate_validator = plc.look_at
        await server.start()
        plc.port = server.bserver.port
        return plc

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


def site(folder: Path, gateway: str = "press-shop-1") -> Site:
    return Site(gateway, folder / "pki")


def trust(where: Site, *made: Made, place: str = "trusted") -> None:
    for one in made:
        Pki(where.pki).add(read_certificate(one.der), place)
