"""A user's certificate and its key, with which a device is logged in to."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from adapters.opcua.pki.certificates import read_certificate, unpem
from adapters.opcua.pki.own import load_key
from gateway.errors import TidegateError

__all__ = ["read_user"]


def read_user(cert_file: str, key_file: str, password: str | None) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    """Reads both, and looks whether they belong together.

    Args:
        cert_file: PEM or DER.
        key_file: PEM or DER.
        password: of an encrypted key.

    Raises:
        TidegateError: they cannot be used; the text says which and why.
    """
    try:
        certificate = read_certificate(unpem(Path(cert_file).read_bytes())).parsed
    except OSError as error:
        raise TidegateError(f"{cert_file} cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise TidegateError(f"{cert_file} holds no certificate that can be read") from None
    try:
        key = load_key(Path(key_file).read_bytes(), password, Path(key_file))
    except OSError as error:
        raise TidegateError(f"{key_file} cannot be read: {error.strerror or error}") from None
    if certificate.public_key() != key.public_key():
        raise TidegateError(f"{key_file} is not the key of the certificate in {cert_file}")
    return certificate, key
