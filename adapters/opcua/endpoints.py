"""Which of a server's endpoints to use, and which of its ways to log in. Pure: plain values in, a choice or a text out.

What counts
- Nothing is chosen that was not asked for: `auto` never falls back to an endpoint without encryption.
- A password is encrypted wherever the server offers any way to do so, the strongest first.
- Where nothing fits, the error lists what the server offers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

__all__ = ["AUTO", "NONE", "POLICIES", "URI", "Offer", "Token", "choose_endpoint", "choose_token", "offered"]

URI: Final = "http://opcfoundation.org/UA/SecurityPolicy#"
"""Head of every policy's URI; what follows is its name."""
NONE: Final = "None"
AUTO: Final = "auto"
POLICIES: Final = ("Aes256_Sha256_RsaPss", "Basic256Sha256", "Aes128_Sha256_RsaOaep")
"""Policies that are safe today, the strongest first."""
_TOKEN_POLICIES: Final = (*POLICIES, "Basic256", "Basic128Rsa15")
"""Policies that a password may be encrypted by, the strongest first. The last two are weak, and better than none."""
_WORDS: Final = {"Anonymous": "anonymous", "UserName": "user name", "Certificate": "user certificate"}
_HOW: Final = {
    "Anonymous": "leave username and user_cert_file out",
    "UserName": "give username and password_file",
    "Certificate": "give user_cert_file and user_key_file",
}


class Token(NamedTuple):
    """One way to log in at an endpoint.

    Attributes:
        kind: Anonymous, UserName, Certificate or IssuedToken.
        policy: name of the policy that it is protected by; empty for the endpoint's own.
    """

    kind: str
    policy: str


class Offer(NamedTuple):
    """One endpoint of a server.

    Attributes:
        policy: name of its policy.
        mode: None, Sign or SignAndEncrypt.
        certificate: what the server shows there: its own certificate, then any issuers.
        application_uri: what the server calls itself.
    """

    policy: str
    mode: str
    certificate: bytes
    application_uri: str


def choose_endpoint(offers: Sequence[Offer], security: str, mode: str) -> Offer:
    """The endpoint that the settings mean.

    Args:
        offers: the server's endpoints, those of OPC UA TCP.
        security: the policy's name, or `AUTO` for the strongest.
        mode: Sign or SignAndEncrypt; of no matter where the policy is `NONE`.

    Raises:
        ValueError: there is no such endpoint; says what there is.
    """
    wanted = POLICIES if security == AUTO else (security,)
    for policy in wanted:
        for offer in offers:
            if offer.policy == policy and (policy == NONE or offer.mode == mode):
                return offer
    what = f"no endpoint with security {security}" + ("" if security == NONE else f" and mode {mode}")
    raise ValueError(f"the server offers {what}; it offers {offered(offers)}. {_advice(offers, security, mode)}")


def offered(offers: Sequence[Offer]) -> str:
    """What a server offers, in words, each policy once."""
    modes: dict[str, list[str]] = {}
    for offer in offers:
        known = modes.setdefault(offer.policy, [])
        if offer.mode != NONE and offer.mode not in known:
            known.append(offer.mode)
    texts = [f"{policy} ({', '.join(sorted(found))})" if found else policy for policy, found in modes.items()]
    return ", ".join(texts) or "none at all"


def _advice(offers: Sequence[Offer], security: str, mode: str) -> str:
    for policy in (security, *POLICIES):
        for other in ("SignAndEncrypt", "Sign"):
            if policy in POLICIES and any((offer.policy, offer.mode) == (policy, other) for offer in offers):
                wanted = [f'security = "{policy}"'] if policy != security and security != AUTO else []
                wanted += [f'security_mode = "{other}"'] if other != mode or security == NONE else []
                return f"Set {' and '.join(wanted)}, or enable what is wanted at the server"
    if any(offer.policy == NONE for offer in offers) and security != NONE:
        return 'Enable it at the server; security = "None" would work, and anybody on the network could listen'
    return "Enable it at the server"


def choose_token(tokens: Sequence[Token], kind: str, *, policy: str, mode: str) -> int:
    """Which way to log in to take.

    Args:
        tokens: what the endpoint offers; none where it does not tell.
        kind: Anonymous, UserName or Certificate.
        policy: the endpoint's policy.
        mode: the endpoint's mode.

    Returns:
        Its place; -1 where the server does not tell any, which some do.

    Raises:
        ValueError: there is none that will do; says what there is.
    """
    if not tokens:
        return -1
    ranks = {place: _rank(token, policy, mode) for place, token in enumerate(tokens) if token.kind == kind}
    if not ranks:
        others = [name for name in _WORDS if any(token.kind == name for token in tokens)]
        ways = ", ".join(f"{_WORDS[name]} ({_HOW[name]})" for name in others) or "none that is known here"
        raise ValueError(f"the server takes no {_WORDS[kind]} log-in at this endpoint; it takes {ways}")
    usable = {place: rank for place, rank in ranks.items() if rank is not None}
    if not usable:
        names = ", ".join(sorted({tokens[place].policy for place in ranks}))
        raise ValueError(
            f"the server wants a {_WORDS[kind]} log-in protected by {names}, which cannot be done here. "
            f"Known are {', '.join(_TOKEN_POLICIES)}; enable one of them at the server"
        )
    place = min(usable, key=lambda at: (usable[at], at))
    if kind == "UserName" and mode == "Sign" and (tokens[place].policy or policy) == NONE:
        raise ValueError(
            "the server wants the password unencrypted over a channel that is only signed. "
            'Set security_mode = "SignAndEncrypt"'
        )
    if kind == "Certificate" and (tokens[place].policy or policy) == NONE:
        raise ValueError(
            "the server names no policy by which a user certificate would be proven. Set security to one that it offers"
        )
    return place


def _rank(token: Token, policy: str, mode: str) -> int | None:
    """How good it is, 0 best; None where it cannot be used."""
    name = token.policy or policy
    if token.kind == "Anonymous":
        return 0
    if name == NONE:
        # Inside an encrypted channel nobody can listen, and the server has less to do.
        return 0 if mode == "SignAndEncrypt" and token.kind == "UserName" else len(_TOKEN_POLICIES)
    return _TOKEN_POLICIES.index(name) if name in _TOKEN_POLICIES else None
