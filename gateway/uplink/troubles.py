"""What can go wrong between us and the broker, in words for the person on site. Pure."""

from __future__ import annotations

import socket
import ssl
from typing import Final

from aiomqtt import MqttCodeError, MqttError
from paho.mqtt.reasoncodes import ReasonCode

__all__ = ["connect_trouble", "lost_trouble", "refusal"]

_REFUSED: Final = 0x80  # MQTT 5, 2.4: reason codes from here on are failures

# MQTT 5, 2.4: what to do about the reasons that a configuration can mend. MQTT 3.1.1's are translated to them.
_ADVICE: Final = {
    0x84: "It does not speak this MQTT version: try uplink.protocol 3.1.1.",
    0x85: "It does not like our client id: set another uplink.client_id.",
    0x86: "Check uplink.username and uplink.password.",
    0x87: "Check uplink.username and uplink.password, and what the broker allows this user.",
    0x88: "It may be starting; we go on trying.",
    0x89: "It has too many connections; we go on trying.",
    0x8A: "This client id or address is banned there.",
    0x8C: "It wants another way to log in than user name and password.",
    0x8E: "Another client uses our client id: give each gateway an id of its own (gateway.id or uplink.client_id).",
    0x95: "A message was larger than it takes: lower uplink.max_message_bytes.",
    0x97: "A quota there is used up.",
    0x9B: "It does not take QoS 1, which at-least-once delivery needs.",
    0x9A: "It does not take retained messages, which the status topic needs.",
}

_SPEAKS: Final = {
    True: "If this port does not speak TLS (usually 1883), leave [uplink.tls] out.",
    False: "Does this port want TLS? Then add [uplink.tls].",
}
"""What may be wrong when a broker hangs up at once, by whether we spoke TLS."""


def refusal(reason: ReasonCode) -> str:
    """What the broker's answer to a message says against it, such as `Not authorized (0x87)`; empty: it took it."""
    return _name(reason) if reason.value >= _REFUSED else ""


def connect_trouble(error: BaseException, *, host: str, timeout_s: float, tls: bool) -> str:
    """What came back when we tried to connect, and what to do next.

    Args:
        error: what was raised.
        host: the broker, as configured.
        timeout_s: how long was waited, in seconds.
        tls: whether we tried to speak TLS.
    """
    if isinstance(error, MqttCodeError):
        return _refusal("it refused us", error)
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".")
        return (
            f"its certificate is not trusted: {why}. Check uplink.tls.ca_file, and that the "
            f"certificate is made out to {host!r}."
        )
    if isinstance(error, ssl.SSLError):
        return f"the TLS handshake failed: {error.strerror or error}. Does this port speak TLS (usually 8883)?"
    if isinstance(error, socket.gaierror):
        return f"the name {host!r} is not known: {error.strerror}. Check uplink.host and the name server."
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there. Is the broker running, and is uplink.port right?"
    if isinstance(error, TimeoutError):
        return (
            f"no answer within {timeout_s:.0f} s. Check uplink.host and uplink.port, whether a firewall is between, "
            "and whether that port wants TLS."
        )
    if isinstance(error, OSError):
        text = f"{error.strerror or error}. Check the network between here and there."
        # What a broker does with the first bytes of a protocol that it does not expect on this port.
        return f"{text} {_SPEAKS[tls]}" if isinstance(error, ConnectionResetError) else text
    text = f"{error or type(error).__name__}."
    return f"{text} {_SPEAKS[tls]}" if isinstance(error, MqttError) and not tls else text


def lost_trouble(error: BaseException | None) -> str:
    """What came back when a connection that worked went away."""
    if isinstance(error, MqttCodeError):
        if isinstance(error.rc, ReasonCode) and error.rc.value in (0x80, 0x00):
            return (
                "it closed the connection, or the network did. If that repeats every few seconds, another client may "
                "be using our client id: give each gateway an id of its own."
            )
        return _refusal("it ended the connection", error)
    if error is None:
        return "it ended the connection."
    return f"the connection broke: {error}."


def _refusal(what: str, error: MqttCodeError) -> str:
    if not isinstance(error.rc, ReasonCode):
        return f"{what}: {error}."
    text = f"{what}: {_name(error.rc)}."
    advice = _ADVICE.get(error.rc.value)
    return f"{text} {advice}" if advice else text


def _name(reason: ReasonCode) -> str:
    return f"{reason} (0x{reason.value:02X})"
