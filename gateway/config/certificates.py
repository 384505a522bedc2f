"""Whether the files of a TLS section hold what their keys say. Reads them as they will be used; connects to nothing.

Whether the other side takes our certificate, and whether its own is signed by these roots, only a connection can tell.
"""

from __future__ import annotations

import ssl

from gateway.errors import Problem

__all__ = ["certificate_problems"]


def certificate_problems(
    ca_file: str | None, cert_file: str | None, key_file: str | None, *, where: str
) -> list[Problem]:
    """What is wrong with the files.

    Args:
        ca_file: trusted roots; this and the others are there and can be read.
        cert_file: the gateway's own certificate.
        key_file: its key.
        where: key path of the section.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    problems = []
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (ssl.SSLError, OSError):
            what = f"{ca_file} holds no certificate that can be read; give a PEM file of trusted roots"
            problems.append(Problem(f"{where}.ca_file", what))
    if cert_file is not None:
        problems += _own_problems(context, cert_file, key_file, where)
    return problems


def _own_problems(context: ssl.SSLContext, cert_file: str, key_file: str | None, where: str) -> list[Problem]:
    asked = []

    def no_pass_phrase() -> str:
        asked.append(True)
        return ""

    try:
        # Without it OpenSSL would ask for the pass phrase on the terminal.
        context.load_cert_chain(cert_file, key_file, password=no_pass_phrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return [Problem(f"{where}.key_file", f"{key_file} is not the key of the certificate in {cert_file}")]
        if asked:
            what = f"{key_file} is locked with a pass phrase; give the key without one, readable by this user alone"
            return [Problem(f"{where}.key_file", what)]
        return [_unreadable(cert_file, key_file, where)]
    except OSError:
        return [_unreadable(cert_file, key_file, where)]
    return []


def _unreadable(cert_file: str, key_file: str | None, where: str) -> Problem:
    what = f"{cert_file} with {key_file}: they hold no certificate and its key that can be read; give PEM files"
    return Problem(f"{where}.cert_file", what)
