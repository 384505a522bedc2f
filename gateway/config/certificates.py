"""The files of a TLS section: whether they hold what their keys say, and the context that is made of them.

Both read them alike, so that what passes the check can be used. Whether the other side takes our certificate, and
whether its own is signed by these roots, only a connection can tell.
"""

from __future__ import annotations

import ssl

from gateway.config.models import TlsSettings
from gateway.errors import Problem, TidegateError

__all__ = ["certificate_problems", "tls_context"]


def certificate_problems(tls: TlsSettings, where: str) -> list[Problem]:
    """What is wrong with the files.

    Args:
        tls: the section; its files are there and can be read.
        where: its key path.
    """
    problems = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.ca_file is not None:
        try:
            context.load_verify_locations(tls.ca_file)
        except OSError as error:
            problems.append(_roots_problem(tls.ca_file, error, where))
    if own := _load_own(context, tls, where):
        problems.append(own)
    return problems


def tls_context(tls: TlsSettings, where: str) -> ssl.SSLContext:
    """What a connection is made with. Reads the files anew, so that a renewed certificate is used from the next one on.

    The system's roots take some 30 ms: call it in a thread.

    Args:
        tls: the section.
        where: its key path.

    Raises:
        TidegateError: a file is not what it should be.
    """
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except OSError as error:
        raise TidegateError(str(_roots_problem(tls.ca_file or "the system's", error, where))) from None
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if problem := _load_own(context, tls, where):
        raise TidegateError(str(problem))
    return context


def _roots_problem(name: str, error: OSError, where: str) -> Problem:
    what = "holds no certificate that can be read" if isinstance(error, ssl.SSLError) else _strerror(error)
    return Problem(f"{where}.ca_file", f"{name} {what}; give a PEM file of trusted roots")


def _load_own(context: ssl.SSLContext, tls: TlsSettings, where: str) -> Problem | None:
    cert_file, key_file = tls.cert_file, tls.key_file
    if cert_file is None:
        return None
    asked = []

    def no_pass_phrase() -> str:
        asked.append(True)
        return ""

    unreadable = f"{cert_file} with {key_file}: they hold no certificate and its key that can be read; give PEM files"
    try:
        # Without it OpenSSL would ask for the pass phrase on the terminal.
        context.load_cert_chain(cert_file, key_file, password=no_pass_phrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return Problem(f"{where}.key_file", f"{key_file} is not the key of the certificate in {cert_file}")
        if asked:
            what = f"{key_file} is locked with a pass phrase; give the key without one, readable by this user alone"
            return Problem(f"{where}.key_file", what)
        return Problem(f"{where}.cert_file", unreadable)
    except OSError as error:
        return Problem(f"{where}.cert_file", f"{cert_file} with {key_file} {_strerror(error)}; give PEM files")
    return None


def _strerror(error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}"
