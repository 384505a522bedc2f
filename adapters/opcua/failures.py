"""What went wrong at an OPC UA server, in words for the person on site."""

from __future__ import annotations

import socket
import struct
from typing import Final

from asyncua import ua

__all__ = ["FAILURES", "Unusable", "explain", "status_name"]

FAILURES: Final = (ua.UaError, OSError, ValueError, struct.error)
"""What a service raises when a server refuses, goes away, or (the last two) answers what cannot be decoded."""


class Unusable(ua.UaError):  # type: ignore[misc]  # asyncua's types are not followed, see pyproject.toml
    """What a server offers or shows cannot be used; the text says why, and what to do."""


_TRUST_US: Final = "trust this gateway's certificate at the server"
_ADVICE: Final = {
    ua.StatusCodes.BadIdentityTokenRejected: "check username and password, and that the server lets this user in",
    ua.StatusCodes.BadIdentityTokenInvalid: "check that the server allows this kind of log-in (user name, anonymous)",
    ua.StatusCodes.BadUserAccessDenied: "check username and password, and what the server allows this user",
    ua.StatusCodes.BadTooManySessions: "close other clients, or allow the server more sessions",
    ua.StatusCodes.BadTooManySubscriptions: "close other clients, or allow the server more subscriptions",
    ua.StatusCodes.BadTcpEndpointUrlInvalid: "check the path in the url",
    ua.StatusCodes.BadSecurityPolicyRejected: "check which security policies are enabled at the server",
    ua.StatusCodes.BadSecurityModeRejected: "check which security modes are enabled at the server",
    ua.StatusCodes.BadSecurityChecksFailed: _TRUST_US,
    ua.StatusCodes.BadCertificateUntrusted: _TRUST_US,
    ua.StatusCodes.BadCertificateInvalid: _TRUST_US,
    ua.StatusCodes.BadCertificateChainIncomplete: _TRUST_US,
    ua.StatusCodes.BadCertificateTimeInvalid: "compare the clocks of the server and of this gateway",
    ua.StatusCodes.BadUserSignatureInvalid: "check the user certificate and its key",
}


def status_name(code: int) -> str:
    """The name of a StatusCode, or its number in hexadecimal where the standard has none."""
    name = ua.status_codes.get_name_and_doc(code & 0xFFFF0000)[0]
    return name if name.startswith(("Good", "Uncertain", "Bad")) and name != "UnknownUaError" else f"0x{code:08X}"


def explain(error: BaseException) -> str:
    """What came back, and what to do about it."""
    if isinstance(error, ua.UaStatusCodeError):
        advice = _ADVICE.get(error.code)
        return f"the server answered {status_name(error.code)}" + (f"; {advice}" if advice else "")
    if isinstance(error, TimeoutError):
        return "no answer in time; check that the server runs, and the network in between"
    if isinstance(error, ConnectionRefusedError):
        return "nothing accepts connections there; check the port, and that the server is switched on"
    if isinstance(error, socket.gaierror):
        return f"the host name cannot be resolved ({error.strerror}); check the url, or use an address"
    if isinstance(error, ConnectionError):
        return "the connection was closed; check that the server still runs, and the network in between"
    if isinstance(error, OSError):
        return f"the connection failed ({error.strerror or error}); check the network"
    if isinstance(error, Unusable):
        return str(error)
    return f"the server's answer cannot be understood ({error})"
