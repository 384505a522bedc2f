"""Whether the files of `[uplink.tls]` hold what their keys say. Reads them as the uplink will; connects to nothing.

Whether the broker takes our certificate, and whether its own is signed by these roots, only a connection can tell.
"""

from __future__ import annotations

import ssl

from gateway.config.models import TlsSettings
from gateway.errors import Problem

__all__ = ["certificate_problems"]


def certificate_problems(tls: TlsSettings) -> list[Problem]:
    """What is wrong with the files.

    Args:
        tls: settings whose files are there and can be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    problems = []
    if tls.ca_file is not None:
        try:
            context.load_verify_locations(tls.ca_file)
        except (ssl.SSLError, OSError):
            what = f"{tls.ca_file} holds no certificate that can be read; give a PEM file of trusted roots"
            problems.append(Problem("uplink.tls.ca_file", what))
    if tls.cert_file is not None:
        problems += _own_problems(context, tls.cert_file, tls.key_file)
    return problems


def _own_problems(context: ssl.SSLContext, cert_file: str, key_file: str | None) -> list[Problem]:
    asked = []

    def no_pass_phrase() -> str:
        asked.append(True)
        return ""

    try:
        # Without it OpenSSL would ask for the pass phrase on the terminal.
        context.load_cert_chain(cert_file, key_file, password=no_pass_phrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return [Problem("uplink.tls.key_file", f"{key_file} is not the key of the certificate in {cert_file}")]
        if asked:
            what = f"{key_file} is locked with a pass phrase; give the key without one, readable by this user alone"
            return [Problem("uplink.tls.key_file", what)]
        return [_unreadable(cert_file, key_file)]
    except OSError:
        return [_unreadable(cert_file, key_file)]
    return []


def _unreadable(cert_file: str, key_file: str | None) -> Problem:
    what = f"{cert_file} with {key_file}: they hold no certificate and its key that can be read; give PEM files"
    return Problem("uplink.tls.cert_file", what)
