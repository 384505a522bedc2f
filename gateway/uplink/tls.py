"""The TLS context of the uplink, from its settings."""

from __future__ import annotations

import ssl

from gateway.config.models import TlsSettings
from gateway.errors import UplinkError

__all__ = ["tls_context"]


def tls_context(settings: TlsSettings) -> ssl.SSLContext:
    """Reads the certificates anew, so that a renewed one is used from the next connection on.

    Raises:
        UplinkError: a file cannot be read or is not what it should be.
    """
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise UplinkError(
            f"uplink.tls.ca_file {settings.ca_file!r} cannot be used: {error.strerror or error}. "
            "Give a readable PEM file."
        ) from None
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.cert_file is not None:
        try:
            context.load_cert_chain(settings.cert_file, settings.key_file)
        except OSError as error:
            raise UplinkError(
                f"uplink.tls.cert_file {settings.cert_file!r} with key_file {settings.key_file!r} cannot be used: "
                f"{error.strerror or error}. Give readable PEM files that belong together, the key without "
                "a pass phrase."
            ) from None
    return context
