"""The gateway's key, and what a signature proves.

The private key is made once, beside the spool (PATH.key, mode 0600), when something is signed for the first time. Its
public part goes to whoever receives carried files, on another way than the files themselves. A file also names the key
that it was signed with; that only helps to see which gateway's it may be.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.errors import SpoolError

__all__ = ["KEY_BYTES", "SIGNATURE_BYTES", "fingerprint", "key_path", "public_pem", "read_public", "sign", "verify"]

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
_CONTEXT: Final = b"tidegate carry 1"
_LARGEST_PEM_BYTES: Final = 100_000


def key_path(spool: Path) -> Path:
    """Where the key of a spool's gateway is."""
    return spool.with_name(spool.name + ".key")


def sign(path: Path, digest: bytes) -> tuple[bytes, bytes]:
    """The public key, and its signature of this hash.

    Args:
        path: the private key; it is made where it is missing.
        digest: SHA-256 of what is signed.

    Raises:
        SpoolError: the key cannot be used, or not be made.
    """
    key = _private(path)
    return key.public_key().public_bytes_raw(), key.sign(_CONTEXT + digest)


def public_pem(path: Path) -> str:
    """The public part of a private key, as PEM; the key is made where it is missing.

    Raises:
        SpoolError: the key cannot be used, or not be made.
    """
    public = _private(path).public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem.decode("ascii")


def read_public(path: Path) -> bytes:
    """The raw public key in a PEM file.

    Raises:
        SpoolError: it is none.
    """
    try:
        content = _small(path)
    except OSError as error:
        raise SpoolError(f"The key {path} cannot be read ({error.strerror}).") from None
    try:
        key = serialization.load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise SpoolError(
            f"The key {path} is no public Ed25519 key in PEM. `tidegate spool key` prints it, on the gateway."
        )
    return key.public_bytes_raw()


def verify(public: bytes, signature: bytes, digest: bytes) -> bool:
    """Whether the holder of this key's private part has signed the hash."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, _CONTEXT + digest)
    except (InvalidSignature, ValueError):
        return False
    return True


def fingerprint(public: bytes) -> str:
    """A short name of a key, for people to compare."""
    hasher = hashes.Hash(hashes.SHA256())
    hasher.update(public)
    return hasher.finalize().hex()[:16]


def _private(path: Path) -> Ed25519PrivateKey:
    try:
        if not path.exists():
            _make(path)
        key = serialization.load_pem_private_key(_small(path), password=None)
    except OSError as error:
        raise SpoolError(
            f"The key {path} cannot be used ({error.strerror}: {error.filename}). It belongs to the gateway's user: "
            "run this as that user."
        ) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SpoolError(
            f"The key {path} is no Ed25519 key in PEM any more. Put its copy back, or delete it: the next export "
            "makes a new one, whose public part must then be given out anew."
        )
    return key


def _make(path: Path) -> None:
    """Makes a key; a name is given to it only once it is on the disk, and another's is never replaced."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        with suppress(PermissionError):  # Where an administrator makes it: it is for whoever owns the folder.
            folder = path.absolute().parent.stat()
            os.chown(new, folder.st_uid, folder.st_gid)
        try:
            os.link(new, path)
        except FileExistsError:
            return  # Another process was quicker; its key counts.
    finally:
        new.unlink()


def _small(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LARGEST_PEM_BYTES)
