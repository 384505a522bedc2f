"""What a configuration may say about an OPC UA device, and which mistakes its model cannot express.

Security is chosen, never guessed: without the key `security` the connection is not secured, as it always was, and
`tidegate check` says so; the value "None" says that this is meant. "auto" takes the strongest that the server
offers, and never none.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal
from urllib.parse import SplitResult, urlsplit

from msgspec import Meta, field

from adapters.opcua.paths import parse_place
from adapters.opcua.spread import MOST_ELEMENTS, Selector, parse_field, selectors, suffix
from gateway.batch import Kind
from gateway.config.keys import NAME_PATTERN
from gateway.config.models import DeviceSettings, TagSettings
from gateway.errors import TidegateError

__all__ = ["DEFAULT_PORT", "KINDS", "OpcuaSettings", "OpcuaTag", "check", "split_url"]

DEFAULT_PORT: Final = 4840
"""The port that is registered for OPC UA."""

KINDS: Final = {kind.name.lower(): kind for kind in Kind}
"""Names of the kinds a tag may be declared to have."""

Security = Literal["auto", "None", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"]
IgnorableCheck = Literal["expired", "not_yet_valid", "host_name", "application_uri", "key_usage", "weak"]

_Milliseconds = Annotated[float, Meta(ge=1, le=3_600_000)]
_QueueSize = Annotated[int, Meta(ge=1, le=100_000)]

MOST_INTERVALS: Final = 16
"""Different publishing intervals of one device: each is a subscription of its own, and servers take few."""


class OpcuaTag(TagSettings, frozen=True, kw_only=True):
    """One variable of the device."""

    node: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=4096,
            description="Node id of the variable, such as ns=2;s=Press.Temperature or nsu=urn:maker:line;i=1001, or "
            "its browse path, such as /Objects/2:Press/2:Temperature.",
        ),
    ]
    kind: Annotated[
        Literal["bool", "i64", "u64", "f64", "str", "bytes"] | None,
        Meta(
            description="Kind of the tag's values. A value that does not fit it is published as bad. "
            "Default: each value keeps the kind the device gave it."
        ),
    ] = None
    elements: Annotated[
        Annotated[int, Meta(ge=1, le=MOST_ELEMENTS)] | None,
        Meta(
            description="The variable is an array, and so many of its elements become tags of their own: NAME[0], "
            "NAME[1] and so on; a matrix counts row by row."
        ),
    ] = None
    fields: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=256)]] | None,
        Meta(
            description="The variable is a structure, and these of its fields become tags of their own: Speed makes "
            "NAME.Speed; Position.X and Samples[2] reach further in."
        ),
    ] = None

    @property
    def is_single(self) -> bool:
        """Whether the variable is one tag."""
        return self.elements is None and not self.fields

    @property
    def selectors(self) -> list[Selector]:
        """The ways from the variable's value to the tag's points."""
        return selectors(self.elements, self.fields)

    @property
    def point_names(self) -> list[str]:
        """Names of the tag's points: its own, or one for each element and field."""
        return [self.name + suffix(selector) for selector in self.selectors]

    publishing_interval_ms: Annotated[
        _Milliseconds | None,
        Meta(description="How often the server sends this tag's changes, in milliseconds. Default: the device's."),
    ] = None
    sampling_interval_ms: Annotated[
        _Milliseconds | None,
        Meta(description="How often the server looks at it, in milliseconds. Default: the device's."),
    ] = None
    queue_size: Annotated[
        _QueueSize | None,
        Meta(
            description="Readings of it that the server keeps while the gateway is slow or away. Default: the device's."
        ),
    ] = None
    deadband: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="The server leaves out changes by no more than this, in the value's unit. Default: none."),
    ] = None
    deadband_percent: Annotated[
        Annotated[float, Meta(gt=0, le=100)] | None,
        Meta(description="The same in percent of the variable's EURange, which the server must have. Default: none."),
    ] = None


class OpcuaSettings(DeviceSettings, frozen=True, kw_only=True):
    """An OPC UA server, read through one subscription for each publishing interval."""

    type: Annotated[Literal["opcua"], Meta(description="The protocol.")] = "opcua"
    url: Annotated[
        str,
        Meta(min_length=1, max_length=4096, description="Address of the server, opc.tcp://HOST:PORT/PATH. Port: 4840."),
    ]
    username: Annotated[str | None, Meta(description="User name at the server. Default: anonymous.")] = None
    password: Annotated[str | None, Meta(description="Password; better given as password_file.")] = None
    user_cert_file: Annotated[
        str | None, Meta(description="Certificate of the user, in place of a user name, PEM or DER.")
    ] = None
    user_key_file: Annotated[str | None, Meta(description="The user certificate's key, PEM or DER.")] = None
    user_key_password: Annotated[
        str | None, Meta(description="Password of that key, where it has one; better given as user_key_password_file.")
    ] = None
    security: Annotated[
        Security | None,
        Meta(
            description="The security policy. auto: the strongest that the server offers. None: neither encrypted nor "
            "signed, on purpose. Default: the same, and `tidegate check` warns of it."
        ),
    ] = None
    security_mode: Annotated[
        Literal["SignAndEncrypt", "Sign"],
        Meta(description="Whether a secured connection is encrypted, or only protected against changes."),
    ] = "SignAndEncrypt"
    ignore_checks: Annotated[
        list[IgnorableCheck],
        Meta(
            description="Checks of the server's certificate that it need not pass, by the names that errors give them. "
            "It must be trusted in any case."
        ),
    ] = field(default_factory=list)
    publishing_interval_ms: Annotated[
        _Milliseconds, Meta(description="How often the server sends what has changed, in milliseconds.")
    ] = 100.0
    sampling_interval_ms: Annotated[
        _Milliseconds | None,
        Meta(description="How often the server looks at each variable. Default: as often as it publishes."),
    ] = None
    queue_size: Annotated[
        _QueueSize,
        Meta(
            description="Readings per tag that the server keeps while the gateway is slow or away. Beyond it the "
            "oldest are dropped there, and the next one says so.",
        ),
    ] = 20
    polling_interval_ms: Annotated[
        _Milliseconds,
        Meta(
            description="How often tags are read that the server cannot monitor, in milliseconds. Only what has "
            "changed is published.",
        ),
    ] = 1000.0
    timeout_s: Annotated[
        float,
        Meta(
            ge=0.1,
            le=300,
            description="Longest wait for an answer, in seconds. An idle server is asked for a sign of life this "
            "often, and is taken for lost when one is overdue by as much again.",
        ),
    ] = 5.0
    max_clock_skew_s: Annotated[
        float,
        Meta(
            ge=0,
            le=31_536_000,
            description="How far the server's clock may be away from the gateway's, in seconds. Beyond it, and when it "
            "jumps by more, readings get times of the gateway's clock, marked and counted. 0: it is always trusted.",
        ),
    ] = 0.0
    subscription_lifetime_s: Annotated[
        float,
        Meta(
            ge=1,
            le=86_400,
            description="How long the server is asked to keep its subscriptions, and what they gather, while the "
            "gateway is away, in seconds: a cable, a restart or a power cut that takes less loses nothing that the "
            "server could keep (queue_size).",
        ),
    ] = 120.0
    retry_refused_s: Annotated[
        float,
        Meta(ge=0.1, le=86_400, description="Pause until tags that the server refused are asked for again, seconds."),
    ] = 60.0
    tags: Annotated[list[OpcuaTag], Meta(description="The variables to read.")] = field(default_factory=list)

    @property
    def is_secured(self) -> bool:
        """Whether the connection is to be signed at least."""
        return self.security not in (None, "None")


def split_url(url: str) -> SplitResult:
    """The parts of a server's address.

    Raises:
        ValueError: it is not one; says what was expected.
    """
    expected = "expected opc.tcp://HOST:PORT, such as opc.tcp://192.168.0.10:4840"
    if any(char.isspace() for char in url):
        # urlsplit takes some of them, and leaves others out without a word.
        raise ValueError(f"{url!r} has a space in it; {expected}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} is not an address ({error}); {expected}") from None
    if parts.scheme != "opc.tcp" or not parts.hostname or port == 0:
        raise ValueError(f"{url!r} is not the address of an OPC UA server; {expected}")
    return parts


def check(settings: OpcuaSettings) -> list[tuple[str, str]]:
    """Mistakes that the model cannot express: (key path below the device, what is wrong and what to do)."""
    problems: list[tuple[str, str]] = []
    try:
        if "@" in split_url(settings.url).netloc:
            # The text is left out: it would put the password on screens and into logs.
            problems.append(("url", "has a user name in it; give it as username and password_file"))
    except ValueError as error:
        problems.append(("url", str(error)))
    if settings.password is not None and settings.username is None:
        problems.append(("password", "is given without a username; add username, or leave the password out"))
    problems += _login_problems(settings)
    if settings.ignore_checks and not settings.is_secured:
        what = "has no effect without security: nobody shows a certificate then; set security, or leave this out"
        problems.append(("ignore_checks", what))
    first_use: dict[str, int] = {}
    for index, tag in enumerate(settings.tags):
        where = f"tags[{index}]"
        if tag.deadband is not None and tag.deadband_percent is not None:
            problems.append((f"{where}.deadband_percent", "is given beside deadband; keep the one that is meant"))
        try:
            parse_place(tag.node)
        except ValueError as error:
            problems.append((f"{where}.node", str(error)))
        problems += [(f"{where}.{key}", what) for key, what in _check_spread(tag)]
        for name in _names(tag):
            earlier = first_use.setdefault(name, index)
            if earlier != index:
                what = f"{name!r} is the name of tags[{earlier}] too; give each tag its own name"
                problems.append((f"{where}.name", what))
                break
    intervals = {tag.publishing_interval_ms or settings.publishing_interval_ms for tag in settings.tags}
    if len(intervals) > MOST_INTERVALS:
        found = f"have {len(intervals)} different publishing intervals, each a subscription of its own"
        problems.append(("tags", f"{found}; use at most {MOST_INTERVALS}"))
    return problems


def _names(tag: OpcuaTag) -> list[str]:
    try:
        return tag.point_names
    except ValueError:
        return [tag.name]


def _check_spread(tag: OpcuaTag) -> list[tuple[str, str]]:
    problems = []
    if tag.fields is not None and not tag.fields:
        problems.append(("fields", "the list is empty; name the structure's fields, or leave fields out"))
    if tag.fields and tag.kind is not None:
        problems.append(("kind", "the fields of a structure have kinds of their own; leave kind out"))
    for index, text in enumerate(tag.fields or ()):
        try:
            name = tag.name + suffix(parse_field(text))
        except ValueError as error:
            problems.append((f"fields[{index}]", str(error)))
            continue
        if not re.search(NAME_PATTERN, name):
            problems.append((f"fields[{index}]", f"{text!r} has a /, a + or a # in it, which no tag's name may have"))
        elif text in (tag.fields or ())[:index]:
            problems.append((f"fields[{index}]", f"{text!r} stands twice; keep one"))
    return problems


def _login_problems(settings: OpcuaSettings) -> list[tuple[str, str]]:
    """What is wrong with a user certificate; reads its files."""
    certificate, key = settings.user_cert_file, settings.user_key_file
    if certificate is None and key is None:
        if settings.user_key_password is not None:
            return [("user_key_password", "is given without a key; add user_cert_file and user_key_file")]
        return []
    if certificate is None or key is None:
        missing, other = (
            ("user_cert_file", "user_key_file") if certificate is None else ("user_key_file", "user_cert_file")
        )
        return [(missing, f"this key is missing; it goes with {other}")]
    if settings.username is not None:
        return [("username", "a user certificate is given as well; log in by one of the two")]
    # Here, so that settings without certificates need not load OpenSSL.
    from adapters.opcua.pki.user import read_user

    try:
        read_user(certificate, key, settings.user_key_password)
    except TidegateError as error:
        return [("user_cert_file", str(error))]
    return []
